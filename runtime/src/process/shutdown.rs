//! The orderly end of a process: stop, drain, cancel, grace, abort.
//!
//! A thread of its own drives it, with a small runtime of its own for signals
//! and time: it must work where the program's runtime is stuck.

use std::future::{Future, IntoFuture, poll_fn};
use std::panic::Location;
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::base::alarm::Countdown;
use crate::base::aside::Aside;
use crate::base::caught::{catch, contain};
#[cfg(feature = "tracing")]
use crate::notes::events;
use crate::notes::report::{self, ReportKind, print_lines};
use crate::observe::stalls::report_stalls;
use crate::observe::{Watchdog, tree};
use crate::poll::stall;
use crate::process::ending::{self, LINGER, RootEnding, exit_after, exit_code};
use crate::process::signal::{Signal, Signals};
use crate::scope::scope::Scope;
use crate::tree::node::{Node, flag};
use crate::tree::reason::{Cancelled, Detail, Reason};

/// How long delivering the reports of what is stuck may take.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How long `exit` may take after that.
const LAST_STEPS: Duration = Duration::from_millis(100);

/// Signals closer together than this count as one. Some supervisors send several at once.
const INTERVAL: Duration = Duration::from_millis(100);

/// How many stuck tasks are named.
const MOST_NAMED: usize = 20;

/// Ends a program in order when SIGINT (Ctrl-C) or SIGTERM arrives.
///
/// [`#[taskscope::main]`](macro@crate::main) is the short form. The steps, each
/// after its own time:
///
/// 1. *stop*: [`is_stopping`](crate::is_stopping) turns true everywhere below, in what
///    is shielded too, and nothing is interrupted;
/// 2. after [`drain`](Self::drain), *cancel* with [`Reason::Shutdown`]: all
///    code unwinds, and shielded code is waited for;
/// 3. after [`grace`](Self::grace), *abort*: what still runs is dropped where
///    it is, and reported;
/// 4. a task that cannot even be dropped, because it blocks its thread, is reported with
///    the line of its last checkpoint, and the process exits without it.
///
/// A full or closed standard error, a held `stderr().lock()` or a report hook that blocks
/// delays this by at most one second.
///
/// Another signal ends the step at hand, unless it comes within 100 ms of the last one that
/// counted: some supervisors send several at once. SIGUSR1 prints what runs, see
/// [`tree`](crate::observe::tree()), and changes nothing. On other systems than Unix, Ctrl-C alone
/// counts. Only while the future runs are signals listened to: before and after,
/// they do what they do to any process.
///
/// ```no_run
/// use std::time::Duration;
/// use taskscope::Shutdown;
///
/// #[tokio::main]
/// async fn main() {
///     let server = async { /* accept until `stopping()` */ };
///     let shutdown = Shutdown::new().drain(Duration::from_secs(5));
///     if let Err(cancelled) = shutdown.run(server).await {
///         eprintln!("cut short: {cancelled}");
///     }
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a shutdown does nothing until `run` is awaited"]
pub struct Shutdown {
    /// `None`: the grace period where something waits for `stopping()`, otherwise zero.
    drain: Option<Duration>,
    grace: Duration,
    stuck_after: Duration,
    location: &'static Location<'static>,
}

impl Default for Shutdown {
    #[track_caller]
    fn default() -> Self {
        Shutdown::new()
    }
}

impl Shutdown {
    /// Creates a shutdown with the defaults: ten seconds of grace, the same to drain for code that
    /// waits for [`stopping`](crate::stopping()), and stuck after ten seconds.
    #[track_caller]
    pub fn new() -> Shutdown {
        Shutdown {
            drain: None,
            grace: Duration::from_secs(10),
            stuck_after: Duration::from_secs(10),
            location: Location::caller(),
        }
    }

