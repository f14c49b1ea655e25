//! Work on the blocking pool: a future that waits for it, in order.
//!
//! The work has a node of its own below the scope that polls the future, so a
//! checkpoint in it reads one flag, and it counts as cancelled when the future is
//! dropped. The closure lies in a slot that both sides reach: whoever takes it
//! first decides whether it runs.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::task::JoinHandle;

use crate::base::caught::{Panic, catch};
use crate::base::sync::Mutex;
use crate::blocking::thread;
use crate::notes::report::{self, ReportKind};
use crate::notes::span::WorkSpan;
use crate::poll::context;
use crate::poll::frame::Frame;
use crate::scope::nested::Nested;
use crate::task::output::TaskOutput;
use crate::tree::node::{Node, flag};
use crate::tree::reason::Reason;
use crate::unwind::cleanup::parked;
use crate::unwind::exit::polled_after_completion;
use crate::unwind::region::Region;

/// Runs `f` on tokio's blocking pool, inside the current scope.
///
/// In the closure, [`is_cancelled`](crate::is_cancelled),
/// [`deadline`](crate::deadline()) and
/// [`checkpoint_blocking`](crate::thread::checkpoint_blocking()) are those of the scope
/// that awaits it. Functions with `#[cancellable(blocking)]` have a checkpoint in
/// each round of their loops.
///
/// - Cancelled before it has begun, the closure is dropped and never runs.
/// - Once begun it is waited for, as nothing can interrupt it. An `Err` after one
///   of its checkpoints has refused counts as the cancellation: it is not returned.
/// - When the grace period is over it is abandoned and reported; its thread
///   goes on. With [`abandon`](Blocking::abandon) it is abandoned at once, without a report.
///
/// # Panics
///
/// A panic of the closure is resumed. Polling it outside of a tokio runtime
/// panics.
///
/// # Cancel safety
///
/// Dropped from outside while the closure runs, it abandons the closure, which is
/// reported and cancelled with [`Reason::Dropped`].
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use taskscope::{Value, blocking};
///
/// let Value(sum) = blocking(|| Value((1..=10).sum::<u32>())).await;
/// assert_eq!(sum, 55);
/// # }
/// ```
#[track_caller]
pub fn blocking<F, R>(f: F) -> Blocking<F, R>
where
    F: FnOnce() -> R + Send + 'static,
    R: TaskOutput + Send + 'static,
{
    Blocking {
        state: BlockingState::New(f),
        spawn: |node, slot| {
            let span = WorkSpan::current();
            tokio::task::spawn_blocking(move || run(&node, &slot, span))
        },
        is_failure: R::is_failure,
        abandon: false,
        place: Nested::new(Region::boundary()),
        location: Location::caller(),
    }
}

/// Future of [`blocking`].
#[must_use = "futures do nothing unless awaited"]
pub struct Blocking<F, R> {
    state: BlockingState<F, R>,
    // What needs bounds is called through these, so that the future needs none: with
    // `R: 'static` on it rustc does not see that a scope around it is `Send`.
    spawn: fn(Arc<Node>, Arc<WorkSlot<F>>) -> Thread<R>,
    is_failure: fn(&R) -> bool,
    abandon: bool,
    place: Nested,
    location: &'static Location<'static>,
}

enum BlockingState<F, R> {
    New(F),
    Running {
        node: Arc<Node>,
        slot: Arc<WorkSlot<F>>,
        thread: Thread<R>,
    },
    /// Cancelled: there will be no output.
    Left,
    Done,
}

type Thread<R> = JoinHandle<Option<Result<R, Panic>>>;
pub(crate) type WorkSlot<F> = Mutex<Option<F>>;

impl<F, R> Unpin for Blocking<F, R> {}

impl<F, R> fmt::Debug for Blocking<F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocking")
            .field("abandon", &self.abandon)
            .finish_non_exhaustive()
    }
}

impl<F, R> Blocking<F, R> {
    /// Does not wait for the closure once it is cancelled: its thread goes on alone, its
    /// checkpoints refuse, and what it returns is dropped.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() {
    /// use std::{thread, time::Duration};
    /// use taskscope::{blocking, timeout};
    ///
    /// let slow = blocking(|| thread::sleep(Duration::from_secs(1))).abandon();
    /// assert!(timeout(Duration::from_millis(1), slow).await.is_err());
    /// # }
    /// ```
    pub fn abandon(mut self) -> Self {
        self.abandon = true;
        self.place = Nested::new(Region::branch());
        self
    }
}

impl<F, R> Blocking<F, R> {
    /// Hands the closure to the pool, unless the scope is cancelled already.
    fn start(&mut self, cx: &mut Context<'_>) {
        let BlockingState::New(f) = std::mem::replace(&mut self.state, BlockingState::Left) else {
            return;
        };
        if context::must_unwind() {
            return context::outside(|| drop(f));
        }
        let node = Node::root(Cow::Borrowed("blocking"), self.location);
        node.set(flag::BLOCKING);
        // Before the thread can ask for its scope.
        self.place.open(&node, cx);
        let slot = Arc::new(Mutex::new(Some(f)));
        let thread = (self.spawn)(node.clone(), slot.clone());
        self.state = BlockingState::Running { node, slot, thread };
    }

