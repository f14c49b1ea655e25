use taskscope::cancellable;
use tokio::time::{self, Duration, Instant};

async fn work() -> u32 {
    1
}

#[cancellable]
async fn function(limit: Duration) -> Option<u32> {
    let first = tokio::time::timeout(limit, work()).await.ok()?;
    let second = time::timeout(Duration::from_secs(1), work()).await.ok()?;
    let third = time::timeout_at(Instant::now() + limit, work()).await.ok()?;
    Some(first + second + third)
}

#[cancellable]
async fn lent(limit: Duration) -> Option<u32> {
    let mut work = std::pin::pin!(work());
    match tokio::time::timeout(limit, &mut work).await {
        Ok(n) => Some(n),
        Err(_) => Some(1 + work.await),
    }
}

fn main() {}
