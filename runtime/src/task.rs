//! One task of a group, and its handle.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;

use crate::boundary::{Boundary, Owner};
use crate::context::{self, Panic};
use crate::error::{Cause, Failure, TaskError};
use crate::exit::Exit;
use crate::group::Shared;
use crate::node::{Node, flag};
use crate::output::{TaskOutput, TaskResult};
use crate::reason::{Cancelled, Reason};
use crate::sync::Mutex;

/// Identifies a task in the process; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    pub(crate) fn next() -> TaskId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        TaskId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MIN))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the task and its handle share.
struct Core<T> {
    node: Arc<Node>,
    id: TaskId,
    slot: Mutex<Slot<T>>,
}

enum Slot<T> {
    Running(Option<Waker>),
    Done(Result<T, TaskError>),
    Taken,
}

impl<T> Core<T> {
    fn complete(&self, outcome: Result<T, TaskError>) {
        let before = std::mem::replace(&mut *self.slot.lock(), Slot::Done(outcome));
        if let Slot::Running(Some(waker)) = before {
            waker.wake();
        }
    }

    fn is_finished(&self) -> bool {
        !matches!(*self.slot.lock(), Slot::Running(_))
    }
}

/// The handle of a task: awaits its outcome, or cancels it.
///
/// Dropping it changes nothing: the group owns the task. Cancelling who awaits
/// it does not cancel the task. It may be awaited after the group has ended.
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
/// use taskscope::{BoxError, TaskGroup, Value};
///
/// let late = TaskGroup::<BoxError>::new()
///     .run(async |g| Ok(g.spawn_named("sum", async { Value(1 + 2) })))
///     .await
///     .unwrap();
/// assert_eq!(late.name(), "sum");
/// assert!(late.is_finished());
/// assert_eq!(late.await.unwrap(), 3);
/// # }
/// ```
pub struct TaskHandle<T> {
    core: Arc<Core<T>>,
}

impl<T> TaskHandle<T> {
    /// Cancels this task and what is below it, alone. False if it had finished
    /// or was cancelled before.
    pub fn cancel(&self) -> bool {
        !self.is_finished() && self.core.node.cancel(Reason::Requested)
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.core.id
    }

    /// The task's name: the one it was given, or the type of its future.
    pub fn name(&self) -> Cow<'static, str> {
        self.core.node.name()
    }

    /// Whether its outcome is there, its cleanup included.
    pub fn is_finished(&self) -> bool {
        self.core.is_finished()
    }

    /// A handle that cancels this task, and can be cloned.
    pub fn cancel_handle(&self) -> crate::CancelHandle {
        crate::CancelHandle::new(self.core.node.clone())
    }
}

impl<T> fmt::Debug for TaskHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}

impl<T> Future for TaskHandle<T> {
    type Output = Result<T, TaskError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.core.slot.lock();
        if let Slot::Running(waker) = &mut *slot {
            if !waker
                .as_ref()
                .is_some_and(|waker| waker.will_wake(cx.waker()))
            {
                let old = waker.replace(cx.waker().clone());
                drop(slot);
                drop(old);
            }
            return Poll::Pending;
        }
        let taken = std::mem::replace(&mut *slot, Slot::Taken);
        drop(slot);
        let Slot::Done(outcome) = taken else {
            panic!(
                "the handle of task `{}` was polled after it was ready",
                self.name()
            );
        };
        if matches!(
            outcome,
            Err(TaskError::Failed | TaskError::Panicked(_) | TaskError::Aborted)
        ) {
            context::current(|frame| {
                if let Some(frame) = frame {
                    frame.node.mark_up(flag::TOLD);
                }
            });
        }
        Poll::Ready(outcome)
    }
}

/// How a task gets its place under the group's limit.
pub(crate) enum Admission {
    Open,
    Waiting(Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>),
    Holding { _permit: OwnedSemaphorePermit },
}

/// Tells the group and the handle how the task ended; exactly once.
struct Ending<T, E: Send + 'static> {
    core: Arc<Core<T>>,
    group: Arc<Shared<E>>,
    told: bool,
}