    /// Sets how long the program may go on after it was asked to stop, before it is cancelled.
    ///
    /// Without it, a program that listens gets time, and another one is cancelled at once:
    /// the default is [`grace`](Self::grace) if any future waits for
    /// [`stopping`](crate::stopping()) in the program when the signal comes, and zero
    /// otherwise. Code that looks at [`is_stopping`](crate::is_stopping) only now and then
    /// needs this option.
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = Some(drain);
        self
    }

    /// Sets how long cancelled code may take to unwind before it is aborted. The
    /// default is ten seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long a task may be polled without a checkpoint, and how long cancelled
    /// code may take to unwind, before it is named; see
    /// [`Watchdog`]. The default is ten seconds;
    /// `Duration::MAX` means never.
    pub fn stuck_after(mut self, stuck_after: Duration) -> Self {
        self.stuck_after = stuck_after;
        self
    }

    /// Runs `future` in a scope named `main`, in the current task.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when a signal came and the future was unwound. A future that
    /// ends all the same, as while it drains, keeps its value.
    ///
    /// # Panics
    ///
    /// A panic of `future` is resumed once everything inside has ended. The returned
    /// future panics outside of a tokio runtime with a timer.
    ///
    /// # Cancel safety
    ///
    /// As [`Scope::run`](crate::Scope::run).
    ///
    /// # Exits
    ///
    /// The process, with 130 after SIGINT and 143 after SIGTERM, when something
    /// does not even end when it is aborted; with 1 if the future had been cancelled
    /// for another reason before the signal came. It waits a moment for reports that are
    /// being delivered.
    pub async fn run<F: IntoFuture>(self, future: F) -> Result<F::Output, Cancelled> {
        let scope = self.scope();
        self.run_to_outcome(scope, future).await.outcome
    }

    /// Runs `future` on `runtime` and returns its value, as
    /// [`#[taskscope::main]`](macro@crate::main) does.
    ///
    /// # Exits
    ///
    /// The process, when the future was cancelled: with 130 after SIGINT, 143
    /// after SIGTERM, and 1 when something else cancelled it, though a signal came
    /// afterwards. Before that, the runtime's tasks are dropped and their reports delivered,
    /// within what is left of the grace period. Blocking work that goes on is not
    /// waited for then.
    ///
    /// When the future has returned or panicked, blocking work that no scope owns is
    /// waited for, at most for the grace period: it may be the last part of a file that
    /// `tokio::fs` writes. After one second a line on standard error says so. See the
    /// [guide](crate::guide::shutdown) for standard input, which is read there, too.
    ///
    /// # Panics
    ///
    /// A panic of `future` is resumed, after the same wait.
    ///
    /// ```
    /// use taskscope::Shutdown;
    ///
    /// let runtime = tokio::runtime::Runtime::new().unwrap();
    /// assert_eq!(Shutdown::new().block_on(runtime, async { 7 }), 7);
    /// ```
    pub fn block_on<F: IntoFuture>(self, runtime: Runtime, future: F) -> F::Output {
        let scope = self.scope();
        let ending = RootEnding::new(scope.node().clone(), self.grace);
        let finished = catch(|| runtime.block_on(self.run_to_outcome(scope, future)));
        match finished {
            Ok(Finished {
                outcome: Ok(value),
                due,
                ..
            }) => {
                ending.wait(runtime, "returned", due);
                value
            }
            Ok(Finished {
                outcome: Err(cancelled),
                signal,
                due,
            }) => ending.exit(runtime, cancelled, signal, due),
            Err(panic) => {
                ending.wait(runtime, "panicked", ending.due());
                panic.resume()
            }
        }
    }

    fn scope(&self) -> Scope<'static> {
        Scope::at(self.location).name("main").grace(self.grace)
    }

    fn watch(&self) -> Option<Watchdog> {
        if self.stuck_after == Duration::MAX {
            return None;
        }
        let started = Watchdog::start(self.stuck_after).inspect_err(|error| {
            let message = format!(
                "the watchdog cannot be started, so nothing that is stuck will be reported: {error}"
            );
            report::report(ReportKind::Unreported, "main", message, self.location);
        });
        started.ok()
    }

    /// Runs `future` in `scope`, and tells which signal came first.
    async fn run_to_outcome<F: IntoFuture>(
        self,
        scope: Scope<'_>,
        future: F,
    ) -> Finished<F::Output> {
        let ending = RootEnding::new(scope.node().clone(), self.grace);
        let watchdog = self.watch();
        let supervisor = Supervisor::start(self, scope.node().clone());
        let outcome = scope.run(future).await;
        let signal = supervisor.end();
        let due = ending.due();
        if let Some(watchdog) = watchdog {
            watchdog.stop(due);
        }
        Finished {
            outcome,
            signal,
            due,
        }
    }
}

/// How `main`'s scope has ended.
struct Finished<T> {
    outcome: Result<T, Cancelled>,
    /// The first that came.
    signal: Option<Signal>,
    /// When the process has to go on without what still runs.
    due: Instant,
}

/// The thread that escalates; it ends with the scope.
struct Supervisor {
    /// Dropped to tell the thread that the scope has ended.
    running: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    signal: Arc<OnceLock<Signal>>,
}

