#![deny(warnings)]

use std::time::Duration;
use taskscope::{BoxError, cancellable, task_group};

#[cancellable]
async fn on_the_pool(pause: Duration) -> Result<u32, BoxError> {
    let threads = task_group!(|g| {
        let read = g.spawn_blocking(move || {
            std::thread::sleep(pause);
            std::fs::read("file").map(|bytes| bytes.len())
        });
        Ok(read.await.unwrap_or(0))
    })
    .await?;
    let wait = move || {
        let mut rounds = 0;
        loop {
            rounds += 1;
            std::thread::sleep(pause);
            if rounds > 3 {
                return rounds;
            }
        }
    };
    Ok(wait() + u32::try_from(threads)?)
}

// So may a function inside, which is none of this one's code.
#[cancellable]
async fn inner_items() -> u32 {
    fn blocks() -> u32 {
        std::thread::sleep(Duration::ZERO);
        drop(std::thread::spawn(|| {}));
        1
    }
    blocks()
}

fn main() {
    drop(on_the_pool(Duration::ZERO));
    drop(inner_items());
}
