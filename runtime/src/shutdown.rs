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

use crate::node::Node;
use crate::observe::{Watchdog, tree};
use crate::reason::{Cancelled, Reason};
use crate::report::{self, ReportKind, print};
use crate::scope::Scope;
use crate::signal::{Signal, Signals};

/// How long what is aborted may take to be dropped, before the process ends
/// without it.
const LINGER: Duration = Duration::from_millis(250);

/// Longer than anyone waits, and short enough to be added to an instant.
const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// How many stuck tasks are named.
const MOST_NAMED: usize = 20;

/// Ends a program in order when it is told to by SIGINT (Ctrl-C) or SIGTERM.
///
/// [`#[taskscope::main]`](macro@crate::main) is the short form. The steps, each
/// after its own time:
///
/// 1. *stop*: [`is_stopping`](crate::is_stopping) turns true everywhere below, in what
///    is shielded too, and nothing is interrupted;
/// 2. after [`drain`](Self::drain), *cancel* with [`Reason::Shutdown`]: all is
///    left in order, and what is shielded is waited for;
/// 3. after [`grace`](Self::grace), *abort*: what is still there is dropped where
///    it is, and reported;
/// 4. what cannot even be dropped, because it blocks its thread, is reported with
///    the line of its last checkpoint, and the process exits without it.
///
/// Another signal ends the step at hand. SIGUSR1 prints what runs, see
/// [`tree`](crate::tree()), and changes nothing. On other systems than Unix, Ctrl-C alone
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
    drain: Duration,
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
    /// No time to drain, ten seconds of grace, stuck after ten seconds.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let ended = taskscope::Shutdown::new().run(async { 7 }).await;
    /// assert_eq!(ended.unwrap(), 7);
    /// # }
    /// ```
    #[track_caller]
    pub fn new() -> Shutdown {
        Shutdown {
            drain: Duration::ZERO,
            grace: Duration::from_secs(10),
            stuck_after: Duration::from_secs(10),
            location: Location::caller(),
        }
    }

    /// How long what was asked to stop may go on before it is cancelled. The
    /// default is zero: stopped and cancelled at once.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::time::Duration;
    /// let shutdown = taskscope::Shutdown::new().drain(Duration::from_secs(30));
    /// shutdown.run(async {}).await.unwrap();
    /// # }
    /// ```
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// How long what is cancelled may take to leave before it is aborted. The
    /// default is ten seconds.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::time::Duration;
    /// let shutdown = taskscope::Shutdown::new().grace(Duration::from_secs(3));
    /// shutdown.run(async {}).await.unwrap();
    /// # }
    /// ```
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long a task may be polled without a checkpoint, and how long what is
    /// cancelled may take to leave, before it is named; see
    /// [`Watchdog`](crate::observe::Watchdog). The default is ten seconds;
    /// `Duration::MAX` means never.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use taskscope::Shutdown;
    /// let shutdown = Shutdown::new().stuck_after(Duration::from_secs(2));
    /// assert_eq!(shutdown.run(async { 7 }).await.unwrap(), 7);
    /// # }
    /// ```
    pub fn stuck_after(mut self, stuck_after: Duration) -> Self {
        self.stuck_after = stuck_after;
        self
    }

    /// Runs `future` in a scope named `main`, in the current task.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when a signal came and the future was left. A future that
    /// ends all the same, as while it drains, keeps its value.
    ///
    /// # Panics
    ///
    /// A panic of `future` is resumed once all inside is gone. The returned
    /// future panics outside of a tokio runtime with a timer.
    ///
    /// # Cancel safety
    ///
    /// As [`Scope::run`](crate::Scope::run).
    ///
    /// # Exits
    ///
    /// The process, with 130 after SIGINT and 143 after SIGTERM, when something
    /// does not even end when it is aborted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use taskscope::{Ambient, Shutdown};
    /// let served = Shutdown::new().run(async {
    ///     Ambient::current().handle().unwrap().name().into_owned()
    /// });
    /// assert_eq!(served.await.unwrap(), "main");
    /// # }
    /// ```
    pub async fn run<F: IntoFuture>(self, future: F) -> Result<F::Output, Cancelled> {
        self.run_told(future).await.0
    }

    /// Runs `future` on `runtime` and gives its value, as
    /// [`#[taskscope::main]`](macro@crate::main) does.
    ///
    /// # Exits
    ///
    /// The process, when the future was cancelled: with 130 after SIGINT, 143
    /// after SIGTERM, and 1 when something else cancelled it. Blocking work that
    /// goes on is not waited for then.
    ///
    /// # Panics
    ///
    /// A panic of `future` is resumed.
    ///
    /// ```
    /// use taskscope::Shutdown;
    ///
    /// let runtime = tokio::runtime::Runtime::new().unwrap();
    /// assert_eq!(Shutdown::new().block_on(runtime, async { 7 }), 7);
    /// ```
    pub fn block_on<F: IntoFuture>(self, runtime: Runtime, future: F) -> F::Output {
        let grace = self.grace;
        let (outcome, signal) = runtime.block_on(self.run_told(future));
        match outcome {
            Ok(value) => {
                // Only unstructured work on the blocking pool can be left.
                runtime.shutdown_timeout(grace.min(LONG));
                value
            }
            Err(cancelled) => {
                runtime.shutdown_background();
                let code = signal.map_or_else(
                    || {
                        print(format_args!("taskscope: {cancelled}\n"));
                        1
                    },
                    Signal::exit_code,
                );
                std::process::exit(code)
            }
        }
    }

    fn watch(&self) -> Option<Watchdog> {
        if self.stuck_after == Duration::MAX {
            return None;
        }
        let started = Watchdog::start(self.stuck_after).inspect_err(|error| {
            let message = format!("nobody will be told what is stuck: {error}");
            report::report(ReportKind::Unreported, "main", message, self.location);
        });
        started.ok()
    }

    /// Runs `future`, and tells which signal came first.
    async fn run_told<F: IntoFuture>(
        self,
        future: F,
    ) -> (Result<F::Output, Cancelled>, Option<Signal>) {
        let scope = Scope::at("main", self.location).grace(self.grace);
        let _watchdog = self.watch();
        let supervisor = Supervisor::start(self, scope.node().clone());
        let outcome = scope.run(future).await;
        (outcome, supervisor.end())
    }
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
        let location = escalation.plan.location;
        let spawned = std::thread::Builder::new()
            .name("taskscope-shutdown".to_owned())
            .spawn(move || {
                let Some((runtime, events)) = listen(ended, location) else {
                    return;
                };
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
            // It runs no user code but the report hook, whose panics are caught.
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
        Ok((runtime, Events { ended, signals }))
    });
    listened
        .inspect_err(|error| deaf(&error.to_string(), location))
        .ok()
}

