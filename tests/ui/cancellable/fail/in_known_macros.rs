use std::time::Duration;
use taskscope::{cancellable, join};

async fn work(n: u32) -> u32 {
    n
}

#[cancellable]
async fn function() {
    println!("{:?}", tokio::spawn(work(1)).await);
    let tasks = vec![tokio::spawn(work(2)), tokio::spawn(work(3))];
    assert!(tasks.len() == 2, "{:?}", std::fs::read_to_string("log"));
    join!(work(4), async {
        std::thread::sleep(Duration::ZERO);
    });
}

fn main() {}
