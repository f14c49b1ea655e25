//! Many tasks leave nothing behind: no task, no scope, no memory.

use std::future::pending;
use std::time::Instant;

use taskscope::{BoxError, Stats, TaskGroup, Value, stats, tree};
use taskscope_tests::{in_own_process, watched};
use tokio::runtime::Builder;
use tokio::task::yield_now;

use crate::counting::{alone, live};

// Without optimisation a fifth is enough, to be done in time.
const SHORT: u64 = if cfg!(debug_assertions) {
    200_000
} else {
    1_000_000
};
const PARKED: u64 = if cfg!(debug_assertions) {
    20_000
} else {
    100_000
};

async fn short(count: u64) {
    let group = TaskGroup::<BoxError>::new().limit(1000).run(async |g| {
        for number in 0..count {
            g.reserve().await.spawn(async move { Value(number) });
        }
        Ok(())
    });
    group.await.unwrap();
}

async fn parked(count: u64) {
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        let tasks: Vec<_> = (0..count).map(|_| g.spawn(pending::<()>())).collect();
        while tasks
            .iter()
            .any(|task| task.state() == taskscope::TaskState::Pending)
        {
            yield_now().await;
        }
        g.cancel();
        Ok(())
    });
    group.await.unwrap();
}

fn since(before: &Stats, now: &Stats) -> [u64; 3] {
    [
        now.spawned - before.spawned,
        now.completed - before.completed,
        now.cancelled - before.cancelled,
    ]
}

/// Runs something, and asserts that it left nothing.
fn leaves_nothing(what: &str, expected: [u64; 3], run: impl Future<Output = ()> + Send + 'static) {
    let (before, bytes) = (stats(), live());
    let begin = Instant::now();
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(runtime.spawn(run)).unwrap();
    let took = begin.elapsed();
    drop(runtime);
    let (after, more) = (stats(), live() - bytes);
    println!("{what}: {took:.1?}, {bytes} bytes before, {more:+} after; {after:?}");
    assert_eq!(after.live_tasks, 0);
    assert_eq!(since(&before, &after), expected);
    assert!(tree().is_empty(), "{}", tree());
    assert!(
        more * 20 <= bytes.max(20_000),
        "{more} bytes more than {bytes}"
    );
}

/// The peak is one for the whole life of a process.
#[test]
fn a_million_short_tasks_and_many_parked_ones_leave_nothing() {
    let _alone = alone();
    in_own_process(
        "tasks::a_million_short_tasks_and_many_parked_ones_leave_nothing",
        || {
            watched(everything);
        },
    );
}

fn everything() {
    // What is made once and kept.
    leaves_nothing_at_first();
    leaves_nothing("short", [SHORT, SHORT, 0], short(SHORT));
    assert!(stats().peak_tasks <= 1000 + 16);
    leaves_nothing("parked", [PARKED, 0, PARKED], parked(PARKED));
    let peak = stats().peak_tasks;
    assert!((PARKED - 100..=PARKED).contains(&peak), "{peak}");
}

fn leaves_nothing_at_first() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        tokio::spawn(short(1000)).await.unwrap();
        tokio::spawn(parked(100)).await.unwrap();
    });
}
