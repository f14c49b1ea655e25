//! [`cancel_everywhere`]: one run for each point at which it can be cancelled.

mod point;
mod runs;
mod text;

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::test::PausedClock;

pub use point::Point;

/// Runs what `run` makes once to count the checkpoints and suspension points
/// that it passes, then once more for each, and cancels it just there.
///
/// [`check`](Everywhere::check) starts it and panics at the first run that
///
/// - hangs, that is, takes longer than its [`patience`](Everywhere::patience);
/// - panics;
/// - leaves a task behind, also one spawned with `tokio::spawn`;
/// - loses a cleanup, or exceeds its grace period;
/// - breaks the invariant.
///
/// The message has the file and line at which it was cancelled, and what to set
/// `TASKSCOPE_POINT` to, to run only this one, with a debugger or `println!`.
///
/// Each run has a scope, and a current-thread runtime, of its own, so that it
/// passes the same points in the same order if its code depends on nothing outside of it.
/// `run` is called anew each time and has to make everything anew, too.
/// It is for plain `#[test]` functions: inside a runtime it cannot start its own.
/// It counts only what its own runs do, so it works both under `cargo test`, where
/// tests share a process, and under `cargo nextest run`, where they do not.
///
/// ```
/// use std::cell::Cell;
/// use taskscope::cancellable;
/// use taskscope::testing::cancel_everywhere;
/// use tokio::task::yield_now;
///
/// #[cancellable]
/// async fn transfer(from: &Cell<i32>, to: &Cell<i32>) {
///     yield_now().await;
///     from.set(from.get() - 10);
///     to.set(to.get() + 10); // no await in between
///     yield_now().await;
/// }
///
/// let (from, to) = (Cell::new(0), Cell::new(0));
/// let coverage = cancel_everywhere(|| async {
///     from.set(100);
///     to.set(0);
///     transfer(&from, &to).await;
/// })
/// .check(|| from.get() + to.get() == 100);
/// assert_eq!(coverage.points(), 4); // two checkpoints, and each yields once
/// ```
#[track_caller]
pub fn cancel_everywhere<F, Fut>(run: F) -> Everywhere<F>
where
    F: FnMut() -> Fut,
    Fut: Future,
{
    Everywhere {
        run,
        limit: None,
        suspensions_only: false,
        start_paused: false,
        patience: None,
        grace: None,
        stop: false,
        fail: None,
        blocking: false,
        location: Location::caller(),
    }
}

type SilentHook = Arc<dyn Fn(&Point) + Send + Sync>;

/// The settings of [`cancel_everywhere`]; started by [`check`](Self::check).
///
/// ```
/// use std::time::Duration;
/// use taskscope::cancellable;
/// use taskscope::testing::cancel_everywhere;
///
/// #[cancellable]
/// async fn work() {
///     tokio::task::yield_now().await;
/// }
/// cancel_everywhere(work)
///     .limit(100)
///     .patience(Duration::from_secs(1))
///     .also_stop()
///     .check(|| true);
/// ```
#[must_use = "nothing is tried until `check` is called"]
pub struct Everywhere<F> {
    run: F,
    limit: Option<usize>,
    suspensions_only: bool,
    start_paused: bool,
    patience: Option<Duration>,
    grace: Option<Duration>,
    stop: bool,
    fail: Option<SilentHook>,
    blocking: bool,
    location: &'static Location<'static>,
}

impl<F> fmt::Debug for Everywhere<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Everywhere")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

impl<F> Everywhere<F> {
    /// Tries at most this many points, evenly spread, where a run passes more.
    pub fn limit(mut self, points: usize) -> Self {
        self.limit = Some(points.max(1));
        self
    }

    /// Tries only the await points at which a task waits: where a future of plain
    /// Rust can be dropped. Left out are checkpoints that are passed, those of loops
    /// among them. Enough for code that changes nothing between its awaits.
    pub fn suspensions_only(mut self) -> Self {
        self.suspensions_only = true;
        self
    }

