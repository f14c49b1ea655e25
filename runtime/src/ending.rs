//! From the end of `main`'s scope to the end of its runtime, or of the process.
//!
//! ```text
//! main returns or panics ── work that no scope owns ends ─────────┐
//!                           at most `grace`                       ├─▶ value, panic
//! main was cancelled ────── tasks dropped, reports told ── exit ──┴─▶ exit code
//!                           what is left of `grace`
//! ```
//!
//! Nothing that may block is done on the thread that waits here: the runtime is dropped on
//! a thread of its own, for that runs the `Drop` of tasks, and their reports.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime};

use crate::aside::{self, Aside, Done};
use crate::clock::Moment;
use crate::node::{Node, flag};
use crate::reason::{Cancelled, Reason};
use crate::report::{self, print};
use crate::signal::Signal;

/// How long what comes last may take: what is aborted, to be dropped; reports that are
/// due when the grace period is over, to be told.
pub(crate) const LINGER: Duration = Duration::from_millis(250);

/// Longer than anyone waits, and short enough to be added to an instant.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long nobody is told what is waited for.
const SILENCE: Duration = Duration::from_secs(1);

/// The end of what runs below a root.
#[derive(Debug)]
pub(crate) struct Ending {
    root: Arc<Node>,
    grace: Duration,
}

impl Ending {
    pub(crate) fn new(root: Arc<Node>, grace: Duration) -> Ending {
        Ending { root, grace }
    }

    /// When the grace period is over; if it has not begun, it begins now.
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

    /// Ends the runtime, and waits until then for what no scope owns. `how` says what
    /// `main` has done.
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

    /// Ends the process because `main` was cancelled. Waits until then for tasks that are
    /// being dropped and for reports, not for blocking work.
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

/// The exit code where something else than a signal has ended `main`.
const FAILURE: i32 = 1;

/// The exit code after a cancellation: the signal's, if it is what has cancelled `main`.
pub(crate) fn exit_code(reason: &Reason, signal: Option<Signal>) -> i32 {
    match (reason, signal) {
        (Reason::Shutdown, Some(signal)) => signal.exit_code(),
        _ => FAILURE,
    }
}

fn waiting_for(how: &str, left: Duration) -> String {
    // As many digits as one wants to read: 9, or 1.5.
    let seconds = (left.as_secs_f64() * 10.0).round() / 10.0;
    format!(
        "taskscope: main has {how}; waiting for work on tokio's blocking pool that no scope owns \
         (a file write, DNS, stdin), at most {seconds} s more\n"
    )
}

/// Drops the runtime on a thread of its own, which waits until then for the blocking pool.
fn end_runtime(runtime: Runtime, due: Instant) -> Done {
    /// Dropped early, if there is no thread for it, it waits for nothing.
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
    spawned.unwrap_or_else(|_| Done::already())
}

/// Waits until the tasks of a runtime that is being dropped are gone, and have reported
/// what they lost; not for its blocking pool.
fn wait_for_tasks(gone: &Done, runtime: &Handle, due: Instant) {
    const LOOK: Duration = Duration::from_millis(2);

    // tokio takes a task off its count a moment before it drops it.
    let mut busy = Instant::now();
    while Instant::now() < due && !gone.wait(Instant::now() + LOOK) {
        if runtime.metrics().num_alive_tasks() > 0 || report::is_under_way() {
            busy = Instant::now();
        } else if busy.elapsed() >= LINGER {
            return;
        }
    }
}

/// Ends the process when its time is over, whatever the other threads wait for; unless
/// it is dropped before.
#[derive(Debug)]
#[must_use = "it does nothing once it is dropped"]
pub(crate) struct LastResort {
    _running: Sender<Infallible>,
}

impl LastResort {
    pub(crate) fn after(most: Duration, code: i32) -> LastResort {
        let (running, ended) = mpsc::channel::<Infallible>();
        // Without a thread for it, the process is as likely to end as any other.
        let spawned = aside::spawn("taskscope-exit", move || {
            if ended.recv_timeout(most) == Err(RecvTimeoutError::Timeout) {
                exit_at_once(code);
            }
        });
        drop(spawned);
        LastResort { _running: running }
    }
}

/// Exits the process. Handlers of `atexit` and the buffer of standard output may take
/// so long at most: either may wait for a reader, or for a lock.
pub(crate) fn exit(code: i32, most: Duration) -> ! {
    let _last_resort = LastResort::after(most, code);
    std::process::exit(code)
}

/// Exits the process without running anything of it.
fn exit_at_once(code: i32) -> ! {
    #[cfg(unix)]
    signal_hook::low_level::exit(code);
    #[cfg(not(unix))]
    std::process::exit(code)
}
