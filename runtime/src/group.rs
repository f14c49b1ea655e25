//! Task groups: parallel tasks that are gone when the group returns.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{Location, resume_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::boundary::{Boundary, Owner, after};
use crate::cleanup::parked;
use crate::context::{self, Panic};
use crate::error::{BoxError, Cause, Failure, GroupError};
use crate::exit::Exit;
use crate::node::{Node, flag};
use crate::output::{TaskResult, ValueOf};
use crate::reason::{Cancelled, Origin, Reason};
use crate::report::{self, ReportKind};
use crate::scope::{CancelHandle, Place};
use crate::scoped::{Children, Queue};
use crate::sync::Mutex;
use crate::task::{Admission, Task, TaskHandle, TaskId, refused};

/// What a group does when one of its tasks fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// Cancels the body and the other tasks, and waits for them.
    #[default]
    Cancel,
    /// Lets the others go on; every failure is reported at the end. A panic is
    /// a failure of its task.
    Continue,
}

/// Builds a group of tasks that are all gone when it returns.
///
/// `E` is the error type that the failures of tasks are converted into. The
/// [`task_group!`](crate::task_group) macro writes this builder.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use taskscope::{BoxError, TaskGroup, Value};
///
/// let sum = TaskGroup::<BoxError>::new()
///     .limit(2)
///     .run(async |g| {
///         let parts: Vec<_> = (0..10).map(|n| g.spawn(async move { Value(n) })).collect();
///         let mut sum = 0;
///         for part in parts {
///             sum += part.await?;
///         }
///         Ok(sum)
///     })
///     .await;
/// assert_eq!(sum.unwrap(), 45);
/// # }
/// ```
#[must_use = "a group does nothing until `run` is awaited"]
pub struct TaskGroup<E = BoxError> {
    node: Arc<Node>,
    limit: Option<usize>,
    timeout: Option<Duration>,
    on_failure: OnFailure,
    error: PhantomData<fn() -> E>,
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup")
            .field("name", &self.node.name())
            .finish_non_exhaustive()
    }
}

impl<E: Send + 'static> Default for TaskGroup<E> {
    #[track_caller]
    fn default() -> Self {
        TaskGroup::new()
    }
}

impl<E: Send + 'static> TaskGroup<E> {
    /// A group without a limit or a deadline, located at the caller's line.
    #[track_caller]
    pub fn new() -> TaskGroup<E> {
        TaskGroup {
            node: Node::root(Cow::Borrowed("group"), Location::caller()),
            limit: None,
            timeout: None,
            on_failure: OnFailure::Cancel,
            error: PhantomData,
        }
    }

    /// Names the group, in errors and reports. The default is `group`.
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.node.set_name(name.into());
        self
    }

    /// Runs at most this many tasks at the same time; the others wait, first
    /// in first out, until one has ended with its cleanup. Zero counts as one.
    /// The body and scoped tasks do not count.
    ///
    /// A task that awaits one it has spawned into its own full group waits for
    /// ever: give it a group of its own, or do not await it there.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit.clamp(1, Semaphore::MAX_PERMITS));
        self
    }

    /// Cancels the group with [`Reason::Deadline`] this long after
    /// [`run`](Self::run) is called. Absurdly long durations mean never.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Cancels the group with [`Reason::Deadline`] at this instant.
    pub fn deadline(self, deadline: Instant) -> Self {
        self.node.lock().deadline = Some(deadline);
        self
    }

    /// How long what is left may take for its cleanup; see
    /// [`Scope::grace`](crate::Scope::grace).
    pub fn grace(self, grace: Duration) -> Self {
        self.node.set_grace(grace);
        self
    }

    /// What happens when a task fails. The default cancels the others.
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = policy;
        self
    }

    /// Runs `body` in the current task, and waits until every task of the group
    /// is gone.
    ///
    /// # Errors
    ///
    /// [`GroupError`] with every failure of a task or of the body; or with
    /// [`cancelled`](GroupError::cancelled) when the group was cancelled and
    /// the body was left, or its deadline cut a task. A group whose body
    /// returned a value all the same after [`Group::cancel`] gives that value.
    /// When an enclosing, unshielded scope is cancelled, this does not return:
    /// the outermost cancelled boundary does, with the failures attached.
    ///
    /// # Panics
    ///
    /// Under [`OnFailure::Cancel`] a panic of the body or of a task is resumed
    /// once all are gone. Tasks need a tokio runtime: polling the returned
    /// future outside of one panics.
    ///
    /// # Cancel safety
    ///
    /// Dropped from outside, it cancels its tasks with [`Reason::Dropped`]; the
    /// enclosing scope does not return before they have left in order.
    pub fn run<'env, T, F, Fut>(
        self,
        body: F,
    ) -> impl Future<Output = Result<T, GroupError<E>>> + use<'env, T, E, F, Fut>
    where
        F: FnOnce(Group<'env, E>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        if let Some(at) = self.timeout.and_then(after) {
            let mut inner = self.node.lock();
            inner.deadline = Some(inner.deadline.map_or(at, |deadline| deadline.min(at)));
        }
        let shared = Arc::new(Shared {
            node: self.node,
            on_failure: self.on_failure,
            limit: self.limit.map(|limit| Arc::new(Semaphore::new(limit))),
            runtime: OnceLock::new(),
            failures: Mutex::new(Vec::new()),
            panic: Mutex::new(None),
            cut: AtomicBool::new(false),
            queue: Queue::new(),
        });
        GroupRun {
            boundary: None,
            body: Some(body),
            members: Members::new(shared),
            place: Place::nowhere(),
        }
    }
}

