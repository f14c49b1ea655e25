use std::thread;
use taskscope::cancellable;

fn work() {}

#[cancellable]
async fn function() {
    let first = std::thread::spawn(work);
    let second = thread::spawn(move || first.join());
    drop(second);
}

fn main() {}
