#![deny(warnings)]

use std::time::Duration;
use taskscope::cancellable;
use tokio::sync::mpsc;

#[cancellable(allow(blocking))]
async fn function() -> usize {
    std::thread::sleep(Duration::from_millis(1));
    let sum = futures::executor::block_on(async { 1 });
    sum + std::fs::metadata(".").map_or(0, |_| 1)
}

#[cancellable(allow(blocking))]
async fn channel(mut numbers: mpsc::Receiver<u32>) -> Option<u32> {
    std::thread::scope(|_| numbers.try_recv().ok())
}

#[cancellable(allow(blocking))]
async fn spins() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

fn main() {
    assert_eq!(futures::executor::block_on(async { 1 }), 1);
    drop(function());
    drop(channel(mpsc::channel(1).1));
    drop(spins());
}
