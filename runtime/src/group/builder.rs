//! [`TaskGroup`]: the settings of a group, before it runs.

use crate::group::group::Group;
use crate::group::local::LocalGroup;
use crate::group::policy::OnFailure;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::group::run::GroupRun;
use crate::group::shared::Shared;
use crate::task::describe::Describe;
use crate::task::error::{BoxError, GroupError};
use crate::tree::node::Node;
use crate::unwind::boundary::after;

/// Builds a group of tasks that have all ended when it returns.
///
/// `E` is the error type that the failures of tasks are converted into. The
/// [`task_group!`](crate::task_group) macro writes this builder.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::{BoxError, TaskGroup, Value};
///
/// let sum = TaskGroup::<BoxError>::new()
///     .name("sum")
///     .limit(2)
///     .timeout(Duration::from_secs(5))
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
    /// Creates a group without a limit or a deadline, located at the caller's line.
    #[track_caller]
    pub fn new() -> TaskGroup<E> {
        TaskGroup {
            node: Node::root(Cow::Borrowed("group"), Location::caller()),
            limit: None,
            timeout: None,
            on_failure: OnFailure::Cancel,
            describe: Describe::Unknown,
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
    /// A task that awaits one it has spawned into its own full group waits until
    /// another one frees a place. Where all that have a place wait like that,
    /// nothing can go on: this is reported once, with names, as
    /// [`ReportKind::Stalled`](crate::observe::ReportKind::Stalled). Give such tasks a
    /// group of their own, or do not await them in the task.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit.clamp(1, Semaphore::MAX_PERMITS));
        self
    }

    /// Cancels the group with [`Reason::Deadline`](crate::Reason::Deadline) this long after
    /// [`run`](Self::run) is called. An absurdly long duration means never.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Cancels the group with [`Reason::Deadline`](crate::Reason::Deadline) at this instant.
    pub fn deadline(self, deadline: Instant) -> Self {
        self.node.set_deadline(Some(deadline));
        self
    }

    /// Sets how long cleanups may take once the group is cancelled; see
    /// [`Scope::grace`](crate::Scope::grace).
    pub fn grace(self, grace: Duration) -> Self {
        self.node.set_grace(grace);
        self
    }

    /// Sets how long the group may go on after it was asked to stop. Then it is cancelled; see
    /// [`Scope::drain`](crate::Scope::drain).
    pub fn drain(self, drain: Duration) -> Self {
        self.node.set_drain(drain);
        self
    }

    /// Sets what happens when a task fails; see [`OnFailure`]. The default cancels the others.
    pub fn on_failure(mut self, policy: OnFailure) -> Self {
        self.on_failure = policy;
        self
    }

    /// Sets the text that reports have of an error that no caller gets, since the group does
    /// not return: it panics, is dropped, or an enclosing scope is cancelled. The default
    /// is the text of a `BoxError`, and the name of any other type. `task_group!` with
    /// `error = E` uses the `Display` of `E`, if there is one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::{TaskGroup, timeout};
    /// # use std::time::Duration;
    /// # taskscope::observe::set_report_hook(|_| ());
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
        self.describe = Describe::Text(text);
        self
    }

    /// Sets how an `E` is seen as an [`Error`]: reports then use its text, and its
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
        self.describe = Describe::Error(error);
        self
    }

    /// What the macro knows of the error type.
    #[doc(hidden)]
    pub fn described(mut self, how: Describe<E>) -> Self {
        self.describe = how;
        self
    }

    /// Runs `body` in the current task, and waits until every task of the group
    /// has ended.
    ///
    /// # Errors
    ///
    /// [`GroupError`] with every failure of a task or of the body; or with
    /// [`cancelled`](GroupError::cancelled) when the group was cancelled and
    /// the body was unwound, or its deadline cut a task. A group whose body
    /// returned a value all the same after [`Group::cancel`] returns that value.
    /// When an enclosing, unshielded scope is cancelled, this does not return:
    /// the outermost cancelled boundary does, with the failures attached.
    ///
    /// # Panics
    ///
    /// Under [`OnFailure::Cancel`] a panic of the body or of a task is resumed
    /// once all have ended. Tasks need a tokio runtime: polling the returned
    /// future outside of one panics, and so does polling it again after it has completed. A
    /// group with a time limit of any kind needs a timer, as a [`Scope`](crate::Scope::run).
    ///
    /// # Cancel safety
    ///
    /// Dropped from outside, it cancels its tasks with
    /// [`Reason::Dropped`](crate::Reason::Dropped); the enclosing scope does not return before
    /// they have unwound.
    pub fn run<'env, T, F, Fut>(
        self,
        body: F,
    ) -> impl Future<Output = Result<T, GroupError<E>>> + use<'env, T, E, F, Fut>
    where
        F: FnOnce(Group<'env, E>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let body = |shared| body(Group::new(shared));
        GroupRun::<_, _, _, _, ()>::new(self.into_shared(), body)
    }

    /// Runs `body` on the current thread, with a [`LocalGroup`] for tasks that are not `Send`. The
    /// returned future is not `Send`.
    ///
    /// # Errors
    ///
    /// See [`run`](Self::run), also for panics and cancel safety.
    pub fn run_local<'env, T, F, Fut>(
        self,
        body: F,
    ) -> impl Future<Output = Result<T, GroupError<E>>> + use<'env, T, E, F, Fut>
    where
        F: FnOnce(LocalGroup<'env, E>) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let body = |shared| {
            body(LocalGroup {
                group: Group::new(shared),
                local: PhantomData,
            })
        };
        GroupRun::<_, _, _, _, Rc<()>>::new(self.into_shared(), body)
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
