use std::time::Duration;
use taskscope::cancellable;

async fn work() -> u32 {
    1
}

// All of them, and the mistake in the types besides.
#[cancellable(lops)]
async fn function(limit: Duration) -> String {
    tokio::spawn(work());
    std::thread::sleep(limit);
    tokio::select! {
        _ = work() => {}
    }
    if limit.is_zero() {
        loop {
            limit.as_secs();
        }
    }
    work().await
}

fn main() {}
