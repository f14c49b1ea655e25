//! One run of code under test, and what it leaves behind.
//!
//! `#[taskscope::test]`, [`assert_no_leaks`](super::assert_no_leaks) and
//! [`cancel_everywhere`](super::cancel_everywhere) take the same steps:
//!
//! ```text
//! collect ─┬─ run             the code returns, is cancelled, or hangs
//!          └─ wait_for_tasks  tasks of the runtime that are about to end have time to do so
//! findings                    tasks that are still running, cleanups that were lost
//! ```
//!
//! A test collects the reports of all threads of its runtime, and its verdict is a panic.
//! `cancel_everywhere` does the same for each of its runs, but makes a text of the findings.
//! `assert_no_leaks` runs on the caller's runtime: it collects the reports of the polls of its
//! future alone, and does not count the tasks that the runtime had before.
//!
//! A run that hangs is dropped. The cleanups that are lost with it are not reported: they would
//! hide the text that shows where the run hangs.

use std::future::{IntoFuture, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::{unconstrained, yield_now};

use crate::notes::report::{Report, ReportKind, Sink, folded, mute_losses};
use crate::scope::scope::Scope;
use crate::tree::node::Node;
use crate::tree::reason::Cancelled;

/// How long tasks that are about to end, or to be dropped, may take, in real time.
const PATIENCE: Duration = Duration::from_millis(200);

/// Collects what a run leaves behind.
pub(super) struct Trial {
    /// What is run, as the messages name it: "test `a`".
    subject: String,
    sink: Sink,
    left: Vec<String>,
}

/// How a run ended: with its value, and the tasks that were still running when it returned; or
/// cancelled. The outer error is that it hung, with the text of the message.
pub(super) type RunEnd<T> = Result<Result<(T, Vec<String>), Cancelled>, String>;

/// Runs `future` in `scope`, unless `hangs` completes first: then the future is dropped.
pub(super) async fn run<F: IntoFuture>(
    scope: Scope<'_>,
    future: F,
    hangs: impl Future<Output = String>,
) -> RunEnd<F::Output> {
    let root = scope.node().clone();
    let mut run = Box::pin(scope.run(async {
        let output = future.await;
        (output, still_running(&root))
    }));
    // A run that spends tokio's budget in each poll would put off a timer for ever.
    let mut hangs = pin!(unconstrained(hangs));
    let ended = poll_fn(|cx| match run.as_mut().poll(cx) {
        Poll::Ready(ended) => Poll::Ready(Ok(ended)),
        Poll::Pending => hangs.as_mut().poll(cx).map(Err),
    })
    .await;
    if ended.is_err() {
        mute_losses(|| drop(run)).ok();
    }
    ended
}

impl Trial {
    pub(super) fn new(subject: String) -> Trial {
        Trial {
            subject,
            sink: Sink::default(),
            left: Vec::new(),
        }
    }

    /// Collects the reports of this thread for as long as `f` runs.
    pub(super) fn collect<R>(&mut self, f: impl FnOnce(&mut Trial) -> R) -> R {
        let sink = self.sink.clone();
        sink.collect(|| f(self))
    }

    /// Starts a runtime whose threads have their reports collected, and call `on_start`.
    #[cfg_attr(not(feature = "test-util"), allow(unused_variables))]
    pub(super) fn runtime(
        &self,
        mut builder: Builder,
        start_paused: bool,
        on_start: impl Fn() + Send + Sync + 'static,
    ) -> Runtime {
        let sink = self.sink.clone();
        builder.enable_all().on_thread_start(move || {
            sink.install();
            on_start();
        });
        #[cfg(feature = "test-util")]
        builder.start_paused(start_paused);
        match builder.build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("cannot start tokio's runtime: {error}"),
        }
    }

    /// Polls a [`run`] on a runtime that was started for it, and ends the runtime.
    pub(super) fn block_on<T>(
        &mut self,
        runtime: Runtime,
        run: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let ended = runtime.block_on(run);
        if ended.is_err() {
            // What hangs may hang for ever.
            mute_losses(|| runtime.shutdown_background()).ok();
            return ended;
        }
        runtime.block_on(self.wait_for_tasks(0));
        // What is dropped with it may have cleanups to lose.
        runtime.shutdown_timeout(PATIENCE);
        ended
    }

    /// Notes the tasks of the current runtime beyond those `known` before, once those that are
    /// about to end had time to do so.
    pub(super) async fn wait_for_tasks(&mut self, known: usize) {
        let metrics = Handle::current().metrics();
        let alive = || metrics.num_alive_tasks().saturating_sub(known);
        let since = Instant::now();
        while alive() > 0 && since.elapsed() <= PATIENCE {
            yield_now().await;
        }
        let alive = alive();
        if alive > 0 {
            self.left.push(format!(
                "tasks spawned with `tokio::spawn` were still running: {alive}"
            ));
        }
    }

    /// What was left behind, one text each.
    pub(super) fn findings(self) -> Vec<String> {
        let mut reports = self.sink.take();
        reports.retain(is_loss);
        self.left.into_iter().chain(folded(&reports)).collect()
    }

    /// Returns the value of the run.
    ///
    /// # Panics
    ///
    /// When the run hung, was cancelled, or left something behind.
    #[track_caller]
    pub(super) fn verdict<T>(mut self, ended: RunEnd<T>) -> T {
        let subject = std::mem::take(&mut self.subject);
        let (output, mut left) = match ended {
            Ok(Ok(returned)) => returned,
            Ok(Err(cancelled)) => panic!("{subject} ended early: {}", cancelled.text()),
            Err(text) => panic!("{subject} {text}"),
        };
        left.extend(self.findings());
        assert!(
            left.is_empty(),
            "{subject} left something behind:\n  {}",
            left.join("\n  ")
        );
        output
    }
}

/// What is still there below a node, when that alone should be.
fn still_running(root: &Arc<Node>) -> Vec<String> {
    let tasks = root.leaves_below(usize::MAX).into_iter();
    let texts = tasks.map(|task| {
        let (path, location, last) = (task.path, task.location, task.last);
        format!(
            "task `{path}` was still running (spawned at {location}, last checkpoint at {last})"
        )
    });
    texts.collect()
}

/// Whether a report tells of something that was left behind.
fn is_loss(report: &Report) -> bool {
    use ReportKind::{Abandoned, LostCleanup, Overrun};
    matches!(report.kind(), LostCleanup | Overrun | Abandoned)
}
