//! What a failure does to the rest of its group.

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
    /// tasks and counts the others, see [`GroupError::omitted`](crate::GroupError::omitted); each of those goes to
    /// the report hook when it happens. A supervisor that handles failures itself turns
    /// them into values, which are not failures of the group:
    /// `g.spawn(async { Value(work().await) })`.
    Continue,
}
