//! How a task ended: the list of the ends of a task.
//!
//! Other types tell of the same ends, with what is known of them, and follow from one another:
//!
//! | end | group lists | handle returns | counter |
//! | --- | --- | --- | --- |
//! | value | – | `Ok` | `completed` |
//! | error | `Cause::Error` | `TaskError::Failed` | `failed` |
//! | panic | `Cause::Panic` | `TaskError::Panicked` | `panicked` |
//! | cancelled | – | `TaskError::Cancelled` | `cancelled` |
//! | aborted | `Cause::Aborted` | `TaskError::Aborted` | `aborted` |
//!
//! `TaskEnding::outcome` in `group/child.rs` decides on one of them, by how the task's body
//! exited: it notes the cause in the group, and returns what the handle is given. `Outcome::of`
//! makes of that the end alone, which is counted, and passed to callbacks and to
//! [`TaskState::Done`](crate::task::TaskState::Done).
//!
//! Three enums look alike but list something else. `Exit` is how a body exited, also that of a
//! scope, a branch or a cleanup, which have no errors of their own. `Ended` in `branch/join.rs`
//! tells of a branch, which may not have ended. `State` in `observe/snapshot.rs` is how far a task
//! is: [`tree`](crate::observe::tree()) has no task that has ended.

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
    /// Whether the task's group lists it as a failure.
    pub(crate) fn is_failure(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::Panicked | Outcome::Aborted)
    }
}
