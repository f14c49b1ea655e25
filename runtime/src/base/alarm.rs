//! The time limit of a test, in real time.
//!
//! A test that hangs may wait for ever, spin, or block its thread, and tokio's clock may be
//! paused. So a thread keeps the time:
//!
//! ```text
//! test starts ── limit ──▶ the root is woken ── 5 s ──▶ the process aborts
//!                          │                            └ its thread has not come back
//!                          └ it fails with the tree
//! ```

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::Write;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What the limit is called in the environment, in seconds.
const VARIABLE: &str = "TASKSCOPE_TEST_TIMEOUT";

/// The limit of a test that has none of its own.
const DEFAULT: Duration = Duration::from_secs(60);

/// How long the thread of a test may take to notice that its time is over.
const RETURN: Duration = Duration::from_secs(5);

/// The limit that counts: that of the environment, or the test's own, or the default.
/// `None` means no limit.
pub(crate) fn limit(own: Option<Duration>) -> Option<Duration> {
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

/// Rings when the time is over, until it is dropped.
#[derive(Default)]
pub(crate) struct Alarm {
    bell: Arc<Bell>,
    /// Dropped to end the thread.
    _running: Option<mpsc::Sender<()>>,
}

#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Alarm {
    /// Starts the clock. If the alarm is still there 5 s after the limit, the process aborts
    /// with what `stuck` says. Without a thread for it there is no limit.
    pub(crate) fn set(limit: Duration, stuck: impl FnOnce() -> String + Send + 'static) -> Alarm {
        let bell = Arc::new(Bell::default());
        let (running, ended) = mpsc::channel();
        let ringing = bell.clone();
        let thread = std::thread::Builder::new().name("taskscope-alarm".to_owned());
        let started = thread.spawn(move || {
            let is_over = |time| ended.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            if is_over(limit) {
                ringing.ring();
                if is_over(RETURN) {
                    abort(format_args!("{}", stuck()));
                }
            }
        });
        Alarm {
            bell,
            _running: started.is_ok().then_some(running),
        }
    }

    /// Polls `future` until it is ready, or the alarm rings: then `None`.
    pub(crate) async fn run<F: Future>(&self, mut future: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|cx| {
            if self.bell.has_rung(cx) {
                return Poll::Ready(None);
            }
            future.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

impl Bell {
    fn ring(&self) {
        self.rung.store(true, Ordering::SeqCst);
        let waker = self.waker().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Notes the waker before the look: either the look sees the ring, or the ring finds
    /// the waker.
    fn has_rung(&self, cx: &Context<'_>) -> bool {
        let waker = cx.waker().clone();
        let former = self.waker().replace(waker);
        drop(former);
        self.rung.load(Ordering::SeqCst)
    }

    fn waker(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the process, after a last word: nothing else can end a thread.
pub(crate) fn abort(text: fmt::Arguments<'_>) -> ! {
    // In one piece, and not by `eprintln!`, which the test harness keeps to itself.
    let text = format!("{text}\n");
    std::io::stderr().write_all(text.as_bytes()).ok();
    std::process::abort()
}
