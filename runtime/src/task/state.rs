//! How far a task is.

use crate::notes::outcome::Outcome;

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