/// What a group's future, its handles and its tasks share.
pub(crate) struct Shared<E> {
    node: Arc<Node>,
    on_failure: OnFailure,
    limit: Option<Arc<Semaphore>>,
    /// Where tasks are spawned: the runtime that polls the group.
    runtime: OnceLock<Handle>,
    failures: Mutex<Vec<Failure<E>>>,
    panic: Mutex<Option<Panic>>,
    /// Whether a task was left by cancellation.
    cut: AtomicBool,
    queue: Queue,
}

impl<E: Send + 'static> Shared<E> {
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn was_cut(&self) {
        // Release: pairs with the Acquire of the group that ends.
        self.cut.store(true, Ordering::Release);
    }

    pub(crate) fn fail(&self, failure: Failure<E>) {
        self.failures.lock().push(failure);
        if self.on_failure == OnFailure::Cancel {
            self.node.cancel(Reason::SiblingFailed);
        }
    }

    /// The first panic is resumed at the end, unless it is a task's own affair.
    pub(crate) fn panicked(&self, panic: Panic, failure: Failure<E>) {
        if self.on_failure == OnFailure::Continue {
            return self.fail(failure);
        }
        self.panic.lock().get_or_insert(panic);
        self.node.cancel(Reason::SiblingFailed);
    }

    fn body_failure(&self, cause: Cause<E>) -> Failure<E> {
        Failure {
            name: "body".to_owned(),
            id: TaskId::next(),
            location: self.node.location(),
            cause,
        }
    }

    fn body_failed(&self, error: E) {
        // A body that passes on what a handle told it is not a second failure.
        let told = self.node.flags_acquire() & flag::TOLD != 0;
        let known =
            told && self.on_failure == OnFailure::Cancel && !self.failures.lock().is_empty();
        if !known {
            self.failures
                .lock()
                .push(self.body_failure(Cause::Error(error)));
        }
        self.node.cancel(Reason::SiblingFailed);
    }

    fn body_panicked(&self, panic: Panic) {
        self.panic.lock().get_or_insert(panic);
        self.node.cancel(Reason::SiblingFailed);
    }

    /// A node for a new task, or one for its handle alone when the group takes
    /// no more.
    fn expect(
        &self,
        name: Cow<'static, str>,
        location: &'static Location<'static>,
    ) -> Result<Arc<Node>, Arc<Node>> {
        if !self.node.expect() {
            return Err(Node::root(name, location));
        }
        Ok(Node::child(Some((&self.node, false)), name, location))
    }

    fn refusal(&self) -> Cancelled {
        let origin = self.node.origin().unwrap_or_else(|| {
            Arc::new(Origin {
                reason: Reason::Requested,
                scope: self.node.name(),
            })
        });
        Cancelled::new(origin, Vec::new())
    }

    fn admission(&self) -> Admission {
        let Some(limit) = &self.limit else {
            return Admission::Open;
        };
        if let Ok(permit) = limit.clone().try_acquire_owned() {
            return Admission::Holding { _permit: permit };
        }
        let limit = limit.clone();
        let mut place: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
            match limit.acquire_owned().await {
                Ok(permit) => permit,
                // The semaphore is never closed.
                Err(_) => std::future::pending().await,
            }
        });
        // Polled here once to take its place in the queue in order of spawning.
        match place
            .as_mut()
            .poll(&mut Context::from_waker(std::task::Waker::noop()))
        {
            Poll::Ready(permit) => Admission::Holding { _permit: permit },
            Poll::Pending => Admission::Waiting(place),
        }
    }

    fn spawn<F>(
        self: &Arc<Self>,
        name: Cow<'static, str>,
        location: &'static Location<'static>,
        admission: Option<Admission>,
        future: F,
    ) -> TaskHandle<ValueOf<F>>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E>,
        ValueOf<F>: Send,
    {
        match self.expect(name, location) {
            Err(node) => refused(node, self.refusal()),
            Ok(node) => {
                let admission = admission.unwrap_or_else(|| self.admission());
                let (task, handle) = Task::new(self, node, admission, future);
                self.runtime.get_or_init(Handle::current).spawn(task);
                handle
            }
        }
    }
}

