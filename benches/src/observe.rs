//! What it costs to look at everything that runs.

use std::fmt::Write as _;
use std::future::pending;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use taskscope::observe::tree;
use taskscope::{BoxError, Group, Scope, TaskGroup, cancellable, defer};
use tokio::sync::Semaphore;

use crate::family::{Contestant, Family, Peer, Size, since};

/// How often one set of tasks is looked at: a count of instructions includes what it takes to
/// spawn and to end them.
const LOOKS: usize = 20;

/// The families of this module.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    let count = size.of(100_000) * LOOKS;
    let names = Contestant::on_one_thread("a Vec of the names", count, names);
    vec![Family::timed(
        Contestant::on_one_thread("tree, printed", count, printed),
        vec![Peer::for_information("tree", names)],
    )]
}

async fn printed(count: usize) -> f64 {
    looked_at(count / LOOKS, || {
        let mut text = String::new();
        write!(text, "{}", tree()).expect("writing to a string does not fail");
        black_box(text);
    })
    .await
}

/// The least that a list of tasks can cost: a copy of their names.
async fn names(count: usize) -> f64 {
    let names: Vec<String> = (0..count / LOOKS)
        .map(|number| format!("taskscope_benches::observe::parked ({number})"))
        .collect();
    looked_at(count / LOOKS, || drop(black_box(names.clone()))).await
}

/// Looks at this many parked tasks of one group, and at a tenth as many of other shapes.
async fn looked_at(count: usize, look: impl Fn()) -> f64 {
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        let parked = Arc::new(Semaphore::new(0));
        for _ in 0..count {
            let parked = parked.clone();
            g.spawn(async move { park(&parked).await });
        }
        let others = others(&g, count / 30, &parked);
        let all = u32::try_from(count + others).expect("as many as there are");
        parked.acquire_many(all).await?.forget();
        let start = Instant::now();
        (0..LOOKS).for_each(|_| look());
        let cost = since(start, count * LOOKS);
        g.cancel();
        Ok(cost)
    });
    group.await.expect("no task fails")
}

/// Spawns groups of `count` tasks of other shapes, and returns how many will be parked.
fn others(g: &Group<'_, BoxError>, count: usize, parked: &Arc<Semaphore>) -> usize {
    spawn_group(g, "named", count, parked, |g, number, parked| {
        let name = format!("http://10.0.0.{number}");
        g.spawn_named(name, async move { park(&parked).await });
    });
    spawn_group(g, "guarded", count, parked, |g, _, parked| {
        g.spawn(guard(parked));
    });
    spawn_group(g, "nested", count, parked, |g, _, parked| {
        g.spawn(async move {
            let scope = Scope::new().run(park(&parked)).await;
            scope.map_err(BoxError::from)
        });
    });
    3 * count
}

/// Spawns a group in which `spawn` spawns each of `count` tasks.
fn spawn_group(
    g: &Group<'_, BoxError>,
    name: &'static str,
    count: usize,
    parked: &Arc<Semaphore>,
    spawn: impl Fn(&Group<'_, BoxError>, usize, Arc<Semaphore>) + Send + Sync + 'static,
) {
    let parked = parked.clone();
    g.spawn_named(name, async move {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            (0..count).for_each(|number| spawn(&g, number, parked.clone()));
            Ok(())
        });
        group.await.map_err(BoxError::from)
    });
}

async fn park(parked: &Semaphore) {
    parked.add_permits(1);
    pending::<()>().await;
}

#[cancellable]
async fn guard(parked: Arc<Semaphore>) {
    defer! { black_box(()); }
    park(&parked).await;
}
