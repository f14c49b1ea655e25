use taskscope::cancellable;
use tokio::task;

fn work() -> u32 {
    1
}

#[cancellable]
async fn function() -> u32 {
    let first = tokio::task::spawn_blocking(work).await.unwrap();
    let second = task::spawn_blocking(|| work() + 1).await.unwrap();
    first + second
}

fn main() {}
