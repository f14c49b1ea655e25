//! One task of a group: what polls it, and how it ends.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::sync::OwnedSemaphorePermit;

use crate::base::caught::Panic;
use crate::group::shared::Shared;
use crate::notes::outcome::Outcome;
use crate::notes::span::WorkSpan;
use crate::notes::stats::{self, Count};
use crate::task::error::{Cause, Failure, TaskError};
use crate::task::handle::{Core, TaskHandle};
use crate::task::output::{TaskOutput, TaskResult};
use crate::task::summary::Part;
use crate::tree::node::{Node, flag};
use crate::unwind::boundary::{Boundary, HasNode, Owner};
use crate::unwind::exit::Exit;

/// How a task gets its permit of the group's limit. Boxed where there is a limit: what every
/// task keeps is small.
pub(crate) enum Admission {
    Open,
    Limited(Box<Limited>),
}

/// A permit of the group's limit, or the wait for it.
pub(crate) enum Limited {
    Queued(Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>),
    Admitted { _permit: OwnedSemaphorePermit },
}

/// What a task has before it is spawned. What is missing is made for it.
#[derive(Default)]
pub(crate) struct Start {
    /// `None`: it needs no permit.
    pub(crate) admission: Option<Admission>,
    /// A span in which the work has begun already.
    pub(crate) span: Option<WorkSpan>,
}

impl Start {
    /// For a task that has a permit already, if the group has a limit.
    pub(crate) fn admitted(permit: Option<OwnedSemaphorePermit>) -> Start {
        Start {
            admission: permit.map(Admission::admitted),
            span: None,
        }
    }

    #[cfg(feature = "tower")]
    pub(crate) fn within(span: WorkSpan) -> Start {
        Start {
            admission: None,
            span: Some(span),
        }
    }
}

impl Admission {
    pub(crate) fn queued(
        place: Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>,
    ) -> Admission {
        Admission::Limited(Box::new(Limited::Queued(place)))
    }

    pub(crate) fn admitted(permit: OwnedSemaphorePermit) -> Admission {
        Admission::Limited(Box::new(Limited::Admitted { _permit: permit }))
    }

    /// The flag that tells of it.
    fn flag(&self) -> u32 {
        match self {
            Admission::Open => 0,
            Admission::Limited(limited) => match **limited {
                Limited::Queued(_) => flag::QUEUED,
                Limited::Admitted { .. } => flag::ADMITTED,
            },
        }
    }
}

/// Tells the group and the handle how the task ended; exactly once.
struct TaskEnding<T, E: Send + 'static> {
    core: Core<T>,
    /// Until they are told.
    group: Option<Arc<Shared<E>>>,
    admission: Admission,
}

impl<T, E: Send + 'static> HasNode for TaskEnding<T, E> {
    fn node(&self) -> &Arc<Node> {
        &self.core.node
    }

    /// Where nobody has asked the task to end, nobody else knows that it has.
    fn dropped_early(&self) {
        if let Some(group) = &self.group
            && self.core.node.flags_acquire() & flag::CANCELLED == 0
        {
            group.task_dropped(|| self.failure(Cause::Aborted));
        }
    }
}

impl<T, E: Send + 'static> TaskEnding<T, E> {
    fn has_ended(&self) -> bool {
        self.group.is_none()
    }

    /// Waits for a place under the group's limit. False for a task that was
    /// cancelled before.
    fn poll_begin(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let node = &self.core.node;
        if let Admission::Limited(limited) = &mut self.admission
            && let Limited::Queued(place) = &mut **limited
        {
            // Noted before the flag is read (invariant 4 of the node).
            node.register(cx.waker());
            if node.flags_acquire() & flag::CANCELLED == 0 {
                let permit = ready!(place.as_mut().poll(cx));
                **limited = Limited::Admitted { _permit: permit };
                node.set(flag::ADMITTED);
            }
        }
        Poll::Ready(node.set(flag::STARTED) & flag::CANCELLED == 0)
    }

    /// The task runs again: it does not wait for one that is queued behind it.
    fn unstall(&self) {
        if let Some(group) = &self.group {
            self.core.node.unstall(group.node());
        }
    }

    fn failure(&self, cause: Cause<E>) -> Failure<E> {
        let node = &self.core.node;
        Failure {
            name: node.name().into_owned(),
            id: self.core.id(),
            location: node.location(),
            part: Part::Task,
            cause,
        }
    }

    /// The outcome of the task, unless it was told. A failure is noted in the group; the
    /// handle and the group learn of the end by [`end`](Self::end).
    fn outcome(&self, exit: Exit<Result<T, E>>) -> Option<Result<T, TaskError>> {
        // Kept until the outcome is told: unwinding from here, `drop` tells it.
        let group = self.group.as_ref()?;
        let node = &self.core.node;
        let overran = node.flags_acquire() & flag::OVERRAN != 0;
        let outcome = match exit {
            Exit::Value(Ok(value)) => Ok(value),
            Exit::Value(Err(error)) => {
                group.task_failed(node, |cause| self.failure(cause), error);
                Err(TaskError::Failed)
            }
            Exit::Panicked(panic) => Err(self.panicked(group, panic)),
            Exit::Unwound | Exit::Ended if overran => Err(self.aborted(group)),
            Exit::Unwound | Exit::Ended if self.was_cut() => {
                let what = format!("the shielded task `{}`", node.name());
                group.node().overran(&what, node.location());
                Err(self.aborted(group))
            }
            Exit::Unwound | Exit::Ended => {
                // A service that is cancelled has done its work.
                if !self.is_background() {
                    group.note_cut();
                }
                Err(TaskError::Cancelled(node.take_cancelled()))
            }
        };
        Some(outcome)
    }

    /// Tells the handle and the group, whatever was told before.
    fn end(&mut self, outcome: Result<T, TaskError>) {
        let Some(group) = self.group.take() else {
            return;
        };
        let leaves = LeavesGroup {
            group: group.node(),
            task: &self.core.node,
        };
        // The permit is free for the next task after a failure has cancelled the
        // group, and before anyone can learn that this task has ended.
        leaves.task.return_permit(leaves.group);
        self.admission = Admission::Open;
        self.core.complete(outcome, leaves.group);
    }

    /// Goes only when the others are gone: a service.
    fn is_background(&self) -> bool {
        is_background(&self.core.node)
    }

    /// It was to run to its end, and had begun.
    fn was_cut(&self) -> bool {
        const CUT: u32 = flag::ABORTED | flag::SHIELDED | flag::STARTED;
        self.core.node.flags_acquire() & CUT == CUT
    }

    fn panicked(&self, group: &Shared<E>, panic: Panic) -> TaskError {
        let message = panic.message();
        group.panicked(panic, self.failure(Cause::Panic(message.clone())));
        TaskError::Panicked(message)
    }

    fn aborted(&self, group: &Shared<E>) -> TaskError {
        group.fail(self.failure(Cause::Aborted));
        TaskError::Aborted
    }
}