/// A running group: spawns its tasks. Cheap to clone into tasks, which may
/// spawn siblings, also while the group waits for its last tasks.
///
/// `'env` is how long what [`spawn_scoped`](Self::spawn_scoped) borrows must
/// live.
pub struct Group<'env, E = BoxError> {
    shared: Arc<Shared<E>>,
    env: PhantomData<fn(&'env ())>,
}

impl<E> Clone for Group<'_, E> {
    fn clone(&self) -> Self {
        Group {
            shared: self.shared.clone(),
            env: PhantomData,
        }
    }
}

impl<E> fmt::Debug for Group<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.shared.node.name())
            .finish_non_exhaustive()
    }
}

impl<'env, E: Send + 'static> Group<'env, E> {
    /// Spawns a parallel task, named after the future's type.
    ///
    /// The task belongs to this group, whatever scope the caller stands in. In
    /// a group that was cancelled or has ended the future is dropped unpolled,
    /// and the handle says so.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup};
    /// let group = TaskGroup::<BoxError>::new().run(async |g| {
    ///     let port = g.spawn(async { "8080".parse::<u16>() });
    ///     Ok(port.await?)
    /// });
    /// assert_eq!(group.await.unwrap(), 8080);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> TaskHandle<ValueOf<F>>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E>,
        ValueOf<F>: Send,
    {
        self.shared
            .spawn(type_name::<F>(), Location::caller(), None, future)
    }

    /// The same, with a name of its own.
    #[track_caller]
    pub fn spawn_named<F>(
        &self,
        name: impl Into<Cow<'static, str>>,
        future: F,
    ) -> TaskHandle<ValueOf<F>>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E>,
        ValueOf<F>: Send,
    {
        self.shared
            .spawn(name.into(), Location::caller(), None, future)
    }

    /// Runs a task concurrently inside the group's own task, so that it may
    /// borrow from outside the group. It is a task in every other way, but does
    /// not count under the limit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup, Value};
    /// let name = String::from("taskscope");
    /// let group = TaskGroup::<BoxError>::new().run(async |g| {
    ///     let length = g.spawn_scoped(async { Value(name.len()) });
    ///     Ok(length.await?)
    /// });
    /// assert_eq!(group.await.unwrap(), 9);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_scoped<F>(&self, future: F) -> TaskHandle<ValueOf<F>>
    where
        F: Future + Send + 'env,
        F::Output: TaskResult<E>,
        ValueOf<F>: Send + 'env,
    {
        match self.shared.expect(type_name::<F>(), Location::caller()) {
            Err(node) => refused(node, self.shared.refusal()),
            Ok(node) => {
                let (task, handle) = Task::new(&self.shared, node, Admission::Open, future);
                self.shared.queue.push(Box::pin(task));
                self.shared.node.wake();
                handle
            }
        }
    }

    /// Waits for a free place under the limit: spawning through permits keeps
    /// memory in the order of the limit. In a cancelled group it does not wait.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, it gives back its place in the queue.
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup};
    /// TaskGroup::<BoxError>::new()
    ///     .limit(4)
    ///     .run(async |g| {
    ///         for _ in 0..1000 {
    ///             g.reserve().await.spawn(async {});
    ///         }
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    pub fn reserve(&self) -> impl Future<Output = Permit<E>> + Send + 'static + use<E> {
        let shared = self.shared.clone();
        async move {
            let Some(limit) = shared.limit.clone() else {
                return Permit {
                    shared,
                    admission: Some(Admission::Open),
                };
            };
            let mut acquire = Box::pin(limit.acquire_owned());
            let mut cancelled =
                crate::scope::Watch::new(Some(shared.node.clone()), flag::CANCELLED);
            let admission = std::future::poll_fn(|cx| {
                if let Poll::Ready(Ok(permit)) = acquire.as_mut().poll(cx) {
                    return Poll::Ready(Admission::Holding { _permit: permit });
                }
                Pin::new(&mut cancelled).poll(cx).map(|()| Admission::Open)
            })
            .await;
            Permit {
                shared,
                admission: Some(admission),
            }
        }
    }

    /// Cancels the body and all tasks. False if that had happened before.
    ///
    /// A body that passes no further checkpoint keeps its value, and the group
    /// returns it.
    pub fn cancel(&self) -> bool {
        self.handle().cancel()
    }

    /// Cancels with a reason; the first reason stays.
    pub fn cancel_with(&self, reason: Reason) -> bool {
        self.handle().cancel_with(reason)
    }

    /// Asks body and tasks to finish, without interrupting them.
    pub fn stop(&self) {
        self.handle().stop();
    }

    /// A handle that cancels the group.
    pub fn handle(&self) -> CancelHandle {
        CancelHandle::new(self.shared.node.clone())
    }

    /// How many tasks are not yet gone, the waiting ones included.
    pub fn len(&self) -> usize {
        self.shared.node.pending()
    }

    /// Whether no task is left.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A free place under a group's limit; given back when dropped.
