//! What structure costs: the same work by taskscope and by plain tokio, in one
//! run, round by round in turn. Prints the median of each and their ratio.

use std::future::Future;
use std::hint::black_box;
use std::time::{Duration, Instant};

use taskscope::{BoxError, Scope, TaskGroup, cancellable};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const ROUNDS: usize = 11;
const AWAITS: u64 = 1_000_000;
const TASKS: usize = 100_000;

#[tokio::main]
async fn main() {
    println!(
        "{:<16} {:>12} {:>12} {:>7}  peer",
        "work", "ours", "peer's", "ratio"
    );
    let row = in_turn(ours_ready, plain_ready).await;
    print("await_ready", "plain await", AWAITS, row);
    let row = in_turn(ours_loop, token_loop).await;
    print(
        "loop_checkpoint",
        "CancellationToken::is_cancelled",
        AWAITS,
        row,
    );
    let row = in_turn(ours_spawn, join_set).await;
    print("spawn_join", "JoinSet", TASKS as u64, row);
    let row = in_turn(ours_spawn, plain_spawn).await;
    print("spawn_join_floor", "tokio::spawn", TASKS as u64, row);
}

/// The median times of both, measured in turn after a round of warm-up.
async fn in_turn<A: Future, B: Future>(ours: fn() -> A, peer: fn() -> B) -> [Duration; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..=ROUNDS {
        let measured = [timed(ours()).await, timed(peer()).await];
        if round > 0 {
            times[0].push(measured[0]);
            times[1].push(measured[1]);
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

async fn timed(work: impl Future) -> Duration {
    let start = Instant::now();
    black_box(work.await);
    start.elapsed()
}

fn print(work: &str, peer: &str, count: u64, [ours, theirs]: [Duration; 2]) {
    let each = |time: Duration| time.as_nanos() as f64 / count as f64;
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!(
        "{work:<16} {:>9.1} ns {:>9.1} ns {ratio:>7.2}  {peer}",
        each(ours),
        each(theirs)
    );
}

async fn plain_ready() -> u64 {
    let mut sum = 0_u64;
    for n in 0..AWAITS {
        sum += black_box(std::future::ready(n)).await;
    }
    sum
}

#[cancellable]
async fn annotated_ready() -> u64 {
    let mut sum = 0_u64;
    for n in 0..AWAITS {
        sum += black_box(std::future::ready(n)).await;
    }
    sum
}

async fn ours_ready() -> u64 {
    Scope::new()
        .run(annotated_ready())
        .await
        .unwrap_or_default()
}

#[cancellable(loops)]
async fn annotated_loop() -> u64 {
    let mut sum = 0_u64;
    for n in 0..AWAITS {
        sum += black_box(n);
    }
    sum
}

async fn ours_loop() -> u64 {
    Scope::new().run(annotated_loop()).await.unwrap_or_default()
}

async fn token_loop() -> u64 {
    let token = CancellationToken::new();
    let mut sum = 0_u64;
    for n in 0..AWAITS {
        if token.is_cancelled() {
            break;
        }
        sum += black_box(n);
    }
    sum
}

async fn ours_spawn() -> bool {
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        for _ in 0..TASKS {
            g.spawn(async {});
        }
        Ok(())
    });
    group.await.is_ok()
}

async fn join_set() -> usize {
    let mut set: JoinSet<()> = (0..TASKS).map(|_| async {}).collect();
    let mut joined = 0;
    while set.join_next().await.is_some() {
        joined += 1;
    }
    joined
}

async fn plain_spawn() -> usize {
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(async {})).collect();
    let mut joined = 0;
    for task in tasks {
        joined += usize::from(task.await.is_ok());
    }
    joined
}
