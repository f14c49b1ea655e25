//! The last steps of a program: from the end of `main`'s scope to the end of its runtime, or
//! of the process.
//!
//! ```text
//! main returns or panics ── work that no scope owns ends ─────────┐
//!                           at most `grace`                       ├─▶ value, panic
//! main was cancelled ────── tasks dropped, reports told ── exit ──┴─▶ exit code
//!                           what is left of `grace`
//! ```
//!
//! The thread that waits here does nothing that may block. In particular, the runtime is
//! dropped on a helper thread, because that drops its tasks, which may report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime};

use crate::base::alarm::Countdown;
use crate::base::aside::{self, Aside, ThreadEnd};
use crate::base::clock::Moment;
use crate::notes::report::{self, print};
use crate::process::signal::Signal;
use crate::tree::node::{Node, flag};
use crate::tree::reason::{Cancelled, Reason};

/// How long the last steps may take when the grace period is over: dropping what was
/// aborted, and delivering reports that are due.
pub(crate) const LINGER: Duration = Duration::from_millis(250);

/// Stands for "no limit", yet can be added to an `Instant`.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long the program waits before it says what it waits for.
const SILENCE: Duration = Duration::from_secs(1);

/// The end of what runs below a root.
#[derive(Debug)]
pub(crate) struct RootEnding {
    root: Arc<Node>,
    grace: Duration,
}

impl RootEnding {
    pub(crate) fn new(root: Arc<Node>, grace: Duration) -> RootEnding {
        RootEnding { root, grace }
    }

    /// Returns the end of the grace period. If it has not begun, it begins now.
    pub(crate) fn due(&self) -> Instant {
        let origin = self.root.origin();
        let spent = match origin {
            _ if self.root.flags_acquire() & flag::ABORTED != 0 => self.grace,
            Some(origin) => Moment::now().since(origin.at),
            None => Duration::ZERO,
        };
        let left = self.grace.saturating_sub(spent);
        Instant::now() + left.clamp(LINGER, LONG)
    }

    /// Shuts the runtime down and waits, at most until `due`, for work that no scope owns.
    /// `how` says how `main` has ended.
    pub(crate) fn wait(&self, runtime: Runtime, how: &str, due: Instant) {
        let gone = end_runtime(runtime, due);
        let silent = due.min(Instant::now() + SILENCE);
        if !gone.wait(silent) && Instant::now() < due {
            let note = waiting_for(how, due.saturating_duration_since(Instant::now()));
            Aside::new("taskscope-print").run(move || print(&note));
            gone.wait(due);
        }
        report::settle(due);
    }

    /// Exits the process because `main` was cancelled. Waits, at most until `due`, until the
    /// runtime's tasks are dropped and all reports are delivered; not for blocking work.
    pub(crate) fn exit(
        &self,
        runtime: Runtime,
        cancelled: Cancelled,
        signal: Option<Signal>,
        due: Instant,
    ) -> ! {
        let code = exit_code(cancelled.reason(), signal);
        let mut said = Aside::new("taskscope-print");
        if code == FAILURE {
            said.run(move || print(&format!("taskscope: {}\n", cancelled.text())));
        }
        let handle = runtime.handle().clone();
        let gone = end_runtime(runtime, due);
        wait_for_tasks(&gone, &handle, due);
        report::settle(due);
        said.finish(due);
        let most = due.saturating_duration_since(Instant::now()) + LINGER;
        exit(code, most)
    }
}

/// The exit code of a `main` that was not cancelled by a signal.
const FAILURE: i32 = 1;

/// The exit code after a cancellation: the signal's, if it is what has cancelled `main`.
pub(crate) fn exit_code(reason: &Reason, signal: Option<Signal>) -> i32 {
    match (reason, signal) {
        (Reason::Shutdown, Some(signal)) => signal.exit_code(),
        _ => FAILURE,
    }
}

fn waiting_for(how: &str, left: Duration) -> String {
    // At most one decimal: 9, or 1.5.
    let seconds = (left.as_secs_f64() * 10.0).round() / 10.0;
    format!(
        "taskscope: main has {how}; waiting for work on tokio's blocking pool that no scope owns \
         (a file write, DNS, stdin), at most {seconds} s more\n"
    )
}

/// Drops the runtime on a helper thread, which waits at most until `due` for the blocking
/// pool.
fn end_runtime(runtime: Runtime, due: Instant) -> ThreadEnd {
    /// A runtime that, if the helper thread cannot be started, is dropped without waiting.
    struct Doomed(Option<Runtime>);

    impl Drop for Doomed {
        fn drop(&mut self) {
            if let Some(runtime) = self.0.take() {
                runtime.shutdown_background();
            }
        }
    }

    let mut doomed = Doomed(Some(runtime));
    let spawned = aside::spawn("taskscope-end", move || {
        if let Some(runtime) = doomed.0.take() {
            runtime.shutdown_timeout(due.saturating_duration_since(Instant::now()));
        }
    });
    spawned.unwrap_or_else(|_| ThreadEnd::already())
}

/// Waits, at most until `due`, until the tasks of a runtime that shuts down are dropped and
/// their reports delivered. Does not wait for its blocking pool.
fn wait_for_tasks(gone: &ThreadEnd, runtime: &Handle, due: Instant) {
    const LOOK: Duration = Duration::from_millis(2);

    // tokio takes a task off its count a moment before it drops the task.
    let mut busy = Instant::now();
    while Instant::now() < due && !gone.wait(Instant::now() + LOOK) {
        if runtime.metrics().num_alive_tasks() > 0 || report::is_under_way() {
            busy = Instant::now();
        } else if busy.elapsed() >= LINGER {
            return;
        }
    }
}

/// Exits the process after a time, whatever the other threads wait for, unless the countdown is
/// dropped first.
pub(crate) fn exit_after(most: Duration, code: i32) -> Countdown {
    Countdown::start("taskscope-exit", move |is_over| {
        if is_over(most) {
            exit_at_once(code);
        }
    })
}

/// Exits the process. Gives `atexit` handlers and the flush of standard output at most
/// `most`: they may wait for a reader, or for a lock.
pub(crate) fn exit(code: i32, most: Duration) -> ! {
    let _last_resort = exit_after(most, code);
    std::process::exit(code)
}

/// Exits the process without running `atexit` handlers.
fn exit_at_once(code: i32) -> ! {
    #[cfg(unix)]
    signal_hook::low_level::exit(code);
    #[cfg(not(unix))]
    std::process::exit(code)
}