#[must_use = "a permit does nothing until a task is spawned with it"]
pub struct Permit<E = BoxError> {
    shared: Arc<Shared<E>>,
    admission: Option<Admission>,
}

impl<E> fmt::Debug for Permit<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("group", &self.shared.node.name())
            .finish()
    }
}

impl<E: Send + 'static> Permit<E> {
    /// Spawns a task in this place; see [`Group::spawn`].
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> TaskHandle<ValueOf<F>>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E>,
        ValueOf<F>: Send,
    {
        self.shared
            .spawn(type_name::<F>(), Location::caller(), self.admission, future)
    }

    /// Spawns a task in this place, with a name of its own.
    #[track_caller]
    pub fn spawn_named<F>(
        self,
        name: impl Into<Cow<'static, str>>,
        future: F,
    ) -> TaskHandle<ValueOf<F>>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E>,
        ValueOf<F>: Send,
    {
        self.shared
            .spawn(name.into(), Location::caller(), self.admission, future)
    }
}

/// The name of a future's type, without what the compiler adds to it.
fn type_name<F>() -> Cow<'static, str> {
    Cow::Borrowed(std::any::type_name::<F>().trim_end_matches("::{{closure}}"))
}

/// A group's scoped children, dropped with its future.
struct Members<'env, E> {
    shared: Arc<Shared<E>>,
    scoped: Children<'env>,
}

impl<E> Members<'_, E> {
    fn new(shared: Arc<Shared<E>>) -> Self {
        Members {
            shared,
            scoped: Children::new(),
        }
    }
}

impl<E> Drop for Members<'_, E> {
    fn drop(&mut self) {
        self.scoped.close(&self.shared.queue);
    }
}

pin_project! {
    // The future of `TaskGroup::run`, which returns it as an opaque type: its
    // `Future` impl asks for a `FnOnce` bound that the compiler cannot prove for
    // every lifetime where the type itself is a parameter of something else.
    struct GroupRun<'env, T, E, F, Fut> {
        // Dropped first: it may borrow what scoped children borrow, and its
        // node adopts what they leave behind.
        members: Members<'env, E>,
        #[pin]
        boundary: Option<Boundary<Body<Fut, E>, Option<T>>>,
        body: Option<F>,
        place: Place,
    }
}

