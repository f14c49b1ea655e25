//! Task groups: parallel tasks that are gone when the group returns.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::blocking::blocking::blocking;
use crate::group::child::{Start, Task};
use crate::group::run::{GroupRun, LocalChildren, report_lost_deferred};
use crate::group::scoped::{Children, ErasedLocal, Queue, erase, erase_local};
use crate::group::shared::{Shared, TaskKind};
use crate::notes::names::Name;
use crate::notes::span::WorkSpan;
use crate::poll::context;
use crate::scope::scope::CancelHandle;
use crate::task::describe::Describe;
use crate::task::error::{BoxError, GroupError};
use crate::task::handle::{Core, TaskHandle};
use crate::task::output::{HasValue, TaskResult};
use crate::tree::node::{Node, flag};
use crate::tree::reason::Reason;
use crate::unwind::boundary::after;

/// What a group does when one of its tasks fails.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use taskscope::{BoxError, OnFailure, TaskGroup};
/// let error = TaskGroup::<BoxError>::new()
///     .on_failure(OnFailure::Continue)
///     .run(async |g| {
///         g.spawn(async { Err::<(), _>("one") });
///         g.spawn(async { Err::<(), _>("two") });
///         Ok(())
///     })
///     .await
///     .unwrap_err();
/// assert_eq!(error.failures().len(), 2);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnFailure {
    /// Cancels the body and the other tasks, and waits for them.
    #[default]
    Cancel,
    /// Lets the others go on; the failures are returned at the end. A panic is
    /// a failure of its task.
    ///
    /// A group like this may live for months. It keeps the first 64 failures of its
    /// tasks and counts the others, see [`GroupError::omitted`]; each of those goes to
    /// the report hook when it happens. A supervisor that handles failures itself makes
    /// them values, which are no failures of the group:
    /// `g.spawn(async { Value(work().await) })`.
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
    describe: Describe<E>,
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// let three = TaskGroup::<BoxError>::new().run(async |_| Ok(3));
    /// assert_eq!(three.await.unwrap(), 3);
    /// # }
    /// ```
    #[track_caller]
    pub fn new() -> TaskGroup<E> {
        TaskGroup {
            node: Node::root(Cow::Borrowed("group"), Location::caller()),
            limit: None,
            timeout: None,
            on_failure: OnFailure::Cancel,
            describe: Describe::by_type(),
        }
    }

    /// Names the group, in errors and reports. The default is `group`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// let failed = TaskGroup::<BoxError>::new()
    ///     .name("import")
    ///     .run(async |_| Err::<(), _>("no such table".into()));
    /// assert!(failed.await.unwrap_err().to_string().starts_with("group `import`"));
    /// # }
    /// ```
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.node.set_name(name.into());
        self
    }

    /// Runs at most this many tasks at the same time; the others wait, first
    /// in first out, until one has ended with its cleanup. Zero counts as one.
    /// The body and scoped tasks do not count.
    ///
    /// A task that awaits one it has spawned into its own full group waits until
    /// another one frees a place. Where all that have a place wait like that,
    /// nothing can go on: this is reported once, with names, as
    /// [`ReportKind::Stalled`](crate::ReportKind::Stalled). Give such tasks a
    /// group of their own, or do not await them in the task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # use std::time::Duration;
    /// TaskGroup::<BoxError>::new()
    ///     .limit(1)
    ///     .run(async |g| {
    ///         let first = g.spawn(tokio::time::sleep(Duration::from_secs(1)));
    ///         let second = g.spawn(async {}); // begins when the first is gone
    ///         second.await?;
    ///         assert!(first.is_finished());
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit.clamp(1, Semaphore::MAX_PERMITS));
        self
    }

    /// Cancels the group with [`Reason::Deadline`] this long after
    /// [`run`](Self::run) is called. Absurdly long durations mean never.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # use std::time::Duration;
    /// let late = TaskGroup::<BoxError>::new()
    ///     .timeout(Duration::from_secs(1))
    ///     .run(async |g| {
    ///         g.spawn(std::future::pending::<()>());
    ///         Ok(())
    ///     });
    /// assert!(late.await.unwrap_err().cancelled().is_some());
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Cancels the group with [`Reason::Deadline`] at this instant.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # use std::time::Duration;
    /// let at = tokio::time::Instant::now() + Duration::from_secs(1);
    /// let late = TaskGroup::<BoxError>::new()
    ///     .deadline(at)
    ///     .run(async |_| Ok(std::future::pending::<()>().await));
    /// assert!(late.await.unwrap_err().cancelled().is_some());
    /// # }
    /// ```
    pub fn deadline(self, deadline: Instant) -> Self {
        self.node.set_deadline(Some(deadline));
        self
    }

    /// How long what is left may take for its cleanup; see
    /// [`Scope::grace`](crate::Scope::grace).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # use std::time::Duration;
    /// # taskscope::set_report_hook(|_| ());
    /// use taskscope::shield;
    /// let late = TaskGroup::<BoxError>::new()
    ///     .timeout(Duration::from_secs(1))
    ///     .grace(Duration::from_secs(1))
    ///     .run(async |g| {
    ///         g.spawn(shield(std::future::pending::<()>())); // aborted after two seconds
    ///         Ok(())
    ///     });
    /// assert!(late.await.is_err());
    /// # }
    /// ```
    pub fn grace(self, grace: Duration) -> Self {
        self.node.set_grace(grace);
        self
    }

    /// How long the group may go on after it was asked to stop. Then it is cancelled; see
    /// [`Scope::drain`](crate::Scope::drain).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # use std::time::Duration;
    /// let group = TaskGroup::<BoxError>::new()
    ///     .drain(Duration::from_secs(5))
    ///     .run(async |g| {
    ///         g.spawn(std::future::pending::<()>()); // does not listen
    ///         g.stop();
    ///         Ok(())
    ///     });
    /// group.await.unwrap(); // after five seconds
    /// # }
    /// ```
    pub fn drain(self, drain: Duration) -> Self {
        self.node.set_drain(drain);
        self
    }

    /// What happens when a task fails. The default cancels the others.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use taskscope::{BoxError, OnFailure, TaskGroup, Value};
    /// let group = TaskGroup::<BoxError>::new().on_failure(OnFailure::Continue).run(async |g| {
    ///     g.spawn(async { Err::<(), _>("bad luck") });
    ///     let other = g.spawn(async { Value(7) });
    ///     assert_eq!(other.await?, 7);
    ///     Ok(())
    /// });
    /// assert_eq!(group.await.unwrap_err().failures().len(), 1);
    /// # }
    /// ```
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = policy;
        self
    }

    /// What reports say of an error that nobody gets, since the group does not
    /// return: it panics, is dropped, or an enclosing scope is cancelled. The default
    /// is the text of a `BoxError`, and the name of any other type. `task_group!` says
    /// `error = E` and uses the `Display` of `E`, if there is one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{TaskGroup, timeout};
    /// # use std::time::Duration;
    /// # taskscope::set_report_hook(|_| ());
    /// let group = TaskGroup::<std::fmt::Error>::new()
    ///     .describe(ToString::to_string)
    ///     .run(async |g| {
    ///         g.spawn_shielded(async { Err::<(), _>(std::fmt::Error) });
    ///         Ok(std::future::pending::<()>().await)
    ///     });
    /// let late = timeout(Duration::ZERO, group).await.unwrap_err();
    /// assert!(late.attached()[0].contains("failed: an error occurred when formatting"));
    /// # }
    /// ```
    pub fn describe(mut self, text: fn(&E) -> String) -> Self {
        self.describe = Describe::by_text(text);
        self
    }

    /// Says how an `E` is seen as an [`Error`]: reports then use its text, and its
    /// sources tell whether it only repeats the failure of another task, as
    /// `task.await?` does. Such an error is not listed a second time. Without this, an
    /// error of an own type that may be one is kept in
    /// [`attached`](GroupError::attached). `task_group!` with `error = E` does it for
    /// every `E` that is an `Error` or, like `anyhow::Error`, holds one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use taskscope::{TaskError, TaskGroup};
    ///
    /// #[derive(Debug)]
    /// enum Failed {
    ///     Disk,
    ///     Task(TaskError),
    /// }
    /// # impl std::fmt::Display for Failed {
    /// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    /// #         f.write_str("failed")
    /// #     }
    /// # }
    ///
    /// impl std::error::Error for Failed {
    ///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
    ///         match self {
    ///             Failed::Disk => None,
    ///             Failed::Task(error) => Some(error),
    ///         }
    ///     }
    /// }
    ///
    /// let group = TaskGroup::<Failed>::new().as_error(|error| error).run(async |g| {
    ///     let save = g.spawn(async { Err::<(), _>(Failed::Disk) });
    ///     save.await.map_err(Failed::Task)
    /// });
    /// assert_eq!(group.await.unwrap_err().failures().len(), 1);
    /// # }
    /// ```
    pub fn as_error(mut self, error: fn(&E) -> &(dyn Error + 'static)) -> Self {
        self.describe = Describe::by_error(error);
        self
    }

    /// What the macro knows of the error type.
    #[doc(hidden)]
    pub fn described(mut self, how: Describe<E>) -> Self {
        self.describe = how;
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
    /// future outside of one panics, and so does polling it again after it has completed. A
    /// group with a time limit of any kind needs a timer, as a [`Scope`](crate::Scope::run).
    ///
    /// # Cancel safety
    ///
    /// Dropped from outside, it cancels its tasks with [`Reason::Dropped`]; the
    /// enclosing scope does not return before they have left in order.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// let sum = TaskGroup::<BoxError>::new().run(async |g| {
    ///     let number = g.spawn(async { "20".parse::<i32>() });
    ///     Ok(number.await? + 1)
    /// });
    /// assert_eq!(sum.await.unwrap(), 21);
    /// # }
    /// ```
    pub fn run<'env, T, F, Fut>(
        self,
        body: F,
    ) -> impl Future<Output = Result<T, GroupError<E>>> + use<'env, T, E, F, Fut>
    where
        F: FnOnce(Group<'env, E>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let body = |shared| body(Group::new(shared));
        GroupRun::new(self.into_shared(), (), body)
    }

    /// The same for tasks that are not `Send`, on the current thread; the body
    /// gets a [`LocalGroup`]. The returned future is not `Send`.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run), also for panics and cancel safety.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use std::{cell::Cell, rc::Rc};
    /// use taskscope::{BoxError, TaskGroup};
    ///
    /// let count = Rc::new(Cell::new(0));
    /// TaskGroup::<BoxError>::new()
    ///     .run_local(async |g| {
    ///         for _ in 0..3 {
    ///             let count = count.clone();
    ///             g.spawn_local(async move { count.set(count.get() + 1) });
    ///         }
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// assert_eq!(count.get(), 3);
    /// # }
    /// ```
    pub fn run_local<'env, T, F, Fut>(
        self,
        body: F,
    ) -> impl Future<Output = Result<T, GroupError<E>>> + use<'env, T, E, F, Fut>
    where
        F: FnOnce(LocalGroup<'env, E>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let queue = Rc::new(Queue::new());
        let locals = LocalChildren {
            queue: queue.clone(),
            children: Children::new(),
        };
        let body = |shared| {
            body(LocalGroup {
                group: Group::new(shared),
                queue,
            })
        };
        GroupRun::new(self.into_shared(), locals, body)
    }

    fn into_shared(self) -> Arc<Shared<E>> {
        if let Some(timeout) = self.timeout
            && let Some(at) = after(timeout)
        {
            self.node.limit_to(at, timeout);
        }
        Arc::new(Shared::new(
            self.node,
            self.on_failure,
            self.limit,
            self.describe,
        ))
    }
}

