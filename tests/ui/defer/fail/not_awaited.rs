#![deny(unused_must_use)]

use taskscope::{cancellable, defer};

async fn close() {}

async fn flush() -> std::io::Result<()> {
    Ok(())
}

#[cancellable]
async fn forgets() {
    defer! { close(); }
    defer! { flush().await; }
    defer! { flush().await }
    close().await;
}

fn main() {}
