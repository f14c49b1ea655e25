use taskscope::{cancellable, defer};

async fn close() {}

#[cancellable]
async fn half_typed(text: String) {
    defer! { text. }
    close().await;
}

#[cancellable]
async fn attribute() {
    #[cfg(unix)]
    defer! { close().await; }
    close().await;
}

fn main() {
    drop((half_typed(String::new()), attribute()));
}
