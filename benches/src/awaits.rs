//! What an await in an annotated function costs, and a loop's checkpoint.
//!
//! Futures that are pending are polled again at once, by hand: what the scheduler
//! takes is the same for all, and would only hide the differences.

use std::future::{Future, poll_fn, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use taskscope::{BoxError, Cancelled, Scope, TaskGroup, Value, cancellable};
use tokio_util::sync::CancellationToken;

use crate::family::{Contestant, Family, Peer, Size, since, timed};

/// The families of this module.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    vec![
        ready_ones(size),
        pending_ones(size),
        loops(size),
        blocking_loops(size),
        cores(size),
    ]
}

/// Pending once, then ready.
#[derive(Debug, Default)]
pub struct Once(bool);

impl Future for Once {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// Polls until the future is ready, in one poll of the task.
pub async fn polled_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(value) = future.as_mut().poll(cx) {
                return Poll::Ready(value);
            }
        }
    })
    .await
}

/// Does `round` this often, each time in one poll of the task as [`polled_on`] does. Other tasks
/// get to run before a budget is used up, ours or that of tokio: polled at once, a future would wait
/// for ever then.
pub async fn polled_rounds(count: usize, round: impl AsyncFn()) {
    for number in 0..count {
        if number % 30 == 0 {
            tokio::task::yield_now().await;
        }
        polled_on(round()).await;
    }
}

fn ready_ones(size: Size) -> Family {
    let count = size.of(1_000_000);
    Family::timed(
        Contestant::on_one_thread("annotated", count, ready_annotated),
        vec![Peer::with_goal(
            "await_ready",
            1.80,
            Contestant::on_one_thread("plain await", count, ready_plain),
        )],
    )
}

async fn ready_plain(count: usize) -> f64 {
    async fn sum(count: usize) -> usize {
        let mut sum = 0;
        for n in 0..count {
            sum += black_box(ready(n)).await;
        }
        sum
    }
    timed(count, sum(count)).await
}

async fn ready_annotated(count: usize) -> f64 {
    #[cancellable]
    async fn sum(count: usize) -> usize {
        let mut sum = 0;
        for n in 0..count {
            sum += black_box(ready(n)).await;
        }
        sum
    }
    timed(count, Scope::new().run(sum(count))).await
}

fn pending_ones(size: Size) -> Family {
    let count = size.of(300_000);
    Family::timed(
        Contestant::on_one_thread("annotated", count, pending_annotated),
        vec![
            Peer::with_goal(
                "await_pending",
                1.05,
                Contestant::on_one_thread("plain await in a scope", count, pending_plain),
            ),
            Peer::with_goal(
                "await_vs_token",
                0.35,
                Contestant::on_one_thread("run_until_cancelled", count, pending_until_cancelled),
            ),
            Peer::for_information(
                "await_vs_select",
                Contestant::on_one_thread("select! on a token", count, pending_select),
            ),
        ],
    )
}

async fn pending_annotated(count: usize) -> f64 {
    #[cancellable]
    async fn waits(count: usize) {
        for _ in 0..count {
            Once::default().await;
        }
    }
    timed(count, polled_on(Scope::new().run(waits(count)))).await
}

async fn pending_plain(count: usize) -> f64 {
    async fn waits(count: usize) {
        for _ in 0..count {
            Once::default().await;
        }
    }
    timed(count, polled_on(Scope::new().run(waits(count)))).await
}

async fn pending_until_cancelled(count: usize) -> f64 {
    async fn waits(count: usize, token: CancellationToken) {
        for _ in 0..count {
            if token.run_until_cancelled(Once::default()).await.is_none() {
                return;
            }
        }
    }
    timed(count, polled_on(waits(count, CancellationToken::new()))).await
}

async fn pending_select(count: usize) -> f64 {
    async fn waits(count: usize, token: CancellationToken) {
        for _ in 0..count {
            tokio::select! {
                () = token.cancelled() => return,
                () = Once::default() => {}
            }
        }
    }
    timed(count, polled_on(waits(count, CancellationToken::new()))).await
}

fn loops(size: Size) -> Family {
    let count = size.of(1_000_000);
    Family::timed(
        Contestant::on_one_thread("#[checkpoint]", count, loop_checkpoint),
        vec![
            Peer::with_goal(
                "loop_checkpoint",
                0.15,
                Contestant::on_one_thread("CancellationToken::is_cancelled", count, loop_token),
            ),
            Peer::for_information(
                "loop_vs_budget",
                Contestant::on_one_thread("tokio's consume_budget", count, loop_budget),
            ),
            Peer::for_information(
                "loop_floor",
                Contestant::on_one_thread("the empty loop", count, loop_empty),
            ),
        ],
    )
}