fn is_background(task: &Node) -> bool {
    task.flags() & flag::BACKGROUND != 0
}

/// Takes a task out of its group, however what is told before ends: callbacks, wakers
/// and results are the user's.
struct LeavesGroup<'a> {
    group: &'a Arc<Node>,
    task: &'a Node,
}

impl Drop for LeavesGroup<'_> {
    fn drop(&mut self) {
        self.group.task_ended(self.task, is_background(self.task));
    }
}

impl<T, E: Send + 'static> Drop for TaskEnding<T, E> {
    /// The runtime was shut down, or the task never ran.
    fn drop(&mut self) {
        if self.group.is_none() {
            return;
        }
        stats::count(Count::Ended(Outcome::Aborted));
        self.end(Err(TaskError::Aborted));
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
        // Whoever waits for the outcome finds the body gone: it is dropped first.
        #[pin]
        boundary: Boundary<Converted<F, E>, Result<T, E>, TaskEnding<T, E>>,
        span: WorkSpan,
    }

    impl<F, T, E> PinnedDrop for Task<F, T, E>
    where
        E: Send,
        E: 'static,
    {
        // The runtime, or the group that polls it, drops the task before it has ended. What
        // its body says then, such as a lost cleanup, belongs to the task.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.span.within(|| this.boundary.drop_body());
        }
    }
}

impl<F: Future, T, E: Send + 'static> Task<F, T, E>
where
    F::Output: TaskResult<E, Value = T>,
{
    /// A task of `group`, which expects it already.
    pub(crate) fn new(
        group: &Arc<Shared<E>>,
        core: Core<T>,
        start: Start,
        future: F,
    ) -> (Self, TaskHandle<T>) {
        let node = &core.node;
        let admission = start.admission.unwrap_or(Admission::Open);
        stats::spawned();
        let place = admission.flag();
        if place != 0 {
            node.set(place);
        }
        let span = start
            .span
            .unwrap_or_else(|| WorkSpan::task(&group.span, || node.name(), node.location()));
        let ending = TaskEnding {
            core: core.clone(),
            group: Some(group.clone()),
            admission,
        };
        let body = Converted {
            future,
            error: PhantomData,
        };
        let boundary = Boundary::new(Owner::new(ending), body);
        (Task { boundary, span }, TaskHandle::new(core))
    }
}

type TaskBoundary<F, T, E> = Boundary<Converted<F, E>, Result<T, E>, TaskEnding<T, E>>;

/// Waits for a place under the group's limit, no longer than until the task's deadline.
/// False for a task that was cancelled before.
fn poll_begin<F: Future, T, E: Send + 'static>(
    mut boundary: Pin<&mut TaskBoundary<F, T, E>>,
    cx: &mut Context<'_>,
) -> Poll<bool>
where
    F::Output: TaskResult<E, Value = T>,
{
    loop {
        let begun = boundary.as_mut().holder().poll_begin(cx);
        if begun.is_ready() || !boundary.as_mut().poll_deadline(cx) {
            return begun;
        }
    }
}

/// Polls the task to its end. `None` if that was told before.
fn poll_outcome<F: Future, T, E: Send + 'static>(
    mut boundary: Pin<&mut TaskBoundary<F, T, E>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<T, TaskError>>>
where
    F::Output: TaskResult<E, Value = T>,
{
    if !boundary.as_mut().is_started() {
        let begins = ready!(poll_begin(boundary.as_mut(), cx));
        if !begins {
            boundary.as_mut().discard();
        }
    }
    boundary.as_mut().holder().unstall();
    let exit = ready!(boundary.as_mut().poll_exit(cx));
    Poll::Ready(boundary.holder().outcome(exit))
}

impl<F: Future, T, E: Send + 'static> Future for Task<F, T, E>
where
    F::Output: TaskResult<E, Value = T>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        if this.boundary.as_mut().holder().has_ended() {
            return Poll::Ready(());
        }
        let boundary = this.boundary.as_mut();
        let outcome = ready!(this.span.within(|| poll_outcome(boundary, cx)));
        // Before anyone can learn that the task has ended: no span outlives that of its group.
        this.span.close();
        if let Some(outcome) = outcome {
            // Before anyone can learn of the end.
            stats::count(Count::Ended(Outcome::of(&outcome)));
            this.boundary.holder().end(outcome);
        }
        Poll::Ready(())
    }
}
