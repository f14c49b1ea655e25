use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use taskscope::{cancellable, timeout};
use tokio::time::Instant;

async fn work() -> u32 {
    1
}

#[cancellable]
async fn in_a_local(limit: Duration) -> u32 {
    let mut work = std::pin::pin!(work());
    match timeout(limit, &mut work).await {
        Ok(n) => n,
        Err(_) => 1 + work.await,
    }
}

#[cancellable]
async fn pinned(mut work: Pin<&mut impl Future<Output = u32>>, end: Instant) -> u32 {
    let first = taskscope::timeout_at(end, work.as_mut()).await;
    first.unwrap_or(0)
}

fn main() {}
