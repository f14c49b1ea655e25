//! Time limits in real time, kept by threads.
//!
//! A [`Countdown`] acts when a time is over, whatever the other threads do. An [`Alarm`] is the
//! limit of a test, which may wait for ever, spin, or block its thread, while tokio's clock may
//! be paused:
//!
//! ```text
//! test starts ── limit ──▶ the test is woken ── 5 s ──▶ the process aborts
//!                          │                            └ its thread has not come back
//!                          └ it fails with the tree
//! ```

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io::Write;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::base::aside;

/// What the limit is called in the environment, in seconds.
const VARIABLE: &str = "TASKSCOPE_TEST_TIMEOUT";

/// The limit of a test that has none of its own.
const DEFAULT: Duration = Duration::from_secs(60);

/// How long the thread of a test may take to notice that its time is over.
const RETURN: Duration = Duration::from_secs(5);

/// The limit that counts: that of the environment, or the test's own, or the default.
/// `None` means no limit.
fn limit(own: Option<Duration>) -> Option<Duration> {
    // Their clocks have nothing to do with how long a test should take.
    if cfg!(any(miri, taskscope_loom)) {
        return None;
    }
    let Some(text) = std::env::var_os(VARIABLE) else {
        return Some(own.unwrap_or(DEFAULT));
    };
    let text = text.to_string_lossy();
    let seconds = text.trim().parse().ok();
    match seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()) {
        Some(Duration::ZERO) => None,
        Some(limit) => Some(limit),
        None => panic!(
            "{VARIABLE}=`{text}` is not a time, help: write a number of seconds, or 0 for no limit"
        ),
    }
}

/// A thread that waits for times to be over, until this is dropped.
#[derive(Debug)]
#[must_use = "the thread ends once this is dropped"]
pub(crate) struct Countdown {
    _running: Sender<Infallible>,
}

impl Countdown {
    /// Starts the thread. `steps` is given a function that waits for a time, and returns whether
    /// it is over: false once the countdown was dropped. If the system has no thread for it,
    /// nothing is done.
    pub(crate) fn start(
        name: &str,
        steps: impl FnOnce(&dyn Fn(Duration) -> bool) + Send + 'static,
    ) -> Countdown {
        let (running, ended) = mpsc::channel();
        let is_over = move |time| ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
        drop(aside::spawn(name, move || steps(&is_over)));
        Countdown { _running: running }
    }
}

/// Rings when the time is over, until it is dropped.
pub(crate) struct Alarm {
    rung: oneshot::Receiver<Duration>,
    _countdown: Option<Countdown>,
}

impl Alarm {
    /// Starts the clock, unless there is no [`limit`]. If the alarm is still there 5 s after the
    /// limit, the process aborts with what `stuck` says.
    pub(crate) fn set(
        own: Option<Duration>,
        stuck: impl FnOnce(Duration) -> String + Send + 'static,
    ) -> Alarm {
        let (ring, rung) = oneshot::channel();
        let countdown = limit(own).map(|limit| {
            Countdown::start("taskscope-alarm", move |is_over| {
                if is_over(limit) {
                    ring.send(limit).ok();
                    if is_over(RETURN) {
                        abort(format_args!("{}", stuck(limit)));
                    }
                }
            })
        });
        Alarm {
            rung,
            _countdown: countdown,
        }
    }

    /// Waits until the time is over, and returns the limit.
    pub(crate) async fn rung(&mut self) -> Duration {
        match (&mut self.rung).await {
            Ok(limit) => limit,
            // There is no limit.
            Err(_) => pending().await,
        }
    }
}

/// Ends the process, after a last word: nothing else can end a thread.
pub(crate) fn abort(text: fmt::Arguments<'_>) -> ! {
    // In one piece, and not by `eprintln!`, which the test harness keeps to itself.
    let text = format!("{text}\n");
    std::io::stderr().write_all(text.as_bytes()).ok();
    std::process::abort()
}
