//! [`cancel_everywhere`]: one run for each point at which it can be cancelled.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};

use super::invariant::{Invariant, ask};
use super::leaks::{PATIENCE, is_bad, spawned};
use crate::base::alarm::abort;
use crate::base::caught::catch;
use crate::notes::report::{Sink, folded, mute_losses};
use crate::observe::Tree;
use crate::poll::budget;
use crate::poll::probe::{self, Act, Probe, Reached, Stood};
use crate::process::entry::{PausedClock, alive_beyond};
use crate::scope::scope::Scope;
use crate::tree::node::Node;
use crate::tree::reason::Reason;

/// Which single point to try, and how: `cancel:17`.
const VARIABLE: &str = "TASKSCOPE_POINT";

/// How long a run may block the thread, in real time, before the process ends.
const DEADLOCK: Duration = Duration::from_secs(60);

/// How many of those that hang are named with their line; the tree has them all.
const MOST_NAMED: usize = 5;

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
/// passes the same points in the same order if what it does depends on nothing
/// else. `run` is called anew each time and has to make everything anew, too.
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

/// A point at which a run can be cancelled.
///
/// ```
/// use std::sync::mpsc;
/// use taskscope::testing::{PointKind, cancel_everywhere};
///
/// let (tell, told) = mpsc::channel();
/// cancel_everywhere(|| async { taskscope::checkpoint().await })
///     .also_fail(move |point| tell.send(point.clone()).unwrap())
///     .check(|| true);
/// let point = told.recv().unwrap();
/// assert_eq!((point.number(), point.kind()), (1, PointKind::Checkpoint));
/// assert_eq!(point.location().file(), file!());
/// ```
#[derive(Clone, Debug)]
pub struct Point {
    number: usize,
    reached: Reached,
}

/// What a [`Point`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PointKind {
    /// A checkpoint that was passed: an await of annotated code is about to
    /// begin, or a round of a loop.
    Checkpoint,
    /// A task waits, at the await behind the checkpoint that it passed last.
    Suspension,
}

impl Point {
    /// Returns the point's number in the run, from one on.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Returns whether the point is a checkpoint or an await at which a task waits.
    pub fn kind(&self) -> PointKind {
        match self.reached.kind {
            probe::ReachedKind::Checkpoint => PointKind::Checkpoint,
            probe::ReachedKind::Suspension => PointKind::Suspension,
        }
    }

    /// Returns the source line of the checkpoint that was passed last.
    pub fn location(&self) -> &'static Location<'static> {
        self.reached.location
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

/// What is done at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Cancel,
    Stop,
    Fail,
}

impl How {
    fn word(self) -> &'static str {
        match self {
            How::Cancel => "cancel",
            How::Stop => "stop",
            How::Fail => "fail",
        }
    }

    fn done(self) -> &'static str {
        match self {
            How::Cancel => "cancelled",
            How::Stop => "asked to stop",
            How::Fail => "made to fail",
        }
    }
}

/// How one run went.
struct Ran {
    points: usize,
    reached: Option<(Reached, Option<&'static Location<'static>>)>,
    wrong: Vec<String>,
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

    /// Sets the grace period of each run; see [`Scope::grace`]. There is none by
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

    fn act(&self, how: How, number: usize, root: &Arc<Node>) -> Act {
        let (root, fail) = (Arc::downgrade(root), self.fail.clone());
        Arc::new(move |reached| {
            let Some(root) = root.upgrade() else { return };
            match (how, &fail) {
                (How::Cancel, _) => drop(root.cancel(Reason::Requested)),
                (How::Stop, _) => root.stop(),
                (How::Fail, Some(fail)) => fail(&Point {
                    number,
                    reached: reached.clone(),
                }),
                (How::Fail, None) => {}
            }
        })
    }