async fn loop_checkpoint(count: usize) -> f64 {
    #[cancellable]
    async fn sum(count: usize) -> usize {
        let mut sum = 0;
        #[checkpoint]
        for n in 0..count {
            sum += black_box(n);
        }
        sum
    }
    timed(count, Scope::new().run(sum(count))).await
}

async fn loop_token(count: usize) -> f64 {
    async fn sum(count: usize, token: CancellationToken) -> usize {
        let mut sum = 0;
        for n in 0..count {
            if token.is_cancelled() {
                break;
            }
            sum += black_box(n);
        }
        sum
    }
    timed(count, sum(count, CancellationToken::new())).await
}

/// Both on a thread of the blocking pool.
fn blocking_loops(size: Size) -> Family {
    let count = size.of(10_000_000);
    let token = Contestant::on_one_thread("is_cancelled of a token", count, blocking_token);
    Family::timed(
        Contestant::on_one_thread("#[cancellable(blocking)]", count, blocking_checkpoint),
        vec![Peer::with_goal("blocking_checkpoint", 0.2, token)],
    )
    .uncounted()
}

/// In a scope with a deadline, which a checkpoint looks at now and then.
async fn blocking_checkpoint(count: usize) -> f64 {
    #[cancellable(blocking)]
    fn sum(count: usize) -> Result<usize, Cancelled> {
        let mut sum = 0;
        for n in 0..count {
            sum += black_box(n);
        }
        Ok(sum)
    }
    let hour = Duration::from_secs(3600);
    let work = taskscope::blocking(move || {
        let start = Instant::now();
        black_box(sum(count)).map(|_| since(start, count))
    });
    let took = taskscope::timeout(hour, work).await;
    took.and_then(|took| took).expect("nothing is cancelled")
}

async fn blocking_token(count: usize) -> f64 {
    fn sum(count: usize, token: &CancellationToken) -> usize {
        let mut sum = 0;
        for n in 0..count {
            if token.is_cancelled() {
                break;
            }
            sum += black_box(n);
        }
        sum
    }
    let work = move || {
        let start = Instant::now();
        black_box(sum(count, &CancellationToken::new()));
        since(start, count)
    };
    let took = tokio::task::spawn_blocking(work).await;
    took.expect("nothing panics")
}

async fn loop_budget(count: usize) -> f64 {
    async fn sum(count: usize) -> usize {
        let mut sum = 0;
        for n in 0..count {
            tokio::task::consume_budget().await;
            sum += black_box(n);
        }
        sum
    }
    timed(count, sum(count)).await
}

async fn loop_empty(count: usize) -> f64 {
    async fn sum(count: usize) -> usize {
        let mut sum = 0;
        for n in 0..count {
            sum += black_box(n);
        }
        sum
    }
    timed(count, sum(count)).await
}

fn cores(size: Size) -> Family {
    let count = size.of(4_000_000);
    Family::timed(
        Contestant::on_workers("a task on each core", count, on_all_cores),
        vec![Peer::with_goal(
            "contended_check",
            1.10,
            Contestant::on_workers("one task alone", count, on_one_core),
        )],
    )
    .uncounted()
}

async fn on_all_cores(count: usize) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    checks(count, cores).await
}

async fn on_one_core(count: usize) -> f64 {
    checks(count, 1).await
}

/// What a checkpoint costs on average, when this many tasks of one group pass them.
async fn checks(count: usize, tasks: usize) -> f64 {
    #[cancellable]
    async fn check(count: usize) -> Value<f64> {
        let start = std::time::Instant::now();
        #[checkpoint]
        for n in 0..count {
            black_box(n);
        }
        Value(since(start, count))
    }
    let costs = TaskGroup::<BoxError>::new().run(async |g| {
        let tasks: Vec<_> = (0..tasks).map(|_| g.spawn(check(count))).collect();
        let mut costs = Vec::new();
        for task in tasks {
            costs.push(task.await?);
        }
        Ok(costs)
    });
    let costs = costs.await.expect("no task fails");
    costs.iter().sum::<f64>() / tasks as f64
}
