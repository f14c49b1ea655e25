//! What code that blocks its thread can do: checkpoints by return value, a sleep
//! that wakes early, async code run to its end, and the way onto other threads.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::future::{Future, IntoFuture, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant as Clock};

use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::notes::span::WorkSpan;
use crate::poll::budget;
use crate::poll::context;
use crate::poll::frame::Frame;
use crate::poll::probe;
use crate::scope::handle::CancelHandle;
use crate::scope::watch::FlagWatch;
use crate::tree::node::{Node, flag};
use crate::tree::reason::Cancelled;
use crate::unwind::boundary::{Boundary, Owner};
use crate::unwind::exit::Exit;

/// A checkpoint of blocking code: `Err` once the current scope is cancelled.
///
/// For work on the blocking pool (see [`Group::spawn_blocking`] and
/// [`blocking`](crate::blocking())), called in each round of a long loop;
/// `#[cancellable(blocking)]` writes it. It costs a few nanoseconds. It also
/// sees a deadline that has passed where no async code gets to run.
///
/// In async code use [`checkpoint`](crate::checkpoint()), or an `.await` in a
/// `#[cancellable]` function: there the code unwinds.
///
/// [`Group::spawn_blocking`]: crate::Group::spawn_blocking
///
/// # Errors
///
/// [`Cancelled`] when the current scope is cancelled: return it. Never in a
/// shield, in a cleanup, and outside any scope.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use taskscope::{Cancelled, Scope, blocking, thread::checkpoint_blocking};
///
/// let scope = Scope::new();
/// let handle = scope.handle();
/// let rounds = scope.run(blocking(move || {
///     for round in 0.. {
///         checkpoint_blocking()?;
///         if round == 1000 {
///             handle.cancel();
///         }
///     }
///     Ok::<(), Cancelled>(())
/// }));
/// assert!(rounds.await.is_err());
/// # }
/// ```
#[inline]
#[track_caller]
pub fn checkpoint_blocking() -> Result<(), Cancelled> {
    refused().map_or(Ok(()), Err)
}

/// What a checkpoint of blocking code returns, if it does not pass.
#[inline]
#[track_caller]
pub fn refused() -> Option<Cancelled> {
    if budget::pass_blocking(Location::caller()) {
        None
    } else {
        look()
    }
}

/// Looks at the clock, where that is due, and at the flags.
#[cold]
fn look() -> Option<Cancelled> {
    context::current(|frame| {
        let frame = frame?;
        if !frame.is_cancelled() {
            // A probe looks at each checkpoint.
            if !probe::asks_blocking(frame.node()) {
                pace();
            }
            expire(frame);
        }
        frame.is_cancelled().then(|| {
            frame.node().set(flag::REFUSED);
            frame.node().cancelled()
        })
    })
}

/// Runs `f` inside `frame`, on a thread that may block.
pub(crate) fn enter<R>(frame: &Frame<'_>, f: impl FnOnce() -> R) -> R {
    // What was learnt about the pace of other code says nothing about this.
    let former = PACE.take();
    budget::set_unclocked(0);
    let result = context::enter(frame, f);
    PACE.set(former);
    budget::set_unclocked(0);
    result
}

/// The current deadline may have passed where no timer gets to fire.
fn expire(frame: &Frame<'_>) {
    let now = Instant::now();
    if !frame.is_shielded()
        && frame
            .node()
            .effective_deadline()
            .is_some_and(|deadline| deadline <= now)
    {
        frame.node().expire(now);
    }
}

thread_local! {
    /// When the clock was last looked at, and how many checkpoints were to be
    /// passed after that without a look.
    static PACE: Cell<Option<(Clock, u32)>> = const { Cell::new(None) };
}

/// Sets how many checkpoints are passed before the next look at the clock: many
/// where they follow each other quickly, none where each round takes long.
fn pace() {
    const OFTEN: Duration = Duration::from_micros(20);
    const MOST: u32 = 256;
    let now = Clock::now();
    let checkpoints = match PACE.get() {
        Some((last, former)) if now - last < OFTEN => (former * 2 + 1).min(MOST),
        _ => 0,
    };
    PACE.set(Some((now, checkpoints)));
    budget::set_unclocked(checkpoints);
}

/// Blocks the current thread for this long, or until the current scope is
/// cancelled. It measures real time, also where tokio's clock is paused.
///
/// # Errors
///
/// [`Cancelled`], at once, when the current scope is cancelled.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::{blocking, thread::sleep_blocking, timeout};
///
/// let long = Duration::from_secs(3600);
/// let slept = timeout(Duration::from_millis(1), blocking(move || sleep_blocking(long)));
/// assert!(slept.await.is_err());
/// # }
/// ```
#[track_caller]
pub fn sleep_blocking(duration: Duration) -> Result<(), Cancelled> {
    let until = Clock::now().checked_add(duration);
    let place = context::current(|frame| {
        frame.map(|frame| {
            (
                frame.node().clone(),
                frame.is_shielded(),
                frame.cancelling(),
            )
        })
    });
    let Some((node, shielded, bits)) = place else {
        std::thread::sleep(duration);
        return Ok(());
    };
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut cancelled = pin!(FlagWatch::new(Some(node.clone()), bits));
    loop {
        budget::set_unclocked(0);
        checkpoint_blocking()?;
        let polled = cancelled
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        let now = Clock::now();
        if until.is_some_and(|until| until <= now) {
            return Ok(());
        }
        if !polled {
            park(until.map(|until| until - now), &node, shielded);
        }
    }
}