    /// Polls the thread; `None` when there will be no output.
    fn poll_thread(&mut self, cx: &mut Context<'_>) -> Poll<Option<R>> {
        let BlockingState::Running { node, slot, thread } = &mut self.state else {
            return Poll::Ready(None);
        };
        if context::must_unwind() && withdraw(slot) {
            return Poll::Ready(None);
        }
        let joined = ready!(self.place.enter(node, cx, |cx| Pin::new(thread).poll(cx)));
        let refused = was_refused(node);
        Poll::Ready(match joined {
            Ok(Some(Ok(output))) => Some(output).filter(|output| {
                // What it returns because it was cancelled says nothing else.
                !(refused && (self.is_failure)(output) && context::must_unwind())
            }),
            Ok(Some(Err(panic))) => {
                self.end(BlockingState::Done);
                panic.resume()
            }
            Ok(None) => None,
            Err(_) => {
                let location = self.location;
                self.end(BlockingState::Done);
                panic!("the blocking work at {location} was not run: the runtime is shut down")
            }
        })
    }

    fn end(&mut self, state: BlockingState<F, R>) {
        if let BlockingState::Running { node, .. } = &self.state {
            node.detach();
        }
        self.place.close();
        self.state = state;
    }

    /// The grace period is over.
    fn overrun(&mut self) {
        let BlockingState::Running { node, .. } = &self.state else {
            return;
        };
        let (scope, last) = (node.scope(), node.last_checkpoint());
        let last = last.map(|last| format!(" (last checkpoint at {last})"));
        let what = format!("blocking work{}", last.unwrap_or_default());
        scope.overran_and(&what, "was abandoned, still running,", self.location);
        // The walk that ends the grace period may not have come to it yet, and does not find it
        // once it is detached.
        node.abort();
        self.end(BlockingState::Left);
    }
}

impl<F, R> Future for Blocking<F, R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = &mut *self;
        if let BlockingState::New(_) = this.state {
            this.start(cx);
        }
        if let BlockingState::Done = this.state {
            polled_after_completion("blocking", this.location);
        }
        let left = matches!(this.state, BlockingState::Left);
        if !left {
            if let Poll::Ready(output) = this.poll_thread(cx) {
                if let Some(output) = output {
                    this.end(BlockingState::Done);
                    return Poll::Ready(output);
                }
                this.end(BlockingState::Left);
            } else if !this.abandon && this.place.may_drop(true) {
                this.overrun();
            } else {
                return Poll::Pending;
            }
        }
        parked(&"`blocking`", this.location, cx)
    }
}

impl<F, R> Drop for Blocking<F, R> {
    fn drop(&mut self) {
        let BlockingState::Running { node, slot, .. } = &self.state else {
            return;
        };
        let scope = node.scope().name();
        // Before it is cancelled: it may end at once then, and was left behind all the same.
        let ended = node.flags_acquire() & flag::CLOSED != 0;
        node.cancel(Reason::Dropped);
        node.detach();
        if withdraw(slot) || ended || self.abandon || !has_begun(node) {
            return;
        }
        let message =
            "blocking work still runs, though the future that waited for it was dropped".to_owned();
        let last = node.last_checkpoint();
        let last = last.map(|last| format!("its last checkpoint was at {last}"));
        report::report_and(ReportKind::Abandoned, &scope, message, last, self.location);
    }
}

/// Whether a checkpoint has told the closure that it is cancelled, or has told
/// somebody who entered the scope from elsewhere on its behalf.
fn was_refused(node: &Node) -> bool {
    context::current(|frame| {
        let scope = frame.map_or(0, Frame::flags);
        (node.flags_acquire() | scope) & flag::REFUSED != 0
    })
}

/// Drops the closure, if it has not begun.
pub(crate) fn withdraw<F>(slot: &WorkSlot<F>) -> bool {
    let closure = slot.lock().take();
    let withdrawn = closure.is_some();
    context::outside(|| drop(closure));
    withdrawn
}

/// What the thread is to do with the closure.
pub(crate) enum Taken<F> {
    Run(F),
    /// It is cancelled, and who waits for it has not withdrawn it.
    Refuse(F),
    Withdrawn,
}

/// On the thread: takes the closure, if it is still there.
pub(crate) fn take<F>(node: &Node, slot: &WorkSlot<F>) -> Taken<F> {
    let mut slot = slot.lock();
    let Some(closure) = slot.take() else {
        return Taken::Withdrawn;
    };
    if node.flags_acquire() & (flag::CANCELLED | flag::ABORTED) != 0 {
        return Taken::Refuse(closure);
    }
    // Under the lock: who finds the slot empty sees why.
    node.set(flag::STARTED);
    Taken::Run(closure)
}

/// Whether a closure that could not be withdrawn runs, or has run: the thread may
/// have refused it.
pub(crate) fn has_begun(node: &Node) -> bool {
    node.flags_acquire() & flag::STARTED != 0
}

/// On the thread: what the closure makes, or a panic of it.
fn run<F: FnOnce() -> R, R>(
    node: &Arc<Node>,
    slot: &WorkSlot<F>,
    mut span: WorkSpan,
) -> Option<Result<R, Panic>> {
    let result = span.within(|| run_taken(node, slot));
    // Before anyone can learn that the work has ended.
    span.close();
    node.finish();
    result
}

fn run_taken<F: FnOnce() -> R, R>(
    node: &Arc<Node>,
    slot: &WorkSlot<F>,
) -> Option<Result<R, Panic>> {
    match take(node, slot) {
        Taken::Run(closure) => {
            let frame = Frame::blocking(node, false);
            Some(thread::enter(&frame, || catch(closure)))
        }
        Taken::Refuse(closure) => catch(|| drop(closure)).err().map(Err),
        Taken::Withdrawn => None,
    }
}