impl<'env, T, E, F, Fut> Future for GroupRun<'env, T, E, F, Fut>
where
    E: Send + 'static,
    F: FnOnce(Group<'env, E>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, GroupError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let shared = this.members.shared.clone();
        if this.place.is_left() {
            return parked("a group", shared.node.location());
        }
        let exit = this.place.enter(&shared.node, cx, |cx| {
            if let Some(body) = this.body.take() {
                shared.runtime.get_or_init(Handle::current);
                let group = Group {
                    shared: shared.clone(),
                    env: PhantomData,
                };
                let body = Body {
                    future: body(group),
                    shared: shared.clone(),
                };
                this.boundary
                    .set(Some(Boundary::new(Owner::new(shared.node.clone()), body)));
            }
            let Some(mut boundary) = this.boundary.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let polled = boundary.as_mut().poll_exit(cx);
            if polled.is_ready() {
                return polled;
            }
            this.members.scoped.poll(&shared.queue, cx);
            polled
        });
        let Poll::Ready(exit) = exit else {
            return Poll::Pending;
        };
        let value = match exit {
            Exit::Value(value) => value,
            Exit::Left | Exit::Ended => None,
            Exit::Panicked(panic) => {
                shared.body_panicked(panic);
                None
            }
        };
        shared.outcome(value, this.place)
    }
}

pin_project! {
    /// The body: its failure is the group's as soon as it happens.
    struct Body<Fut, E> {
        #[pin]
        future: Fut,
        shared: Arc<Shared<E>>,
    }
}

impl<T, E: Send + 'static, Fut: Future<Output = Result<T, E>>> Future for Body<Fut, E> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.project();
        match context::catch(|| this.future.poll(cx)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(value))) => Poll::Ready(Some(value)),
            Ok(Poll::Ready(Err(error))) => {
                this.shared.body_failed(error);
                Poll::Ready(None)
            }
            Err(panic) => {
                this.shared.body_panicked(panic);
                Poll::Ready(None)
            }
        }
    }
}

impl<E: Send + 'static> Shared<E> {
    /// What the group returns, once all is gone.
    fn outcome<T>(&self, value: Option<T>, place: &mut Place) -> Poll<Result<T, GroupError<E>>> {
        let outer = place.close();
        let failures = std::mem::take(&mut *self.failures.lock());
        if let Some(panic) = self.panic.lock().take() {
            self.report(&failures);
            resume_unwind(panic);
        }
        // Acquire: pairs with `was_cut`.
        let cut = self.cut.load(Ordering::Acquire);
        let complete = failures.is_empty() && (!cut || (outer.is_none() && !self.timed_out()));
        match (value, outer) {
            (Some(value), _) if complete => Poll::Ready(Ok(value)),
            (_, None) => Poll::Ready(Err(self.error(failures))),
            (_, Some(outer)) => {
                let earlier = self.node.take_failures();
                for text in earlier.into_iter().chain(self.report(&failures)) {
                    outer.attach_failure(text);
                }
                place.leave();
                Poll::Pending
            }
        }
    }

    fn timed_out(&self) -> bool {
        self.node
            .origin()
            .is_some_and(|origin| matches!(origin.reason, Reason::Deadline))
    }

    fn error(&self, failures: Vec<Failure<E>>) -> GroupError<E> {
        let own = self
            .node
            .origin()
            .is_none_or(|origin| matches!(origin.reason, Reason::SiblingFailed));
        let cancelled = (!own).then(|| self.node.take_cancelled());
        GroupError::new(self.node.name().into_owned(), failures, cancelled)
    }

    /// Failures that cannot be returned. Their errors need not be `Display`.
    fn report(&self, failures: &[Failure<E>]) -> Vec<String> {
        let group = self.node.name();
        let text = |failure: &Failure<E>| {
            let how = match &failure.cause {
                Cause::Error(error) => error_text(error),
                Cause::Panic(message) => format!("panicked: {message}"),
                Cause::Aborted => "was aborted".to_owned(),
            };
            format!("task `{}` {how}", failure.name)
        };
        failures
            .iter()
            .map(|failure| {
                report::report(
                    ReportKind::Unreported,
                    &group,
                    text(failure),
                    failure.location,
                )
            })
            .collect()
    }
}

/// The text of an error of any type, as far as one can know it.
fn error_text<E: 'static>(error: &E) -> String {
    let any: &dyn std::any::Any = error;
    match any.downcast_ref::<BoxError>() {
        Some(error) => format!("failed: {error}"),
        None => format!("failed with a `{}`", std::any::type_name::<E>()),
    }
}