    fn hung(&self, patience: Duration, root: Arc<Node>) -> String {
        let mut text = format!("it hangs, and has not ended after {patience:.1?}");
        if self.start_paused {
            // The tree below counts real time.
            text.push_str(" of the paused clock");
        }
        for leaf in root.leaves(MOST_NAMED) {
            let (last, path) = (leaf.last, leaf.path);
            text.push_str(&format!("\n    last checkpoint at {last}, in `{path}`"));
        }
        text.push_str("\n    this is what runs:");
        for line in Tree::of(vec![root]).to_string().lines() {
            text.push_str("\n    ");
            text.push_str(line);
        }
        text
    }

    fn patience_now(&self) -> Duration {
        let default = if self.start_paused { 3600 } else { 10 };
        self.patience.unwrap_or(Duration::from_secs(default))
    }
}

impl<F, Fut> Everywhere<F>
where
    F: FnMut() -> Fut,
    Fut: Future,
{
    /// Tries all points, and asks after each run whether the invariant holds.
    ///
    /// # Panics
    ///
    /// At the first run that goes wrong, with its point. Inside a runtime.
    #[track_caller]
    pub fn check<I: Invariant>(mut self, mut invariant: impl FnMut() -> I) -> Coverage {
        assert!(
            Handle::try_current().is_err(),
            "cancel_everywhere: each run has a runtime of its own, which cannot start inside \
             another, help: call it in a plain `#[test]` function that is not `async`"
        );
        let since = Instant::now();
        let first = self.try_at(None, &mut invariant);
        assert!(
            first.wrong.is_empty(),
            "cancel_everywhere: wrong even if nothing is cancelled\n  {}",
            first.wrong.join("\n  ")
        );
        let mut coverage = Coverage {
            points: first.points,
            runs: 1,
            missed: 0,
            elapsed: Duration::ZERO,
        };
        for (how, number) in self.plan(first.points) {
            let ran = self.try_at(Some((how, number)), &mut invariant);
            coverage.runs += 1;
            coverage.missed += usize::from(ran.reached.is_none());
            if !ran.wrong.is_empty() {
                panic!("{}", describe(how, number, first.points, &ran));
            }
        }
        coverage.elapsed = since.elapsed();
        coverage
    }

    /// What is to be tried.
    fn plan(&self, points: usize) -> Vec<(How, usize)> {
        if let Some(only) = only() {
            return vec![only];
        }
        let tried = self.limit.unwrap_or(points).min(points);
        let numbers = (0..tried).map(|at| at * points / tried + 1);
        let hows = [
            Some(How::Cancel),
            self.stop.then_some(How::Stop),
            self.fail.is_some().then_some(How::Fail),
        ];
        numbers
            .flat_map(|number| hows.into_iter().flatten().map(move |how| (how, number)))
            .collect()
    }

    fn try_at<I: Invariant>(
        &mut self,
        at: Option<(How, usize)>,
        invariant: &mut impl FnMut() -> I,
    ) -> Ran {
        let _guard = Deadlock::watch(at);
        let mut scope = Scope::at("cancel_everywhere", self.location);
        if let Some(grace) = self.grace {
            scope = scope.grace(grace);
        }
        let target = at.map(|(how, number)| {
            let counted = u32::try_from(number).unwrap_or(u32::MAX);
            (counted, self.act(how, number, scope.node()))
        });
        let probe = Arc::new(Probe::new(self.suspensions_only, budget::BUDGET, target));
        let sink = Sink::default();
        let ran = sink.collect(|| catch(|| self.run_once(scope, &sink, &probe)));
        let mut wrong =
            ran.unwrap_or_else(|panic| vec![format!("it panicked: {}", panic.message())]);
        let mut reports = sink.take();
        reports.retain(is_bad);
        wrong.extend(folded(&reports));
        wrong.extend(ask(invariant));
        Ran {
            points: probe.points() as usize,
            reached: probe.reached(),
            wrong,
        }
    }

    /// One run, on a runtime of its own; tells what it left behind.
    fn run_once(&mut self, scope: Scope<'_>, sink: &Sink, probe: &Arc<Probe>) -> Vec<String> {
        let mut builder = Builder::new_current_thread();
        let (on_pool, blocking) = (sink.clone(), self.blocking.then(|| probe.clone()));
        builder.enable_all().on_thread_start(move || {
            on_pool.install();
            if let Some(probe) = &blocking {
                probe.stay();
            }
        });
        #[cfg(feature = "test-util")]
        builder.start_paused(self.start_paused);
        let runtime = match builder.build() {
            Ok(runtime) => runtime,
            Err(error) => panic!("cannot start tokio's runtime: {error}"),
        };
        let root = scope.node().clone();
        let future = {
            // What it makes may need the timer at once.
            let _inside = runtime.enter();
            (self.run)()
        };
        let patience = self.patience_now();
        let left = runtime.block_on(async {
            let _installed = (probe.install(), budget::probed());
            let mut run = Box::pin(scope.run(future));
            match tokio::time::timeout(patience, run.as_mut()).await {
                Ok(_) => Vec::new(),
                Err(_) => {
                    let text = self.hung(patience, root);
                    mute_losses(|| drop(run)).ok();
                    vec![text]
                }
            }
        });
        if !left.is_empty() {
            // What hangs may hang for ever.
            mute_losses(|| runtime.shutdown_background()).ok();
            return left;
        }
        let alive = runtime.block_on(alive_beyond(0, PATIENCE));
        runtime.shutdown_timeout(PATIENCE);
        (alive > 0).then(|| spawned(alive)).into_iter().collect()
    }
}

