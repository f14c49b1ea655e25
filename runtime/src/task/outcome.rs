//! How a task ended, and how far it is.

use crate::task::error::TaskError;

/// How a task ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskscope::{BoxError, TaskGroup, task::Outcome};
///
/// let (tell, told) = std::sync::mpsc::channel();
/// let group = TaskGroup::<BoxError>::new().run(async |g| {
///     g.spawn(async {}).on_done(move |outcome| tell.send(outcome).unwrap());
///     Ok(())
/// });
/// group.await.unwrap();
/// assert_eq!(told.recv().unwrap(), Outcome::Completed);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It returned a value.
    Completed,
    /// It was cancelled and unwound, or never started.
    Cancelled,
    /// It returned an error.
    Failed,
    /// It panicked.
    Panicked,
    /// It exceeded its grace period, or its runtime was shut down.
    Aborted,
}

impl Outcome {
    pub(crate) fn of<T>(result: &Result<T, TaskError>) -> Outcome {
        match result {
            Ok(_) => Outcome::Completed,
            Err(TaskError::Cancelled(_)) => Outcome::Cancelled,
            Err(TaskError::Failed) => Outcome::Failed,
            Err(TaskError::Panicked(_)) => Outcome::Panicked,
            Err(TaskError::Aborted) => Outcome::Aborted,
        }
    }
}

/// How far a task is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskscope::{BoxError, TaskGroup, task::{Outcome, TaskState}};
///
/// let group = TaskGroup::<BoxError>::new().run(async |g| {
///     let task = g.spawn(std::future::pending::<()>());
///     assert_eq!(task.state(), TaskState::Pending);
///     task.cancel();
///     assert_eq!(task.state(), TaskState::Cancelling);
///     Ok(task)
/// });
/// assert_eq!(group.await.unwrap().state(), TaskState::Done(Outcome::Cancelled));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TaskState {
    /// Not polled yet: it waits for the scheduler, or for a place under the
    /// group's limit.
    Pending,
    /// Running.
    Running,
    /// Cancelled, and unwinding.
    Cancelling,
    /// Ended, its cleanup included.
    Done(Outcome),
}