/// A running group: spawns its tasks. Cheap to clone into tasks, which may
/// spawn siblings, also while the group waits for its last tasks.
///
/// `'env` is how long what [`spawn_scoped`](Self::spawn_scoped) borrows must
/// live.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use taskscope::{BoxError, Group, TaskGroup};
/// // A task that spawns siblings.
/// async fn visit(g: Group<'static>) {
///     g.spawn(async {});
/// }
/// TaskGroup::<BoxError>::new()
///     .run(async |g| {
///         g.spawn(visit(g.clone()));
///         Ok(())
///     })
///     .await
///     .unwrap();
/// # }
/// ```
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

impl<E> Group<'_, E> {
    fn new(shared: Arc<Shared<E>>) -> Self {
        Group {
            shared,
            env: PhantomData,
        }
    }
}

impl<'env, E: Send + 'static> Group<'env, E> {
    /// Spawns a parallel task.
    ///
    /// It is named after the async function whose future it runs, `app::fetch`. An async
    /// block is named after the function around it and the line that spawns it,
    /// `app::main (src/main.rs:12)`. [`spawn_named`](Self::spawn_named) gives another name.
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
    pub fn spawn<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.shared.spawn(
            TaskKind::Plain,
            Name::of_future::<F>(),
            Location::caller(),
            Start::default(),
            future,
        )
    }

    /// The same, with a name of its own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # TaskGroup::<BoxError>::new().run(async |g| {
    /// let task = g.spawn_named("import", async {});
    /// assert_eq!(task.name(), "import");
    /// # Ok(())
    /// # }).await.unwrap();
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_named<F, T>(&self, name: impl Into<Cow<'static, str>>, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.shared.spawn(
            TaskKind::Plain,
            name.into().into(),
            Location::caller(),
            Start::default(),
            future,
        )
    }

    /// The span of a task whose work begins before the task is spawned, with
    /// [`spawn_at`](Self::spawn_at).
    #[cfg(feature = "tower")]
    pub(crate) fn task_span(&self, name: &str, location: &'static Location<'static>) -> WorkSpan {
        WorkSpan::task(&self.shared.span, || Cow::Borrowed(name), location)
    }

    /// Spawns a task that another module makes, located at a line of the user's.
    #[cfg(feature = "tower")]
    pub(crate) fn spawn_at<F, T>(
        &self,
        name: Cow<'static, str>,
        location: &'static Location<'static>,
        span: WorkSpan,
        future: F,
    ) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.shared.spawn(
            TaskKind::Plain,
            name.into(),
            location,
            Start::within(span),
            future,
        )
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
    pub fn spawn_scoped<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'env,
        F::Output: TaskResult<E, Value = T>,
        T: Send + 'env,
    {
        let (name, location) = (Name::of_future::<F>(), Location::caller());
        match self.shared.expect(TaskKind::Plain, name, location, ()) {
            Err(node) => TaskHandle::refused(Core::beside(node), self.shared.refusal()),
            Ok(node) => {
                let core = Core::beside(node);
                let (task, handle) = Task::new(&self.shared, core, Start::default(), future);
                drop(self.shared.scoped.push(erase(Box::pin(task))));
                self.shared.node.wake();
                handle
            }
        }
    }

    /// Runs a closure on the blocking pool, as a task of this group.
    ///
    /// It runs inside the group's scope, see [`blocking`](crate::blocking()):
    /// cancelled before it has begun, it never runs; once begun it is waited
    /// for, until one of its checkpoints refuses or the grace period is over.
    /// For one that may be left behind, spawn `blocking(f).abandon()`.
    ///
    /// A body that is cancelled while it awaits the handle does not get the value: a file or a
    /// connection that the closure has opened by then is dropped without an asynchronous
    /// cleanup. To open a resource, await `blocking(open)` in the body and arm its
    /// `defer!` in the next line, or see
    /// [the guide](crate::guide::cancel_safety#a-resource-that-nobody-takes).
    ///
    /// ```
    /// # #[tokio::main]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup, Value};
    /// let group = TaskGroup::<BoxError>::new().run(async |g| {
    ///     let sum = g.spawn_blocking(|| Value((1..=10).sum::<u32>()));
    ///     Ok(sum.await?)
    /// });
    /// assert_eq!(group.await.unwrap(), 55);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_blocking<F, R, T>(&self, f: F) -> TaskHandle<T>
    where
        F: FnOnce() -> R + Send + 'static,
        R: TaskResult<E> + HasValue<T, E>,
        T: Send + 'static,
    {
        self.shared.spawn(
            TaskKind::Plain,
            Name::of_function::<F>(),
            Location::caller(),
            Start::default(),
            blocking(move || f().into_result()),
        )
    }

    /// Spawns a task that the group's cancellation does not reach: it starts
    /// and runs to its end, and the group waits for it. It counts under the
    /// limit. Only the end of the grace period cuts it, with a report.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup, Value};
    /// let group = TaskGroup::<BoxError>::new().run(async |g| {
    ///     let saving = g.spawn_shielded(async { Value("saved") });
    ///     g.cancel();
    ///     Ok(saving)
    /// });
    /// assert_eq!(group.await.unwrap().await.unwrap(), "saved");
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_shielded<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.shared.spawn(
            TaskKind::Shielded,
            Name::of_future::<F>(),
            Location::caller(),
            Start::default(),
            future,
        )
    }

    /// Spawns a background task: cancelled once the body and the other tasks
    /// are gone, whichever way they went, so that their cleanup may still use
    /// it. It does not count under the limit.
    ///
    /// A service is cancelled, not drained: it is not asked to stop first, and what is left in
    /// its queue is lost unless a `defer!` empties it. See
    /// [A queue that must be emptied](crate::guide::groups#a-queue-that-must-be-emptied).
    ///
    /// A service must not hold what a task of the group waits to be dropped, such as the
    /// sender of the channel that the task reads from: the task would wait for the service, and
    /// the service for the task. Give it a weak sender, see
    /// [Services](crate::guide::groups#services).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use taskscope::{BoxError, TaskGroup};
    /// TaskGroup::<BoxError>::new()
    ///     .run(async |g| {
    ///         g.service(async {
    ///             loop {
    ///                 tokio::time::sleep(Duration::from_secs(1)).await;
    ///                 println!("still working");
    ///             }
    ///         });
    ///         g.spawn(tokio::time::sleep(Duration::from_secs(10)));
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    #[track_caller]
    pub fn service<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.shared.spawn(
            TaskKind::Service,
            Name::of_future::<F>(),
            Location::caller(),
            Start::default(),
            future,
        )
    }

    /// Registers a cleanup to be run when the group ends, after all tasks are
    /// gone: last in, first out, shielded. An `Err` is a failure of the group.
    ///
    /// In a group that has ended the future is dropped. In one that is aborted, too, and
    /// reported as a lost cleanup: a cleanup that registers another one would keep it open.
    /// After 64 cleanups that are ready at once, other tasks get to run.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup};
    /// let log = std::sync::Mutex::new(Vec::new());
    /// TaskGroup::<BoxError>::new()
    ///     .run(async |g| {
    ///         g.defer(async { log.lock().unwrap().push("first in") });
    ///         g.defer(async { log.lock().unwrap().push("last in") });
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// assert_eq!(*log.lock().unwrap(), ["last in", "first in"]);
    /// # }
    /// ```
    pub fn defer<F>(&self, future: F)
    where
        F: Future + Send + 'env,
        F::Output: TaskResult<E>,
    {
        let node = &self.shared.node;
        // One that defers another would keep an aborted group open.
        if node.flags_acquire() & flag::ABORTED != 0 {
            drop(future);
            return report_lost_deferred(node);
        }
        let future = WorkSpan::current().around(async { future.await.into_result().map(drop) });
        let future = Box::pin(future);
        // Noted first: the group does not end without having looked for it.
        self.shared.node.hold();
        if let Err(refused) = self.shared.deferred.push(erase(future)) {
            self.shared.node.release();
            report_lost_deferred(node);
            drop(refused);
        }
    }

    /// Waits for a free place under the limit: spawning through permits keeps
    /// memory in the order of the limit. In a group that is cancelled or has ended, it
    /// does not wait: the permit's `spawn` is refused there.
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
                    place: None,
                };
            };
            let mut acquire = Box::pin(limit.acquire_owned());
            let mut cancelled = crate::scope::watch::FlagWatch::new(
                Some(shared.node.clone()),
                flag::CANCELLED | flag::CLOSED,
            );
            let place = std::future::poll_fn(|cx| {
                if let Poll::Ready(Ok(permit)) = acquire.as_mut().poll(cx) {
                    return Poll::Ready(Some(permit));
                }
                context::current(|frame| {
                    if let Some(frame) = frame {
                        frame.node.stall(&shared.node, || "`reserve()`".to_owned());
                    }
                });
                Pin::new(&mut cancelled).poll(cx).map(|()| None)
            })
            .await;
            Permit { shared, place }
        }
    }

    /// Cancels the body and all tasks. False if that had happened before.
    ///
    /// A body that passes no further checkpoint keeps its value, and the group
    /// returns it.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// let value = TaskGroup::<BoxError>::new().run(async |g| {
    ///     g.spawn(std::future::pending::<()>());
    ///     g.cancel();
    ///     Ok("kept")
    /// });
    /// assert_eq!(value.await.unwrap(), "kept");
    /// # }
    /// ```
    pub fn cancel(&self) -> bool {
        self.handle().cancel()
    }

    /// Cancels with a reason; the first reason stays.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use taskscope::{BoxError, Reason, TaskError, TaskGroup};
    /// let group = TaskGroup::<BoxError>::new().run(async |g| {
    ///     let task = g.spawn(std::future::pending::<()>());
    ///     g.cancel_with(Reason::other("no more paper"));
    ///     Ok(task)
    /// });
    /// match group.await.unwrap().await {
    ///     Err(TaskError::Cancelled(cancelled)) => assert_eq!(cancelled.reason().to_string(), "no more paper"),
    ///     other => panic!("{other:?}"),
    /// }
    /// # }
    /// ```
    pub fn cancel_with(&self, reason: Reason) -> bool {
        self.handle().cancel_with(reason)
    }

    /// Asks body and tasks to finish, without interrupting them; the shielded ones and
    /// the services too.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # TaskGroup::<BoxError>::new().run(async |g| {
    /// g.spawn(taskscope::stopping());
    /// g.stop();
    /// # Ok(())
    /// # }).await.unwrap();
    /// # }
    /// ```
    pub fn stop(&self) {
        self.handle().stop();
    }

    /// A handle that cancels the group.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # TaskGroup::<BoxError>::new().run(async |g| {
    /// let handle = g.handle();
    /// g.spawn(async move { handle.stop() });
    /// # Ok(())
    /// # }).await.unwrap();
    /// # }
    /// ```
    pub fn handle(&self) -> CancelHandle {
        CancelHandle::new(self.shared.node.clone())
    }

    /// How many tasks are not yet gone, the waiting ones included. A task whose
    /// handle was ready just now may still be counted.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # TaskGroup::<BoxError>::new().run(async |g| {
    /// assert_eq!(g.len(), 0);
    /// g.spawn(std::future::pending::<()>());
    /// assert_eq!(g.len(), 1);
    /// g.cancel();
    /// # Ok(())
    /// # }).await.unwrap();
    /// # }
    /// ```
    pub fn len(&self) -> usize {
        self.shared.node.tasks()
    }

    /// Whether no task is left.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # TaskGroup::<BoxError>::new().run(async |g| {
    /// assert!(g.is_empty());
    /// # Ok(())
    /// # }).await.unwrap();
    /// # }
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A running group of [`TaskGroup::run_local`], which also takes tasks that are
/// not `Send`. Everything of [`Group`] can be called on it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::{cell::Cell, rc::Rc};
/// use taskscope::{BoxError, LocalGroup, TaskGroup};
/// let count = Rc::new(Cell::new(0));
/// TaskGroup::<BoxError>::new()
///     .run_local(async |g: LocalGroup<'_>| {
///         let count = count.clone();
///         g.spawn_local(async move { count.set(1) });
///         Ok(())
///     })
///     .await
///     .unwrap();
/// assert_eq!(count.get(), 1);
/// # }
/// ```
pub struct LocalGroup<'env, E = BoxError> {
    group: Group<'env, E>,
    queue: Rc<Queue<ErasedLocal>>,
}

