//! What a task may return.

use std::convert::Infallible;

/// The output of a task that cannot fail.
///
/// A plain `T` would conflict with `Result` in Rust's coherence rules, hence
/// the wrapper.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskscope::{BoxError, TaskGroup, Value};
/// let sum = TaskGroup::<BoxError>::new().run(async |g| Ok(g.spawn(async { Value(1 + 2) }).await?));
/// assert_eq!(sum.await.unwrap(), 3);
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Value<T>(pub T);

/// What a task or blocking work may return: `()`, `!`, [`Value<T>`], or a `Result`.
///
/// [`TaskResult`] adds the error type of the group, and has an example.
#[diagnostic::on_unimplemented(
    message = "a task or blocking work cannot return a plain `{Self}`",
    label = "this returns `{Self}`",
    note = "its type must say whether it can fail: return `Value(v)` or `()` where nothing can fail, \
            otherwise a `Result`"
)]
pub trait TaskOutput {
    /// The type of the value.
    type Value;

    /// Whether there is no value.
    #[doc(hidden)]
    fn is_failure(&self) -> bool {
        false
    }
}

/// The output of a task in a group whose error type is `E`: `()`, `!`,
/// [`Value<T>`], or a `Result` whose error converts into `E`.
///
/// A function that spawns a future of its caller's has it as a bound, beside [`ValueOf`]:
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use taskscope::{BoxError, Group, TaskGroup, TaskHandle, task::{TaskResult, ValueOf}};
///
/// fn start<F>(g: &Group<'_>, job: F) -> TaskHandle<ValueOf<F>>
/// where
///     F: Future + Send + 'static,
///     F::Output: TaskResult<BoxError>,
///     ValueOf<F>: Send,
/// {
///     g.spawn_named("job", job)
/// }
///
/// let seven = TaskGroup::<BoxError>::new()
///     .run(async |g| Ok(start(&g, async { "7".parse::<u8>() }).await?));
/// assert_eq!(seven.await.unwrap(), 7);
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a task that returns `{Self}` does not fit a group whose error type is `{E}`",
    label = "this returns `{Self}`",
    note = "where nothing can fail, return `Value(v)` or `()`",
    note = "where something can fail, return a `Result` whose error converts into `{E}`, or name \
            another error type for the group: `error = …`"
)]
pub trait TaskResult<E>: TaskOutput {
    /// Returns the value, or the group's failure.
    ///
    /// # Errors
    ///
    /// The task's error, converted.
    fn into_result(self) -> Result<Self::Value, E>;
}

/// Says what the value of a [`TaskResult`] is.
///
/// In a bound beside `TaskResult<E>` it leaves a return type that is no `TaskResult` at one
/// error. `TaskOutput<Value = T>` there would be a second one, for the same mistake.
#[doc(hidden)]
pub trait HasValue<T, E>: TaskResult<E, Value = T> {}

#[diagnostic::do_not_recommend]
impl<R: TaskResult<E>, E> HasValue<R::Value, E> for R {}

/// The value of a spawned future, as its handle returns it; see [`TaskResult`].
pub type ValueOf<F> = <<F as Future>::Output as TaskOutput>::Value;

#[diagnostic::do_not_recommend]
impl TaskOutput for () {
    type Value = ();
}

#[diagnostic::do_not_recommend]
impl<E> TaskResult<E> for () {
    fn into_result(self) -> Result<(), E> {
        Ok(())
    }
}

#[diagnostic::do_not_recommend]
impl<T> TaskOutput for Value<T> {
    type Value = T;
}

#[diagnostic::do_not_recommend]
impl<T, E> TaskResult<E> for Value<T> {
    fn into_result(self) -> Result<T, E> {
        Ok(self.0)
    }
}

#[diagnostic::do_not_recommend]
impl<T, X> TaskOutput for Result<T, X> {
    type Value = T;

    fn is_failure(&self) -> bool {
        self.is_err()
    }
}

#[diagnostic::do_not_recommend]
impl<T, X: Into<E>, E> TaskResult<E> for Result<T, X> {
    fn into_result(self) -> Result<T, E> {
        self.map_err(Into::into)
    }
}

/// Names the never type, which has no name on stable.
pub trait Returns {
    /// The return type.
    type Output;
}

impl<T> Returns for fn() -> T {
    type Output = T;
}

/// `!`.
pub type Never = <fn() -> ! as Returns>::Output;

#[diagnostic::do_not_recommend]
impl TaskOutput for Never {
    type Value = Infallible;
}

#[diagnostic::do_not_recommend]
impl<E> TaskResult<E> for Never {
    fn into_result(self) -> Result<Infallible, E> {
        self
    }
}
