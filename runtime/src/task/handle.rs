//! The handle of a task, and what it shares with the task.

use crate::task::id::TaskId;
use crate::task::state::TaskState;
use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker, ready};

use tokio::task::coop::RestoreOnPending;

use crate::base::caught::catch;
use crate::base::sync::{Mutex, MutexGuard};
use crate::base::wakers::keep_waker;
use crate::notes::outcome::Outcome;
use crate::notes::report::{self, ReportKind};
use crate::poll::context;
use crate::poll::gate::park;
use crate::scope::handle::CancelHandle;
use crate::task::error::TaskError;
use crate::tree::node::{Node, Payload, flag};
use crate::tree::reason::{Cancelled, Reason};
use crate::unwind::exit::PanicSite;

type Callback = Box<dyn FnOnce(Outcome) + Send>;

/// What few tasks have, in an allocation of its own.
#[derive(Default)]
struct Rare {
    /// In order of registration, until the task has ended.
    callbacks: Vec<(DoneId, Callback)>,
    /// The group that lists the task's failure. Its address identifies it: it is not
    /// reused while this is kept.
    group: Option<Weak<Node>>,
}

/// Identifies a callback of [`TaskHandle::on_done`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use taskscope::{BoxError, TaskGroup};
/// # TaskGroup::<BoxError>::new().run(async |g| {
/// let task = g.spawn(async {});
/// let id = task.on_done(|_| unreachable!("it was taken back"));
/// assert!(task.remove_on_done(id));
/// # Ok(())
/// # }).await.unwrap();
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DoneId(u64);

/// What the task and its handle share.
pub(crate) struct Core<T> {
    pub(crate) node: Arc<Node>,
    /// Finds the outcome in the payload of the task's node: one allocation for both.
    slot: fn(&Node) -> &ResultSlot<T>,
    owns: PhantomData<Arc<ResultSlot<T>>>,
}

/// The outcome of a task, or who waits for it.
pub(crate) struct ResultSlot<T> {
    id: TaskId,
    state: Mutex<ResultState<T>>,
}

struct ResultState<T> {
    /// Until it is taken by who awaits the handle.
    result: Option<Result<T, TaskError>>,
    outcome: Option<Outcome>,
    waker: Option<Waker>,
    /// It was polled before the task was gone.
    awaited: bool,
    /// The handle was dropped: nobody takes the result.
    unwanted: bool,
    rare: Option<Box<Rare>>,
}

/// A slot in the payload of its node. Whoever drops the node last may be in the middle of
/// anything: a result that was never read, and panics in its `Drop`, must not disturb it.
pub(crate) struct KeptResult<T: Send + 'static>(ResultSlot<T>);

impl<T: Send + 'static> KeptResult<T> {
    pub(crate) fn new() -> KeptResult<T> {
        KeptResult(ResultSlot::new())
    }

    fn of(node: &Node) -> &ResultSlot<T> {
        match node.payload::<KeptResult<T>>() {
            Some(kept) => &kept.0,
            None => unreachable!("`Core::inside` was given a node with this payload"),
        }
    }
}

impl<T: Send + 'static> Payload for KeptResult<T> {
    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl<T: Send + 'static> Drop for KeptResult<T> {
    fn drop(&mut self) {
        if !std::mem::needs_drop::<T>() {
            return;
        }
        if let Some(result) = self.0.take() {
            PanicSite::default().discard(result);
        }
    }
}

impl<T> ResultSlot<T> {
    pub(crate) fn new() -> ResultSlot<T> {
        ResultSlot {
            id: TaskId::next(),
            state: Mutex::new(ResultState {
                result: None,
                outcome: None,
                waker: None,
                awaited: false,
                unwanted: false,
                rare: None,
            }),
        }
    }

    /// The result that nobody has taken.
    pub(crate) fn take(&mut self) -> Option<Result<T, TaskError>> {
        self.state.get_mut().result.take()
    }
}

impl<T> Clone for Core<T> {
    fn clone(&self) -> Self {
        Core::new(self.node.clone(), self.slot)
    }
}

impl<T: Send + 'static> Core<T> {
    /// For a node whose payload is the slot, see [`KeptResult`].
    pub(crate) fn inside(node: Arc<Node<KeptResult<T>>>) -> Core<T> {
        Core::new(node, KeptResult::of)
    }
}

impl<T> Core<T> {
    pub(crate) fn new(node: Arc<Node>, slot: fn(&Node) -> &ResultSlot<T>) -> Core<T> {
        Core {
            node,
            slot,
            owns: PhantomData,
        }
    }

    pub(crate) fn id(&self) -> TaskId {
        self.slot().id
    }

    fn slot(&self) -> &ResultSlot<T> {
        (self.slot)(&self.node)
    }