    /// Runs on tokio's paused clock, where sleeping takes no time. Needs feature
    /// `test-util`.
    pub fn start_paused(mut self, paused: impl PausedClock) -> Self {
        self.start_paused = paused.paused();
        self
    }

    /// Sets how long one run may take, on its own clock, before it counts as hung. The
    /// default is 10 seconds, on the paused clock an hour.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    /// Sets the grace period of each run; see [`Scope::grace`](crate::Scope::grace). There is none by
    /// default, and what does not end counts as hung.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = Some(grace);
        self
    }

    /// Also asks to stop at each point, which the run has to heed: without being
    /// cancelled it must end within its patience.
    pub fn also_stop(mut self) -> Self {
        self.stop = true;
        self
    }

    /// Also calls `fail` at each point, without cancelling: to make a mock fail
    /// from there on.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use taskscope::testing::cancel_everywhere;
    ///
    /// async fn write(broken: &AtomicBool) -> Result<(), &'static str> {
    ///     taskscope::checkpoint().await;
    ///     if broken.load(Ordering::Relaxed) { Err("disk full") } else { Ok(()) }
    /// }
    ///
    /// let broken = Arc::new(AtomicBool::new(false));
    /// let switch = broken.clone();
    /// cancel_everywhere(|| async {
    ///     broken.store(false, Ordering::Relaxed);
    ///     write(&broken).await.ok();
    /// })
    /// .also_fail(move |_| switch.store(true, Ordering::Relaxed))
    /// .check(|| ());
    /// ```
    pub fn also_fail(mut self, fail: impl Fn(&Point) + Send + Sync + 'static) -> Self {
        self.fail = Some(Arc::new(fail));
        self
    }

    /// Also counts the checkpoints that work on the blocking pool passes: those of
    /// `#[cancellable(blocking)]` and
    /// [`checkpoint_blocking`](crate::thread::checkpoint_blocking()). Without it such work is
    /// cancelled only where it is waited for, which often is before it begins.
    ///
    /// Where the run does something else meanwhile, the points may come in another
    /// order each time.
    ///
    /// ```
    /// use taskscope::testing::cancel_everywhere;
    /// use taskscope::{Cancelled, blocking, thread::checkpoint_blocking};
    ///
    /// fn work() -> Result<(), Cancelled> {
    ///     checkpoint_blocking()?;
    ///     checkpoint_blocking()
    /// }
    /// let everywhere = cancel_everywhere(|| blocking(work)).also_blocking();
    /// let coverage = everywhere.check(|| true);
    /// assert!(coverage.points() >= 2); // both, and where it is waited for
    /// ```
    pub fn also_blocking(mut self) -> Self {
        self.blocking = true;
        self
    }
}

/// What [`check`](Everywhere::check) has tried without finding a mistake; `Display` is one line.
///
/// ```
/// use taskscope::cancellable;
/// use taskscope::testing::cancel_everywhere;
///
/// #[cancellable]
/// async fn work() {
///     tokio::task::yield_now().await;
/// }
/// let coverage = cancel_everywhere(work).check(|| true);
/// println!("{coverage}");
/// assert_eq!(coverage.points(), 2); // the checkpoint, and where it waits
/// assert_eq!(coverage.runs(), 3); // the first one counts the points
/// assert_eq!(coverage.missed(), 0);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Coverage {
    points: usize,
    runs: usize,
    missed: usize,
    elapsed: Duration,
}

impl Coverage {
    /// Returns how many points one run passes.
    pub fn points(&self) -> usize {
        self.points
    }

    /// Returns how many runs there were, the first one included.
    pub fn runs(&self) -> usize {
        self.runs
    }

    /// Returns how many runs ended before they came to their point: what they do is not
    /// always the same.
    pub fn missed(&self) -> usize {
        self.missed
    }

    /// Returns how long all runs took together.
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points, {} runs", self.points, self.runs)?;
        if self.missed > 0 {
            write!(f, ", {} missed", self.missed)?;
        }
        write!(f, ", {:.1?}", self.elapsed)
    }
}