fn describe(how: How, number: usize, points: usize, ran: &Ran) -> String {
    let mut text = format!("cancel_everywhere: wrong at point {number} of {points}\n");
    if let Some((reached, left)) = &ran.reached {
        let (done, at, path) = (how.done(), reached.location, &reached.path);
        text += &match reached.kind {
            probe::ReachedKind::Checkpoint => {
                format!("  {done} at the checkpoint at {at}, in `{path}`\n")
            }
            // One task of several, so that its line may be none of the code in question.
            probe::ReachedKind::Suspension => {
                format!("  {done} while `{path}` waited after the checkpoint at {at}\n")
            }
        };
        let others = reached.others.iter().filter(|_| how == How::Cancel);
        for Stood { location, path } in others.take(MOST_NAMED) {
            text += &format!("  also unwound at {location}, in `{path}`\n");
        }
        if let Some(left) = left {
            text += &format!("  it went on, and was unwound at the checkpoint at {left}\n");
        }
    }
    for wrong in &ran.wrong {
        text += &format!("  {wrong}\n");
    }
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    text + &format!(
        "  only this one: {VARIABLE}={}:{number} cargo test {test}",
        how.word()
    )
}

/// The one point that is asked for.
fn only() -> Option<(How, usize)> {
    let text = std::env::var(VARIABLE).ok()?;
    let parsed = text.split_once(':').and_then(|(word, number)| {
        let hows = [How::Cancel, How::Stop, How::Fail];
        let how = hows.into_iter().find(|how| how.word() == word)?;
        Some((how, number.parse().ok()?))
    });
    assert!(
        parsed.is_some(),
        "{VARIABLE}=`{text}` is not a point, help: write `cancel:17`, `stop:17` or `fail:17`"
    );
    parsed
}

/// Ends the process when a run does not come back to its runtime: nothing else
/// can end a thread.
struct Deadlock {
    _running: mpsc::Sender<()>,
}

impl Deadlock {
    fn watch(at: Option<(How, usize)>) -> Deadlock {
        let (running, ended) = mpsc::channel();
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        std::thread::spawn(move || {
            if ended.recv_timeout(DEADLOCK) == Err(mpsc::RecvTimeoutError::Timeout) {
                let point = at.map_or_else(
                    || "nothing cancelled".to_owned(),
                    |(how, number)| format!("{VARIABLE}={}:{number}", how.word()),
                );
                abort(format_args!(
                    "cancel_everywhere: `{test}` has kept its thread for {DEADLOCK:?} ({point}); \
                     this is what runs:\n{}",
                    crate::tree()
                ));
            }
        });
        Deadlock { _running: running }
    }
}