fn park(rest: Option<Duration>, node: &Arc<Node>, shielded: bool) {
    let due = (!shielded).then(|| node.effective_deadline()).flatten();
    let due = due.map(|due| due.saturating_duration_since(Instant::now()));
    match rest.into_iter().chain(due).min() {
        Some(rest) => std::thread::park_timeout(rest),
        None => std::thread::park(),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs async code to its end on a thread that may block, in a scope of its own
/// inside the current one.
///
/// The future runs in the tokio runtime of the current scope, if there is one;
/// cancelled, it unwinds, as in [`Scope::run`](crate::Scope::run).
///
/// # Errors
///
/// [`Cancelled`] when the current scope was cancelled and the future was unwound.
///
/// # Panics
///
/// In async code, where it would block a thread of the runtime. A panic of the
/// future is resumed.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use taskscope::{Cancelled, blocking};
///
/// let length = blocking(|| {
///     let text = taskscope::block_on(async { "from async code".to_owned() })?;
///     Ok::<usize, Cancelled>(text.len())
/// });
/// assert_eq!(length.await.unwrap(), 15);
/// # }
/// ```
#[track_caller]
pub fn block_on<F: IntoFuture>(future: F) -> Result<F::Output, Cancelled> {
    let ambient = context::ambient();
    let parent = ambient.as_ref().map(|(node, shielded)| (node, *shielded));
    let node = Node::child(parent, Cow::Borrowed("block_on"), Location::caller());
    if ambient.is_none() {
        node.stand_alone();
    }
    let mut boundary = pin!(Boundary::new(
        Owner::new(node.clone()),
        future.into_future()
    ));
    // Outside of the thread's frame, as under an executor: the budget of
    // checkpoints begins anew with each poll.
    let run = poll_fn(|cx| context::outside(|| boundary.as_mut().poll_exit(cx)));
    let exit = match Handle::try_current() {
        Ok(runtime) => runtime.block_on(run),
        Err(_) => park_on(run),
    };
    match exit {
        Exit::Value(value) => Ok(value),
        Exit::Unwound | Exit::Ended => {
            // As at a checkpoint.
            if let Some((node, _)) = &ambient {
                node.set(flag::REFUSED);
            }
            Err(node.take_cancelled())
        }
        Exit::Panicked(panic) => panic.resume(),
    }
}

/// The same where there is no runtime.
fn park_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

/// The scope that code runs in, for use on other threads.
///
/// A thread pool of another crate knows nothing of the scope that uses it. Code
/// run in [`enter`](Self::enter) there sees the scope's cancellation, deadline
/// and reason, as it would on tokio's blocking pool. Nothing waits for it: the
/// code that hands out the work has to, as `rayon::scope` and `join` do.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use taskscope::{Cancelled, blocking, thread::{Ambient, checkpoint_blocking}};
///
/// let sum = blocking(|| {
///     let scope = Ambient::current();
///     std::thread::scope(|threads| {
///         let halves = [0..500, 500..1000].map(|half| {
///             let scope = &scope;
///             threads.spawn(move || {
///                 scope.enter(|| {
///                     half.map(|n: u32| checkpoint_blocking().map(|()| n))
///                         .sum::<Result<u32, Cancelled>>()
///                 })
///             })
///         });
///         let mut sum = 0;
///         for half in halves {
///             sum += half.join().unwrap()?;
///         }
///         Ok::<u32, Cancelled>(sum)
///     })
/// });
/// assert_eq!(sum.await.unwrap(), 499_500);
/// # }
/// ```
#[derive(Clone)]
pub struct Ambient {
    place: Option<(Arc<Node>, bool)>,
    runtime: Option<Handle>,
    span: WorkSpan,
}

impl fmt::Debug for Ambient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ambient")
            .field("scope", &self.handle())
            .finish_non_exhaustive()
    }
}

impl Ambient {
    /// Returns the scope that the current code runs in, or none.
    pub fn current() -> Ambient {
        Ambient {
            place: context::ambient(),
            runtime: Handle::try_current().ok(),
            span: WorkSpan::current(),
        }
    }

    /// Runs `f` in the scope, and in its tokio runtime, on the current thread. With feature
    /// `tracing` also in the span that was current in [`current`](Self::current).
    pub fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let _runtime = self.runtime.as_ref().map(Handle::enter);
        self.span.within(|| match &self.place {
            Some((node, shielded)) => enter(&Frame::blocking(node, *shielded), f),
            None => context::outside(f),
        })
    }

    /// Returns a handle that cancels the scope, and tells its name, deadline and reason.
    /// `None` outside any scope.
    pub fn handle(&self) -> Option<CancelHandle> {
        self.place
            .as_ref()
            .map(|(node, _)| CancelHandle::new(node.scope()))
    }
}
