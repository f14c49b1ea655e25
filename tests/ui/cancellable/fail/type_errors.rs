use taskscope::cancellable;

#[cancellable]
async fn not_a_future() {
    5.await;
}

#[cancellable]
async fn wrong_output() -> u32 {
    text().await
}

#[cancellable]
async fn wrong_argument() {
    let number: u32 = text().await;
    drop(number);
}

async fn text() -> String {
    String::new()
}

fn main() {}