    fn lock(&self) -> MutexGuard<'_, ResultState<T>> {
        self.slot().state.lock()
    }

    /// Gives the outcome of a task of `group` to its handle.
    pub(crate) fn complete(&self, result: Result<T, TaskError>, group: &Arc<Node>) {
        let outcome = Outcome::of(&result);
        // Made before the lock is taken.
        let listed = outcome.is_failure().then(|| {
            Box::new(Rare {
                group: Some(Arc::downgrade(group)),
                ..Rare::default()
            })
        });
        let mut slot = self.lock();
        slot.outcome = Some(outcome);
        let unwanted = match slot.unwanted {
            true => Some(result),
            false => slot.result.replace(result),
        };
        let (waker, rare) = (slot.waker.take(), std::mem::replace(&mut slot.rare, listed));
        drop(slot);
        self.discard(unwanted);
        if let Some(rare) = rare {
            for (_, callback) in rare.callbacks {
                self.call(callback, outcome);
            }
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Drops a result that nobody takes. A panic of its drop does not harm the task.
    fn discard(&self, result: Option<Result<T, TaskError>>) {
        match result {
            None => {}
            Some(Ok(value)) if !std::mem::needs_drop::<T>() => drop(value),
            Some(result) => self.run("the `Drop` of a result that was never taken", || {
                drop(result)
            }),
        }
    }

    /// A callback that panics harms neither the task nor the other callbacks.
    fn call(&self, callback: Callback, outcome: Outcome) {
        self.run("a callback of `on_done`", || callback(outcome));
    }

    /// Runs code of the user's outside every scope, and reports its panic.
    fn run(&self, what: &str, code: impl FnOnce()) {
        let Err(panic) = context::outside(|| catch(code)) else {
            return;
        };
        let message = format!("{what} panicked: {}", panic.message());
        report::report(
            ReportKind::Unreported,
            &self.node.path(),
            message,
            self.node.location(),
        );
    }

    fn outcome(&self) -> Option<Outcome> {
        self.lock().outcome
    }
}

/// The handle of a task: awaits its outcome, or cancels it.
///
/// Dropping the handle changes nothing: the group owns the task. Cancelling the code that awaits
/// the handle does not cancel the task. The handle may be awaited after the group has ended.
/// Code that awaits it and is cancelled together with the task gets no error; it is unwound there.
///
/// So a value may come when nothing waits for it any more. It is dropped, without an
/// asynchronous cleanup and without a report, also that of
/// [`spawn_shielded`](crate::Group::spawn_shielded). A task that opens a resource arms its
/// cleanup, and keeps it armed until the resource has been handed over; the
/// [guide](crate::guide::cancel_safety#a-resource-that-nobody-takes) has the pattern.
///
/// # Panics
///
/// When it is polled again after it was ready.
///
/// # Cancel safety
///
/// Cancel safe: `(&mut handle).await` may be dropped and begun again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskscope::{BoxError, TaskError, TaskGroup, Value};
///
/// let group = TaskGroup::<BoxError>::new().run(async |g| {
///     let sum = g.spawn_named("sum", async { Value(1 + 2) });
///     let mut idle = g.spawn(std::future::pending::<()>());
///     assert!(idle.cancel());
///     assert!(matches!((&mut idle).await, Err(TaskError::Cancelled(_))));
///     Ok(sum)
/// });
/// let sum = group.await.unwrap(); // the group has ended
/// assert_eq!(sum.name(), "sum");
/// assert!(sum.is_finished());
/// assert_eq!(sum.await.unwrap(), 3);
/// # }
/// ```
pub struct TaskHandle<T> {
    core: Core<T>,
    /// The result was taken out.
    taken: bool,
}

impl<T> TaskHandle<T> {
    pub(crate) fn new(core: Core<T>) -> TaskHandle<T> {
        TaskHandle { core, taken: false }
    }

    /// The handle of a task that was refused.
    pub(crate) fn refused(core: Core<T>, cancelled: Cancelled) -> TaskHandle<T> {
        core.complete(Err(TaskError::Cancelled(cancelled)), &core.node);
        TaskHandle::new(core)
    }

    /// Cancels this task and what is below it, alone. Returns false if the task had finished
    /// or was cancelled before.
    pub fn cancel(&self) -> bool {
        self.core.outcome().is_none() && self.core.node.cancel(Reason::Requested)
    }

    /// Asks this task and what is below it to finish, without interrupting it; see
    /// [`stopping`](crate::stopping()).
    pub fn stop(&self) {
        self.core.node.stop();
    }

    /// Returns the task's id.
    pub fn id(&self) -> TaskId {
        self.core.id()
    }

    /// Returns the task's name: the one it was given, or the one that
    /// [`Group::spawn`](crate::Group::spawn) makes of its future.
    pub fn name(&self) -> Cow<'static, str> {
        self.core.node.name()
    }

    /// Returns whether the task has ended, its cleanup included.
    pub fn is_finished(&self) -> bool {
        self.core.outcome().is_some()
    }

    /// Returns how far the task is.
    pub fn state(&self) -> TaskState {
        if let Some(outcome) = self.core.outcome() {
            return TaskState::Done(outcome);
        }
        let flags = self.core.node.flags_acquire();
        if flags & flag::CANCELLED != 0 {
            TaskState::Cancelling
        } else if flags & flag::STARTED != 0 {
            TaskState::Running
        } else {
            TaskState::Pending
        }
    }

    /// Calls `callback` once the task has ended: in order of registration, on the
    /// thread that ended the task; at once if it has ended already. See
    /// [`Outcome`] for an example.
    ///
    /// The task keeps the callback, and nothing else is kept alive by it. A
    /// panic in it is caught and reported.
    pub fn on_done(&self, callback: impl FnOnce(Outcome) + Send + 'static) -> DoneId {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = DoneId(NEXT.fetch_add(1, Ordering::Relaxed));
        let mut slot = self.core.lock();
        let Some(outcome) = slot.outcome else {
            let rare = slot.rare.get_or_insert_default();
            rare.callbacks.push((id, Box::new(callback)));
            return id;
        };
        drop(slot);
        self.core.call(Box::new(callback), outcome);
        id
    }

    /// Takes back a callback; returns false if it was called or taken back before.
    pub fn remove_on_done(&self, id: DoneId) -> bool {
        let mut slot = self.core.lock();
        let removed = slot.rare.as_mut().and_then(|rare| {
            let at = rare.callbacks.iter().position(|(other, _)| *other == id)?;
            Some(rare.callbacks.remove(at))
        });
        drop(slot);
        removed.is_some()
    }

    /// Returns a handle that cancels this task, and can be cloned.
    pub fn handle(&self) -> CancelHandle {
        CancelHandle::new(self.core.node.clone())
    }

    /// The former name of [`handle`](Self::handle).
    #[doc(hidden)]
    pub fn cancel_handle(&self) -> CancelHandle {
        self.handle()
    }
}