impl<E> Clone for LocalGroup<'_, E> {
    fn clone(&self) -> Self {
        LocalGroup {
            group: self.group.clone(),
            queue: self.queue.clone(),
        }
    }
}

impl<E> fmt::Debug for LocalGroup<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.group.fmt(f)
    }
}

impl<'env, E> std::ops::Deref for LocalGroup<'env, E> {
    type Target = Group<'env, E>;

    fn deref(&self) -> &Group<'env, E> {
        &self.group
    }
}

impl<'env, E: Send + 'static> LocalGroup<'env, E> {
    /// Runs a task concurrently inside the group's own task: it need not be
    /// `Send`, and may borrow from outside the group. It does not count under
    /// the limit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup};
    /// let log = std::cell::RefCell::new(Vec::new());
    /// TaskGroup::<BoxError>::new()
    ///     .run_local(async |g| {
    ///         g.spawn_local(async { log.borrow_mut().push("borrowed, and not `Sync`") });
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// assert_eq!(log.borrow().len(), 1);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_local<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + 'env,
        F::Output: TaskResult<E, Value = T>,
        T: 'env,
    {
        let shared = &self.group.shared;
        let (name, location) = (Name::of_future::<F>(), Location::caller());
        match shared.expect(TaskKind::Plain, name, location, ()) {
            Err(node) => TaskHandle::refused(Core::beside(node), shared.refusal()),
            Ok(node) => {
                let core = Core::beside(node);
                let (task, handle) = Task::new(shared, core, Start::default(), future);
                drop(self.queue.push(erase_local(Box::pin(task))));
                shared.node.wake();
                handle
            }
        }
    }
}

