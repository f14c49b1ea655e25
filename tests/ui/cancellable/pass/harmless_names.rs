#![deny(warnings)]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use taskscope::{cancellable, timeout};

// Beside what blocks, the same modules hold what does not.
#[cancellable]
async fn of_std(limit: Duration) -> io::Result<SocketAddr> {
    let localhost = std::net::Ipv4Addr::new(127, 0, 0, 1);
    let address = std::net::SocketAddr::new(std::net::IpAddr::V4(localhost), 80);
    let _id = std::thread::current().id();
    let _threads = std::thread::available_parallelism();
    let _times = std::fs::FileTimes::new();
    tokio::time::sleep(limit).await;
    tokio::task::yield_now().await;
    Ok(address)
}

// What is imported may be tokio's own.
#[cancellable]
async fn imported() -> io::Result<Vec<u8>> {
    use tokio::fs;

    fs::read("file").await
}

// Merges streams, and drops none of them.
#[cancellable]
async fn streams() -> usize {
    use futures::{StreamExt, stream};

    let merged = stream::select_all([stream::iter([1, 2]), stream::iter([3, 4])]);
    merged.count().await
}

// Waits for all, and drops none of them.
#[cancellable]
async fn joins() -> (u32, Vec<u32>) {
    let (one, two) = tokio::join!(async { 1 }, async { 2 });
    let all = futures::future::join_all([async { 3 }]).await;
    (one + two, all)
}

// What is given away may be left.
#[cancellable]
async fn with_limit(limit: Duration, text: &mut String) -> Option<()> {
    let future = async { text.push('a') };
    timeout(limit, future).await.ok()?;
    taskscope::timeout(limit, async { text.push('b') }).await.ok()
}

fn main() {
    drop(of_std(Duration::ZERO));
    drop(imported());
    drop(streams());
    drop(joins());
    drop(with_limit(Duration::ZERO, &mut String::new()));
}