impl<T> Drop for TaskHandle<T> {
    /// The result goes with the handle: other handles of the task may live on, and the
    /// result itself may hold one.
    fn drop(&mut self) {
        if self.taken {
            return;
        }
        let mut slot = self.core.lock();
        slot.unwanted = true;
        let (result, waker) = (slot.result.take(), slot.waker.take());
        drop(slot);
        drop((result, waker));
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("state", &self.state())
            .finish()
    }
}

impl<T> TaskHandle<T> {
    /// Takes a part of tokio's budget if the outcome is there: a task that takes many
    /// lets others run in between. Outside of a tokio task there is no budget.
    pub(crate) fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<Option<RestoreOnPending>> {
        if !self.is_finished() {
            return Poll::Ready(None);
        }
        tokio::task::coop::poll_proceed(cx).map(Some)
    }

    /// Polls without a look at the budget.
    pub(crate) fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, TaskError>> {
        let mut slot = self.core.lock();
        if slot.outcome.is_none() {
            slot.awaited = true;
            let former = keep_waker(&mut slot.waker, cx.waker());
            drop(slot);
            drop(former);
            note_queued(&self.core.node);
            return Poll::Pending;
        }
        let (result, awaited) = (slot.result.take(), slot.awaited);
        let group = slot.rare.as_mut().and_then(|rare| rare.group.take());
        drop(slot);
        let Some(result) = result else {
            panic!(
                "the handle of task `{}` was polled after it was ready",
                self.name()
            );
        };
        if awaited
            && let Err(TaskError::Cancelled(cancelled)) = &result
            && unwinds_alike(cancelled, cx)
        {
            self.core.lock().result = Some(result);
            return Poll::Pending;
        }
        self.taken = true;
        if let Some(group) = group {
            note_failure_of(&group);
        }
        Poll::Ready(result.map_err(|error| error.of_task(|| self.name())))
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let budget = ready!(self.poll_budget(cx));
        let polled = self.poll_outcome(cx);
        if let (Poll::Ready(_), Some(budget)) = (&polled, budget) {
            budget.made_progress();
        }
        polled
    }
}

/// The current code waits for a task: one that may wait for it in turn, where
/// it is queued behind it.
fn note_queued(task: &Node) {
    if task.flags() & (flag::QUEUED | flag::STARTED) != flag::QUEUED {
        return;
    }
    let Some((group, _)) = task.parent() else {
        return;
    };
    context::current(|frame| {
        if let Some(frame) = frame {
            frame
                .node()
                .stall(&group, || format!("task `{}`", task.name()));
        }
    });
}

/// Whether the current code is to be left for the very cancellation that ended the
/// task. It would learn nothing, and `?` would make a failure of it.
fn unwinds_alike(cancelled: &Cancelled, cx: &Context<'_>) -> bool {
    context::current(|frame| {
        let Some(frame) = frame.filter(|frame| frame.must_unwind()) else {
            return false;
        };
        let alike = frame
            .node()
            .origin()
            .is_some_and(|origin| cancelled.began_as(&origin));
        if alike {
            park(frame, cx.waker());
        }
        alike
    })
}

/// The current code was given the failures of a group, as errors: what it says of tasks
/// from now on need not be of its own group's.
pub(crate) fn note_foreign_failure() {
    let none: Weak<Node> = Weak::<Node<()>>::new();
    note_failure_of(&none);
}

/// The current code was told of a failure that `group` lists.
fn note_failure_of(group: &Weak<Node>) {
    context::current(|frame| {
        if let Some(frame) = frame {
            frame.node().note_failure_seen(group);
        }
    });
}