impl<T, E: Send + 'static> Ending<T, E> {
    fn failure(&self, cause: Cause<E>) -> Failure<E> {
        let node = &self.core.node;
        Failure {
            name: node.name().into_owned(),
            id: self.core.id,
            location: node.location(),
            cause,
        }
    }

    fn tell(&mut self, exit: Exit<Result<T, E>>) {
        self.told = true;
        let overran = self.core.node.flags_acquire() & flag::OVERRAN != 0;
        let outcome = match exit {
            Exit::Value(Ok(value)) => Ok(value),
            Exit::Value(Err(error)) => {
                self.group.fail(self.failure(Cause::Error(error)));
                Err(TaskError::Failed)
            }
            Exit::Panicked(panic) => Err(self.panicked(panic)),
            Exit::Left | Exit::Ended if overran => Err(self.aborted()),
            Exit::Left | Exit::Ended => {
                self.group.was_cut();
                Err(TaskError::Cancelled(self.core.node.take_cancelled()))
            }
        };
        self.core.complete(outcome);
        self.group.node().gone();
    }

    fn panicked(&self, panic: Panic) -> TaskError {
        let message = panic_message(&panic);
        self.group
            .panicked(panic, self.failure(Cause::Panic(message.clone())));
        TaskError::Panicked(message)
    }

    fn aborted(&self) -> TaskError {
        self.group.fail(self.failure(Cause::Aborted));
        TaskError::Aborted
    }
}

impl<T, E: Send + 'static> Drop for Ending<T, E> {
    /// The runtime was shut down, or the task never ran.
    fn drop(&mut self) {
        if !self.told {
            self.told = true;
            self.core.complete(Err(TaskError::Aborted));
            self.group.node().gone();
        }
    }
}

/// The text of a panic.
pub(crate) fn panic_message(panic: &Panic) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else {
        "a payload that is no string".to_owned()
    }
}

pin_project! {
    /// A future whose output is converted in its own task.
    struct Converted<F, E> {
        #[pin]
        future: F,
        error: PhantomData<fn() -> E>,
    }
}

impl<F: Future, E> Future for Converted<F, E>
where
    F::Output: TaskResult<E>,
{
    type Output = Result<<F::Output as TaskOutput>::Value, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().future.poll(cx).map(TaskResult::into_result)
    }
}

pin_project! {
    /// A task of a group: what tokio polls, or the group itself.
    pub(crate) struct Task<F, T, E>
    where
        E: Send,
        E: 'static,
    {
        // Dropped first: whoever waits for the outcome finds it gone.
        #[pin]
        boundary: Boundary<Converted<F, E>, Result<T, E>>,
        admission: Admission,
        ending: Ending<T, E>,
    }
}

impl<F: Future, T, E: Send + 'static> Task<F, T, E>
where
    F::Output: TaskResult<E, Value = T>,
{
    /// A task of `group`, which expects it already.
    pub(crate) fn new(
        group: &Arc<Shared<E>>,
        node: Arc<Node>,
        admission: Admission,
        future: F,
    ) -> (Self, TaskHandle<T>) {
        node.set(flag::TASK);
        let core = Arc::new(Core {
            node: node.clone(),
            id: TaskId::next(),
            slot: Mutex::new(Slot::Running(None)),
        });
        let ending = Ending {
            core: core.clone(),
            group: group.clone(),
            told: false,
        };
        let boundary = Boundary::new(
            Owner::new(node),
            Converted {
                future,
                error: PhantomData,
            },
        );
        (
            Task {
                boundary,
                admission,
                ending,
            },
            TaskHandle { core },
        )
    }
}

impl<F: Future, T, E: Send + 'static> Future for Task<F, T, E>
where
    F::Output: TaskResult<E, Value = T>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.ending.told {
            return Poll::Ready(());
        }
        if !this.boundary.is_started() {
            let node = this.boundary.node().clone();
            if let Admission::Waiting(place) = this.admission {
                // Noted before the flag is read (invariant 4 of the node).
                node.register(cx.waker());
                if node.flags_acquire() & flag::CANCELLED == 0 {
                    let Poll::Ready(permit) = place.as_mut().poll(cx) else {
                        return Poll::Pending;
                    };
                    *this.admission = Admission::Holding { _permit: permit };
                }
            }
            if node.flags_acquire() & flag::CANCELLED != 0 {
                this.boundary.as_mut().discard();
            }
        }
        let Poll::Ready(exit) = this.boundary.poll_exit(cx) else {
            return Poll::Pending;
        };
        this.ending.tell(exit);
        *this.admission = Admission::Open;
        Poll::Ready(())
    }
}

/// The handle of a task that was refused.
pub(crate) fn refused<T>(node: Arc<Node>, cancelled: Cancelled) -> TaskHandle<T> {
    let slot = Mutex::new(Slot::Done(Err(TaskError::Cancelled(cancelled))));
    TaskHandle {
        core: Arc::new(Core {
            node,
            id: TaskId::next(),
            slot,
        }),
    }
}
