//! How long it takes from a cancellation until all is gone.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskscope::{BoxError, Group, TaskGroup};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_graceful_shutdown::{SubsystemBuilder, SubsystemHandle, Toplevel};
use tokio_util::sync::CancellationToken;

use crate::family::{Contestant, Family, Peer, Size, since};

/// The families of this module.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    vec![wide(size), deep(size), services(size)]
}

fn wide(size: Size) -> Family {
    let count = size.of(100_000);
    Family::timed(
        Contestant::on_workers("group", count, wide_group),
        vec![
            Peer::with_goal(
                "cancel_shared",
                0.80,
                Contestant::on_workers("JoinSet, one shared token", count, |n| {
                    wide_tokens(n, CancellationToken::clone)
                }),
            ),
            Peer::with_goal(
                "cancel_children",
                0.68,
                Contestant::on_workers("JoinSet, child tokens", count, |n| {
                    wide_tokens(n, CancellationToken::child_token)
                }),
            ),
        ],
    )
}

async fn all_parked(parked: &Semaphore, count: usize) {
    let count = u32::try_from(count).expect("as many as there are");
    let parked = parked.acquire_many(count).await;
    parked.expect("it is never closed").forget();
}

/// Parked tasks of a group: from the cancellation until all are gone.
pub async fn wide_group(count: usize) -> f64 {
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        let parked = Arc::new(Semaphore::new(0));
        for _ in 0..count {
            let parked = parked.clone();
            g.spawn(async move {
                parked.add_permits(1);
                pending::<()>().await;
            });
        }
        all_parked(&parked, count).await;
        let start = Instant::now();
        g.cancel();
        Ok(start)
    });
    let start = group.await.expect("no task fails");
    since(start, count)
}

async fn wide_tokens(count: usize, token_for: fn(&CancellationToken) -> CancellationToken) -> f64 {
    let parked = Arc::new(Semaphore::new(0));
    let token = CancellationToken::new();
    let mut set = JoinSet::new();
    for _ in 0..count {
        let (parked, token) = (parked.clone(), token_for(&token));
        set.spawn(async move {
            parked.add_permits(1);
            token.run_until_cancelled(pending::<()>()).await;
        });
    }
    all_parked(&parked, count).await;
    let start = Instant::now();
    token.cancel();
    while set.join_next().await.is_some() {}
    since(start, count)
}

fn deep(size: Size) -> Family {
    let count = size.of(10_000);
    Family::timed(
        Contestant::on_workers("nested groups", count, deep_groups),
        vec![Peer::with_goal(
            "cancel_deep",
            1.50,
            Contestant::on_workers("nested child tokens", count, deep_tokens),
        )],
    )
}

type Level = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task that opens a scope with one task in it, and so on.
fn level_of_groups(depth: usize, parked: Arc<Semaphore>) -> Level {
    Box::pin(async move {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            below(&g, depth, parked);
            pending::<Result<(), _>>().await
        });
        group.await.ok();
    })
}

fn below(g: &Group<'_>, depth: usize, parked: Arc<Semaphore>) {
    if depth > 0 {
        g.spawn(level_of_groups(depth - 1, parked));
    } else {
        parked.add_permits(1);
    }
}

async fn deep_groups(count: usize) -> f64 {
    let parked = Arc::new(Semaphore::new(0));
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        below(&g, count, parked.clone());
        all_parked(&parked, 1).await;
        let start = Instant::now();
        g.cancel();
        Ok(start)
    });
    let start = group.await.expect("no task fails");
    since(start, count)
}

/// A task that waits on a token, spawns one with a child of it, and so on.
fn level_of_tokens(depth: usize, token: CancellationToken, parked: Arc<Semaphore>) -> Level {
    Box::pin(async move {
        let below = (depth > 0).then(|| {
            let level = level_of_tokens(depth - 1, token.child_token(), parked.clone());
            tokio::spawn(level)
        });
        if below.is_none() {
            parked.add_permits(1);
        }
        token.run_until_cancelled(pending::<()>()).await;
        if let Some(below) = below {
            below.await.expect("no task fails");
        }
    })
}

async fn deep_tokens(count: usize) -> f64 {
    let parked = Arc::new(Semaphore::new(0));
    let token = CancellationToken::new();
    let level = tokio::spawn(level_of_tokens(count, token.child_token(), parked.clone()));
    all_parked(&parked, 1).await;
    let start = Instant::now();
    token.cancel();
    level.await.expect("no task fails");
    since(start, count)
}

fn services(size: Size) -> Family {
    let count = size.of(10_000);
    Family::timed(
        Contestant::on_workers("services of a group", count, start_and_stop_services),
        vec![Peer::for_information(
            "start_stop",
            Contestant::on_workers("tokio-graceful-shutdown", count, start_and_stop_subsystems),
        )],
    )
}

/// Services that end when they are asked to.
async fn start_and_stop_services(count: usize) -> f64 {
    let start = Instant::now();
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        for _ in 0..count {
            g.service(taskscope::stopping());
        }
        g.stop();
        Ok(())
    });
    group.await.expect("no service fails");
    since(start, count)
}

async fn start_and_stop_subsystems(count: usize) -> f64 {
    let start = Instant::now();
    let all: Toplevel = Toplevel::new(async move |top: &mut SubsystemHandle| {
        for _ in 0..count {
            top.start(SubsystemBuilder::new("service", subsystem));
        }
        top.request_shutdown();
    });
    all.handle_shutdown_requests(Duration::from_secs(60))
        .await
        .expect("no subsystem fails");
    since(start, count)
}

async fn subsystem(handle: &mut SubsystemHandle) -> Result<(), BoxError> {
    handle.on_shutdown_requested().await;
    Ok(())
}
