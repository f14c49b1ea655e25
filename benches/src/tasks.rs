//! What it costs to spawn tasks and wait for all of them.

use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use taskscope::observe::{stats, tree};
use taskscope::{BoxError, TaskGroup, Value};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::family::{Contestant, Family, Peer, Size, timed};

/// The families of this module.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    vec![spawn_join(size), observed(size), skynet(size), scale(size)]
}

fn spawn_join(size: Size) -> Family {
    let count = size.of(200_000);
    Family::timed(
        Contestant::on_workers("group", count, |n| timed(n, group(n))),
        vec![
            Peer::with_goal(
                "spawn_join",
                0.85,
                Contestant::on_workers("JoinSet", count, |n| timed(n, join_set(n))),
            ),
            Peer::with_goal(
                "spawn_join_floor",
                1.25,
                Contestant::on_workers("tokio::spawn, handles", count, |n| timed(n, plain(n))),
            ),
            Peer::with_goal(
                "spawn_join_token",
                0.62,
                Contestant::on_workers("JoinSet, child tokens", count, |n| timed(n, tokens(n))),
            ),
            Peer::for_information(
                "spawn_join_tracker",
                Contestant::on_workers("TaskTracker", count, |n| timed(n, tracker(n))),
            ),
        ],
    )
}

/// Tasks that do nothing, in a group.
pub async fn group(count: usize) {
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        for _ in 0..count {
            g.spawn(async {});
        }
        Ok(())
    });
    group.await.expect("no task fails");
}

/// The same with a `JoinSet`.
pub async fn join_set(count: usize) {
    let mut set = JoinSet::new();
    for _ in 0..count {
        set.spawn(async {});
    }
    while set.join_next().await.is_some() {}
}

/// The same with `tokio::spawn`.
pub async fn plain(count: usize) {
    let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(async {})).collect();
    for task in tasks {
        task.await.expect("no task fails");
    }
}

/// The same with a `JoinSet`, each task with a token of its own.
pub async fn tokens(count: usize) {
    let token = CancellationToken::new();
    let mut set = JoinSet::new();
    for _ in 0..count {
        let token = token.child_token();
        set.spawn(async move {
            token.run_until_cancelled(async {}).await;
        });
    }
    while set.join_next().await.is_some() {}
}

async fn tracker(count: usize) {
    let tracker = TaskTracker::new();
    for _ in 0..count {
        tracker.spawn(async {});
    }
    tracker.close();
    tracker.wait().await;
}

fn observed(size: Size) -> Family {
    let many = size.of(1_000_000);
    Family::timed(
        Contestant::on_workers("tree, stats at 10 Hz", many, watched_group),
        vec![Peer::for_information(
            "observed",
            Contestant::on_workers("nobody looks", many, |n| timed(n, group(n))),
        )],
    )
    .uncounted()
}

/// The group, while another thread looks at it ten times per second.
async fn watched_group(count: usize) -> f64 {
    const PAUSE: Duration = Duration::from_millis(100);
    let (running, ended) = mpsc::channel::<()>();
    let observer = thread::spawn(move || {
        loop {
            black_box((tree(), stats()));
            if ended.recv_timeout(PAUSE) != Err(mpsc::RecvTimeoutError::Timeout) {
                break;
            }
        }
    });
    let cost = timed(count, group(count)).await;
    drop(running);
    observer.join().expect("the observer does not panic");
    cost
}

/// Children of each inner node.
const FAN: u32 = 10;

fn skynet(size: Size) -> Family {
    let leaves = (FAN as usize).pow(depth(size.of(1_000_000)));
    Family::timed(
        Contestant::on_workers("groups of ten", leaves, |n| {
            timed(n, skynet_group(depth(n)))
        }),
        vec![Peer::with_goal(
            "skynet",
            1.45,
            Contestant::on_workers("tokio::spawn, handles", leaves, |n| {
                timed(n, skynet_plain(depth(n)))
            }),
        )],
    )
}

fn depth(leaves: usize) -> u32 {
    leaves.ilog(FAN as usize)
}

type Leaves = Pin<Box<dyn Future<Output = u64> + Send>>;

fn skynet_group(depth: u32) -> Leaves {
    Box::pin(async move {
        if depth == 0 {
            return 1;
        }
        let sum = TaskGroup::<BoxError>::new().run(async |g| {
            let below = || g.spawn(async move { Value(skynet_group(depth - 1).await) });
            let tasks: Vec<_> = (0..FAN).map(|_| below()).collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await?;
            }
            Ok(sum)
        });
        sum.await.expect("no task fails")
    })
}

fn skynet_plain(depth: u32) -> Leaves {
    Box::pin(async move {
        if depth == 0 {
            return 1;
        }
        let below = || tokio::spawn(async move { skynet_plain(depth - 1).await });
        let tasks: Vec<_> = (0..FAN).map(|_| below()).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.expect("no task fails");
        }
        sum
    })
}

fn scale(size: Size) -> Family {
    let many = size.of(1_000_000);
    Family::timed(
        Contestant::on_workers("10^6 tasks", many, |n| timed(n, group(n))),
        vec![Peer::with_goal(
            "scale",
            1.25,
            Contestant::on_workers("10^3 tasks", many, |n| timed(n, thousands(n))),
        )],
    )
}

/// As many tasks, a thousand at a time.
async fn thousands(count: usize) {
    for _ in 0..count.div_ceil(1000) {
        group(count.min(1000)).await;
    }
}