/// A free place under a group's limit; given back when dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use taskscope::{BoxError, TaskGroup};
/// # TaskGroup::<BoxError>::new().run(async |g| {
/// let permit = g.reserve().await;
/// permit.spawn(async {});
/// # Ok(())
/// # }).await.unwrap();
/// # }
/// ```
#[must_use = "a permit does nothing until a task is spawned with it"]
pub struct Permit<E = BoxError> {
    shared: Arc<Shared<E>>,
    /// `None` in a group without a limit, or in a cancelled one.
    place: Option<OwnedSemaphorePermit>,
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # TaskGroup::<BoxError>::new().run(async |g| {
    /// let task = g.reserve().await.spawn(async { "1".parse::<u8>() });
    /// assert_eq!(task.await?, 1);
    /// # Ok(())
    /// # }).await.unwrap();
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn<F, T>(self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.shared.spawn(
            TaskKind::Plain,
            Name::of_future::<F>(),
            Location::caller(),
            Start::holding(self.place),
            future,
        )
    }

    /// Spawns a task in this place, with a name of its own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{BoxError, TaskGroup};
    /// # TaskGroup::<BoxError>::new().run(async |g| {
    /// let task = g.reserve().await.spawn_named("job 7", async {});
    /// assert_eq!(task.name(), "job 7");
    /// # Ok(())
    /// # }).await.unwrap();
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_named<F, T>(self, name: impl Into<Cow<'static, str>>, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.shared.spawn(
            TaskKind::Plain,
            name.into().into(),
            Location::caller(),
            Start::holding(self.place),
            future,
        )
    }
}