impl Supervisor {
    /// Starts the thread, and waits until it listens.
    fn start(plan: Shutdown, root: Arc<Node>) -> Supervisor {
        let (running, ended) = oneshot::channel();
        let signal = Arc::new(OnceLock::new());
        let (listening, ready) = mpsc::sync_channel(1);
        let escalation = Escalation {
            plan,
            root,
            signal: signal.clone(),
        };
        let (location, grace) = (escalation.plan.location, escalation.plan.grace);
        let spawned = std::thread::Builder::new()
            .name("taskscope-shutdown".to_owned())
            .spawn(move || {
                let Some((runtime, events)) = listen(ended, location) else {
                    return;
                };
                runtime.spawn(report_stalls(stall::StallWatch::begin(grace)));
                // Whoever waits has gone if this fails.
                listening.send(()).ok();
                runtime.block_on(escalation.run(events));
            });
        if let Err(error) = &spawned {
            deaf(&error.to_string(), location);
        }
        // An error when the thread could not listen, which it has reported.
        ready.recv().ok();
        Supervisor {
            running: Some(running),
            thread: spawned.ok(),
            signal,
        }
    }

    /// Ends the thread; tells which signal came first.
    fn end(mut self) -> Option<Signal> {
        self.join();
        self.signal.get().copied()
    }

    fn join(&mut self) {
        drop(self.running.take());
        if let Some(thread) = self.thread.take() {
            // It ends soon: what may block runs on helper threads.
            thread.join().ok();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.join();
    }
}

/// The thread's runtime, with its listeners registered.
fn listen(
    ended: oneshot::Receiver<()>,
    location: &'static Location<'static>,
) -> Option<(Runtime, Events)> {
    let built = Builder::new_current_thread().enable_all().build();
    let listened = built.and_then(|runtime| {
        let guard = runtime.enter();
        let signals = Signals::listen()?;
        drop(guard);
        Ok((runtime, Events::new(ended, signals)))
    });
    listened
        .inspect_err(|error| deaf(&error.to_string(), location))
        .ok()
}

/// The program runs all the same, and a signal kills it.
fn deaf(error: &str, location: &'static Location<'static>) {
    let message = format!("cannot listen to signals, so each ends the process at once: {error}");
    report::report(ReportKind::Unreported, "main", message, location);
}

/// What the thread waits for.
struct Events {
    ended: oneshot::Receiver<()>,
    signals: Signals,
    /// When the last signal came that counted.
    counted: Option<Instant>,
    /// Prints and reports.
    aside: Aside,
}

enum Event {
    Ended,
    Signal(Signal),
    Elapsed,
}

impl Events {
    fn new(ended: oneshot::Receiver<()>, signals: Signals) -> Events {
        Events {
            ended,
            signals,
            counted: None,
            aside: Aside::new("taskscope-print"),
        }
    }

    /// The next event, or that `patience` is over.
    async fn next(&mut self, patience: Option<Duration>) -> Event {
        let mut elapsed = pin!(async {
            match patience {
                Some(patience) => tokio::time::sleep(patience).await,
                None => std::future::pending().await,
            }
        });
        poll_fn(|cx| {
            if Pin::new(&mut self.ended).poll(cx).is_ready() {
                return Poll::Ready(Event::Ended);
            }
            while self.signals.poll_show(cx).is_ready() {
                self.aside.run(|| print_lines(&tree().to_string()));
            }
            while let Poll::Ready(signal) = self.signals.poll_next(cx) {
                if self.counts() {
                    return Poll::Ready(Event::Signal(signal));
                }
            }
            elapsed.as_mut().poll(cx).map(|()| Event::Elapsed)
        })
        .await
    }

    /// Whether a signal that came just now counts, or belongs to the last one.
    fn counts(&mut self) -> bool {
        let now = Instant::now();
        let counts = self.counted.is_none_or(|last| now - last >= INTERVAL);
        if counts {
            self.counted = Some(now);
        }
        counts
    }
}

/// From the first signal to the end.
struct Escalation {
    plan: Shutdown,
    root: Arc<Node>,
    signal: Arc<OnceLock<Signal>>,
}

impl Escalation {
    async fn run(self, mut events: Events) {
        if let Some(stuck) = self.escalate(&mut events).await {
            self.give_up(stuck, events.aside);
        }
        // Let a tree that is being printed be printed to the end.
        events.aside.finish(Instant::now() + LINGER);
    }

    /// Runs until the scope has ended, and returns `None`; or until all steps are over and
    /// something still blocks its thread.
    async fn escalate(&self, events: &mut Events) -> Option<Escalated> {
        let Event::Signal(signal) = events.next(None).await else {
            return None;
        };
        self.signal.get_or_init(|| signal);
        let stopped = Instant::now();
        let drain = self.drain();
        let _last_resort = self.last_resort(signal, drain);
        // A waker may panic, but only after the walk is done.
        contain(|| self.root.stop_with(flag::SHUTDOWN));
        self.emit(&mut events.aside, SignalEvent::Stopping(signal, drain));
        let drained = match events.next(Some(drain)).await {
            Event::Ended => return None,
            Event::Signal(second) => {
                self.emit_second(&mut events.aside, second, "drain");
                None
            }
            Event::Elapsed => (!drain.is_zero()).then_some(Detail::Drain(drain)),
        };
        let cancelled = Instant::now();
        self.cancel(signal, drained, &mut events.aside);
        let cut = match events.next(Some(self.plan.grace)).await {
            Event::Ended => return None,
            Event::Signal(second) => {
                self.emit_second(&mut events.aside, second, "grace");
                true
            }
            Event::Elapsed => false,
        };
        let aborted = Instant::now();
        contain(|| {
            if cut {
                self.root.cut();
            } else {
                self.root.abort();
            }
        });
        if let Event::Ended = events.next(Some(LINGER)).await {
            return None;
        }
        Some(Escalated {
            signal,
            drained: cancelled - stopped,
            left: aborted - cancelled,
            cut,
        })
    }

