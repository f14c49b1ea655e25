//! Children that run concurrently in one task.

use futures_concurrency::future::Join;
use taskscope::{BoxError, TaskGroup, Value};

use crate::family::{Contestant, Family, Peer, Size, timed};

/// Children of one parent.
const CHILDREN: usize = 100;

/// The families of this module.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    let count = size.of(2_000) * CHILDREN;
    vec![Family::timed(
        Contestant::on_one_thread("spawn_scoped", count, scoped),
        vec![
            Peer::with_goal(
                "join_local",
                0.75,
                Contestant::on_one_thread("moro", count, moro),
            ),
            Peer::for_information(
                "join_local_list",
                Contestant::on_one_thread("futures-concurrency", count, list),
            ),
        ],
    )]
}

async fn child(n: usize) -> usize {
    tokio::task::yield_now().await;
    n
}

async fn scoped(count: usize) -> f64 {
    async fn round() -> usize {
        let sum = TaskGroup::<BoxError>::new().run(async |g| {
            let children =
                (0..CHILDREN).map(|n| g.spawn_scoped(async move { Value(child(n).await) }));
            let children: Vec<_> = children.collect();
            let mut sum = 0;
            for child in children {
                sum += child.await?;
            }
            Ok(sum)
        });
        sum.await.expect("no child fails")
    }
    timed(count, async {
        for _ in 0..count / CHILDREN {
            round().await;
        }
    })
    .await
}

async fn moro(count: usize) -> f64 {
    async fn round() -> usize {
        moro::async_scope!(|scope| {
            let children = (0..CHILDREN).map(|n| scope.spawn(child(n)));
            let children: Vec<_> = children.collect();
            let mut sum = 0;
            for child in children {
                sum += child.await;
            }
            sum
        })
        .await
    }
    timed(count, async {
        for _ in 0..count / CHILDREN {
            round().await;
        }
    })
    .await
}

async fn list(count: usize) -> f64 {
    async fn round() -> usize {
        let children: Vec<_> = (0..CHILDREN).map(child).collect();
        children.join().await.into_iter().sum()
    }
    timed(count, async {
        for _ in 0..count / CHILDREN {
            round().await;
        }
    })
    .await
}
