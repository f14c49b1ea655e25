use std::time::Duration;
use taskscope::{cancellable, defer, on_cancel};

async fn close() {}

// A cleanup is code of the function.
#[cancellable]
async fn cleans_up() {
    defer! {
        std::thread::sleep(Duration::from_millis(1));
        tokio::spawn(close());
    }
    on_cancel! {
        loop {
            std::hint::spin_loop();
        }
    }
    close().await;
}

fn main() {}