    /// Asked before the program is told to stop: then nothing waits for it any more.
    fn drain(&self) -> Duration {
        let by_default = || match self.root.is_stop_awaited() {
            true => self.plan.grace,
            false => Duration::ZERO,
        };
        self.plan.drain.unwrap_or_else(by_default)
    }

    fn cancel(&self, signal: Signal, drained: Option<Detail>, aside: &mut Aside) {
        let begun = contain(|| self.root.cancel_without_event(Reason::Shutdown, drained)).flatten();
        if begun.is_some() {
            self.emit(aside, SignalEvent::Cancelled(signal));
        }
    }

    fn emit_second(&self, aside: &mut Aside, signal: Signal, ends: &'static str) {
        self.emit(aside, SignalEvent::Second(signal, ends));
    }

    /// Emits an event of feature `tracing`, on the helper thread: a subscriber may block.
    #[cfg_attr(not(feature = "tracing"), allow(unused_variables, clippy::unused_self))]
    fn emit(&self, aside: &mut Aside, event: SignalEvent) {
        #[cfg(feature = "tracing")]
        {
            let root = self.root.clone();
            aside.run(move || event.emit(&root.name()));
        }
    }

    /// In case that this thread is itself held up, by a waker or a `Drop` of the user's.
    fn last_resort(&self, signal: Signal, drain: Duration) -> Countdown {
        let steps = drain.saturating_add(self.plan.grace);
        let most = steps.saturating_add(LINGER + LAST_WORDS + 2 * LAST_STEPS);
        exit_after(most, self.exit_code(signal))
    }

    fn exit_code(&self, signal: Signal) -> i32 {
        let origin = self.root.origin();
        let reason = origin.as_ref().map(|origin| &origin.reason);
        exit_code(reason.unwrap_or(&Reason::Shutdown), Some(signal))
    }

    fn give_up(&self, stuck: Escalated, mut aside: Aside) -> ! {
        let code = self.exit_code(stuck.signal);
        let (root, location) = (self.root.clone(), self.plan.location);
        aside.run(move || stuck.report(&root, location));
        let until = Instant::now() + LAST_WORDS;
        aside.finish(until);
        // Other threads may be reporting as well.
        report::settle(until);
        ending::exit(code, LAST_STEPS)
    }
}

/// The events of a signal, for the subscriber of feature `tracing`.
#[cfg_attr(not(feature = "tracing"), allow(dead_code))]
enum SignalEvent {
    /// The program is asked to stop, and has this long to drain.
    Stopping(Signal, Duration),
    Cancelled(Signal),
    /// Another signal, and the period that it ends.
    Second(Signal, &'static str),
}

#[cfg(feature = "tracing")]
impl SignalEvent {
    fn emit(&self, scope: &str) {
        match self {
            SignalEvent::Stopping(signal, drain) => events::stopping(scope, signal, *drain),
            SignalEvent::Cancelled(signal) => events::shutdown(scope, signal),
            SignalEvent::Second(signal, ends) => events::second_signal(scope, signal, ends),
        }
    }
}

/// How long each step took until something was still there after the last.
struct Escalated {
    signal: Signal,
    drained: Duration,
    left: Duration,
    /// A second signal has ended the grace period.
    cut: bool,
}

impl Escalated {
    fn report(&self, root: &Arc<Node>, location: &'static Location<'static>) {
        let name = root.name();
        for stuck in root.leaves(MOST_NAMED) {
            let message = format!(
                "stuck: `{}` is still running, last checkpoint at {}",
                stuck.path, stuck.last
            );
            report::report(ReportKind::Stuck, &name, message, stuck.location);
        }
        let Escalated {
            signal,
            drained,
            left,
            cut,
        } = self;
        let cut = if *cut { ", then a second signal" } else { "" };
        let message = format!(
            "stuck: the process exits with work still running, after {signal}, {drained:.1?} to \
             drain, {left:.1?} of grace{cut}"
        );
        report::report(ReportKind::Stuck, &name, message, location);
    }
}
