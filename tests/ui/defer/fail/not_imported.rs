use taskscope::cancellable;

async fn close() {}

#[cancellable]
async fn forgets() {
    defer! { close().await; }
    for _ in 0..2 {
        on_cancel! { close().await; }
        close().await;
    }
}

fn main() {}
