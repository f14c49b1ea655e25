//! How a task ended, and how far it is.

use crate::task::error::TaskError;

/// How a task ended.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use taskscope::{BoxError, Outcome, TaskGroup, TaskState};
/// let group = TaskGroup::<BoxError>::new().run(async |g| Ok(g.spawn(async {})));
/// assert_eq!(group.await.unwrap().state(), TaskState::Done(Outcome::Completed));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It returned a value.
    Completed,
    /// It was cancelled and left in order, or never started.
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
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use taskscope::{BoxError, TaskGroup, TaskState};
/// # TaskGroup::<BoxError>::new().run(async |g| {
/// let task = g.spawn(async {});
/// assert_eq!(task.state(), TaskState::Pending);
/// # Ok(())
/// # }).await.unwrap();
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
    /// Cancelled, and not yet gone.
    Cancelling,
    /// Gone, its cleanup included.
    Done(Outcome),
}
