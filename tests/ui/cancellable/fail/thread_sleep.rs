use std::thread;
use std::time::Duration;
use taskscope::cancellable;

#[cancellable]
async fn function(pause: Duration) {
    std::thread::sleep(pause);
    thread::sleep(2 * pause);
    thread::sleep(Duration::from_millis(20));
}

fn main() {}
