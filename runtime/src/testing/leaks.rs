//! What a future leaves behind.

use std::future::{Future, IntoFuture, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::time::Duration;

use tokio::runtime::Handle;

use crate::notes::report::{Report, ReportKind, Sink, folded};
use crate::process::entry::{alive_beyond, still_running};
use crate::scope::scope::Scope;

/// How long what is about to end may take to do so, in real time.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);

/// Runs `future` and asserts that it leaves nothing behind: no task in the
/// tree or, spawned with `tokio::spawn`, on the current runtime, and no cleanup
/// that was lost or cut.
///
/// [`#[taskscope::test]`](macro@crate::test) does the same for a whole test. The
/// cleanups are those lost on the thread that polls it: on a multi-thread
/// runtime use that attribute. Other tasks of the runtime that begin meanwhile
/// are taken for leaks; those of other runtimes are not, so that it works under
/// `cargo test`, where tests share a process, as under `cargo nextest run`.
///
/// # Panics
///
/// When something is left, with names and lines; and when `future` panics.
///
/// # Cancel safety
///
/// As safe as `future`. Dropped, it checks nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskscope::testing::assert_no_leaks;
///
/// assert_eq!(assert_no_leaks(async { 7 }).await, 7);
/// # }
/// ```
#[track_caller]
pub fn assert_no_leaks<F: IntoFuture>(future: F) -> impl Future<Output = F::Output> {
    let location = Location::caller();
    async move {
        let sink = Sink::default();
        let before = Handle::current().metrics().num_alive_tasks();
        let (output, mut left) = run(Scope::at("assert_no_leaks", location), future, &sink).await;
        let more = alive_beyond(before, PATIENCE).await;
        if more > 0 {
            left.push(spawned(more));
        }
        let mut reports = sink.take();
        reports.retain(is_bad);
        left.extend(folded(&reports));
        assert!(
            left.is_empty(),
            "the future at {location} left something behind:\n  {}",
            left.join("\n  ")
        );
        output
    }
}

async fn run<F: IntoFuture>(scope: Scope<'_>, future: F, sink: &Sink) -> (F::Output, Vec<String>) {
    let root = scope.node().clone();
    let mut run = pin!(scope.run(async {
        let output = future.await;
        (output, still_running(&root))
    }));
    match poll_fn(|cx| sink.collect(|| run.as_mut().poll(cx))).await {
        Ok(ended) => ended,
        // Nobody has a handle to it, and it has no deadline.
        Err(cancelled) => panic!("the future ended early: {}", cancelled.text()),
    }
}

pub(super) fn spawned(tasks: usize) -> String {
    format!("tasks spawned with `tokio::spawn` were still running: {tasks}")
}

/// Whether a report tells of something that was left behind.
pub(super) fn is_bad(report: &Report) -> bool {
    use ReportKind::{Abandoned, LostCleanup, Overrun};
    matches!(report.kind(), LostCleanup | Overrun | Abandoned)
}