/// The program runs all the same, and a signal kills it.
fn deaf(error: &str, location: &'static Location<'static>) {
    let message = format!("signals cannot be listened to: {error}");
    report::report(ReportKind::Unreported, "main", message, location);
}

/// What the thread waits for.
struct Events {
    ended: oneshot::Receiver<()>,
    signals: Signals,
}

enum Event {
    Ended,
    Signal(Signal),
    Elapsed,
}

impl Events {
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
                print(format_args!("{}", tree()));
            }
            if let Poll::Ready(signal) = self.signals.poll_next(cx) {
                return Poll::Ready(Event::Signal(signal));
            }
            elapsed.as_mut().poll(cx).map(|()| Event::Elapsed)
        })
        .await
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
        let Event::Signal(signal) = events.next(None).await else {
            return;
        };
        self.signal.get_or_init(|| signal);
        let stopped = Instant::now();
        self.root.stop();
        if let Event::Ended = events.next(Some(self.plan.drain)).await {
            return;
        }
        let cancelled = Instant::now();
        self.root.cancel(Reason::Shutdown);
        if let Event::Ended = events.next(Some(self.plan.grace)).await {
            return;
        }
        let aborted = Instant::now();
        self.root.abort();
        if let Event::Ended = events.next(Some(LINGER)).await {
            return;
        }
        self.give_up(signal, cancelled - stopped, aborted - cancelled)
    }

    /// Something blocks its thread and cannot even be dropped.
    fn give_up(&self, signal: Signal, drained: Duration, left: Duration) -> ! {
        let root = self.root.name();
        for stuck in self.root.leaves(MOST_NAMED) {
            let message = format!(
                "stuck: `{}` is still running, last checkpoint at {}",
                stuck.path, stuck.last
            );
            report::report(ReportKind::Stuck, &root, message, stuck.location);
        }
        let message = format!(
            "the process exits without what is stuck: {signal}, {drained:.1?} to drain, \
             {left:.1?} of grace"
        );
        report::report(ReportKind::Stuck, &root, message, self.plan.location);
        std::process::exit(signal.exit_code())
    }
}
