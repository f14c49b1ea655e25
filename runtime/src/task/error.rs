//! What a task's handle and a group return.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;

use crate::notes::names::without_line;
use crate::notes::outcome::Outcome;
use crate::task::describe::Describe;
use crate::task::handle::note_foreign_failure;
use crate::task::id::TaskId;
use crate::task::summary::{Part, on_one_line, what_failed};
use crate::tree::reason::Cancelled;

/// Any error: the error type of a group that names none.
///
/// ```
/// fn parse(text: &str) -> Result<u8, taskscope::BoxError> {
///     Ok(text.parse()?)
/// }
/// assert!(parse("300").is_err());
/// ```
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a task has no value.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskscope::{BoxError, TaskError, TaskGroup, Value};
///
/// let group = TaskGroup::<BoxError>::new().run(async |g| {
///     let task = g.spawn(std::future::pending::<Value<u8>>());
///     task.cancel();
///     match task.await {
///         Err(TaskError::Cancelled(cancelled)) => Ok(cancelled.is_requested()),
///         other => Err(format!("not cancelled: {other:?}").into()),
///     }
/// });
/// assert!(group.await.unwrap());
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TaskError {
    /// It was cancelled and unwound, or never started.
    Cancelled(Cancelled),
    /// It returned an error, which is among the group's failures.
    Failed,
    /// It panicked, with this message.
    Panicked(String),
    /// It exceeded its grace period and was dropped where it was, or its runtime
    /// was shut down.
    Aborted,
}

const FAILED: &str = "the task failed; its error is the group's";
const PANICKED: &str = "the task panicked: ";
const ABORTED: &str = "the task was aborted";

impl TaskError {
    /// Whether a text contains that of a `TaskError` that tells of a failure.
    pub(crate) fn is_quoted_in(text: &str) -> bool {
        [FAILED, PANICKED, ABORTED]
            .iter()
            .any(|told| text.contains(told))
    }
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

impl TaskError {
    /// The same, told by the handle of the task with this name.
    pub(crate) fn of_task<N: AsRef<str>>(self, name: impl FnOnce() -> N) -> TaskError {
        match self {
            TaskError::Cancelled(cancelled) => {
                TaskError::Cancelled(cancelled.of_task(name().as_ref()))
            }
            other => other,
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Cancelled(cancelled) => {
                match cancelled.task() {
                    Some(task) => write!(f, "task `{task}`")?,
                    None => f.write_str("the task")?,
                }
                write!(f, " was cancelled: {}", cancelled.why())
            }
            TaskError::Failed => f.write_str(FAILED),
            TaskError::Panicked(message) => write!(f, "{PANICKED}{message}"),
            TaskError::Aborted => f.write_str(ABORTED),
        }
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TaskError::Cancelled(cancelled) => Some(cancelled),
            _ => None,
        }
    }
}

impl From<TaskError> for io::Error {
    fn from(error: TaskError) -> Self {
        match error {
            TaskError::Cancelled(cancelled) => cancelled.into(),
            other => io::Error::other(other),
        }
    }
}

/// Why a task failed; see [`Failure`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Cause<E> {
    /// It returned this error.
    Error(E),
    /// It panicked, with this message.
    Panic(String),
    /// It exceeded its grace period and was dropped where it was, or its runtime
    /// was shut down.
    Aborted,
}

impl<E: fmt::Display> fmt::Display for Cause<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Error(error) => error.fmt(f),
            Cause::Panic(message) => write!(f, "panicked: {message}"),
            Cause::Aborted => f.write_str("aborted"),
        }
    }
}

/// One failure of a group: which task, where it was spawned, and why.
///
/// The group's own body is the task named `body`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use taskscope::{BoxError, TaskGroup, error::Cause};
///
/// let group = TaskGroup::<BoxError>::new().run(async |g| {
///     g.spawn_named("users", async { Err::<(), _>("no such table") });
///     Ok(())
/// });
/// for failure in group.await.unwrap_err().failures() {
///     assert_eq!((failure.name(), failure.location().file()), ("users", file!()));
///     match failure.cause() {
///         Cause::Error(error) => assert_eq!(error.to_string(), "no such table"),
///         other => println!("{} ({}): {other}", failure.name(), failure.location()),
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Failure<E> {
    pub(crate) name: String,
    pub(crate) id: TaskId,
    pub(crate) location: &'static Location<'static>,
    pub(crate) part: Part,
    pub(crate) cause: Cause<E>,
}

impl<E> Failure<E> {
    /// Returns the task's name. That of an async block is made of the function around it and the
    /// line that spawned it: `app::main (src/main.rs:12)`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the task's id.
    pub fn id(&self) -> TaskId {
        self.id
    }

    /// Returns the source line that spawned the task.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Returns why the task failed.
    pub fn cause(&self) -> &Cause<E> {
        &self.cause
    }

    /// Returns the error that the task returned; `None` if it panicked or was aborted.
    pub fn error(&self) -> Option<&E> {
        match &self.cause {
            Cause::Error(error) => Some(error),
            _ => None,
        }
    }
}

impl<E> Failure<E> {
    /// The name, for a text that names the location as well.
    pub(crate) fn short_name(&self) -> &str {
        without_line(&self.name, self.location)
    }

    fn line(&self, cause: impl fmt::Display) -> String {
        if self.short_name().len() < self.name.len() {
            return format!("`{}`: {cause}", self.name);
        }
        format!("`{}` ({}): {cause}", self.name, self.location)
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f.write_str(&on_one_line(&self.line(format!("{:#}", self.cause))));
        }
        f.write_str(&self.line(&self.cause))
    }
}

/// Why a group has no value: every failure, in the order in which they happened, or the
/// cancellation of the group.
///
/// `Display` is a short tree of names and causes, and so is `Debug`, which a `main` that
/// fails prints; `{:#?}` shows the fields. `source()` is `None`, since the causes are in the
/// text.
///
/// `{:#}` writes the tree on one line, for logs:
///
/// ```text
/// group `connection`: 1 task failed: `reader` (src/chat.rs:20:15): silent for 4s
/// ```
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::{BoxError, GroupError, TaskGroup};
///
/// async fn import(table: &'static str) -> Result<(), GroupError> {
///     TaskGroup::<BoxError>::new()
///         .name("import")
///         .timeout(Duration::from_secs(1))
///         .run(async |g| {
///             g.spawn_named("users", async move {
///                 match table {
///                     "slow" => Ok(std::future::pending::<()>().await),
///                     other => Err(format!("no table `{other}`")),
///                 }
///             });
///             Ok(())
///         })
///         .await
/// }
///
/// let failed = import("user").await.unwrap_err();
/// assert!(failed.to_string().starts_with("group `import`: 1 task failed"));
/// assert_eq!(failed.failures()[0].name(), "users");
///
/// let late = import("slow").await.unwrap_err();
/// assert!(late.failures().is_empty() && late.cancelled().unwrap().is_deadline());
/// # }
/// ```
pub struct GroupError<E = BoxError>(Box<Contents<E>>);

/// What a [`GroupError`] tells.
pub(crate) struct Contents<E> {
    pub(crate) group: String,
    pub(crate) failures: Vec<Failure<E>>,
    /// Errors returned after the cancellation, whose texts are attached.
    pub(crate) late: Vec<Failure<E>>,
    /// How many failures are not among those.
    pub(crate) omitted: usize,
    pub(crate) cancelled: Option<Cancelled>,
    pub(crate) attached: Option<Arc<[String]>>,
    pub(crate) describe: Describe<E>,
}

impl<E> GroupError<E> {
    pub(crate) fn new(contents: Contents<E>) -> Self {
        GroupError(Box::new(contents))
    }

    /// Returns the failures, in order of occurrence. Empty when the group was only
    /// cancelled. Under [`OnFailure::Continue`](crate::OnFailure::Continue) these are
    /// the first 64 of the tasks, and that of the body; the others are
    /// [`omitted`](Self::omitted).
    pub fn failures(&self) -> &[Failure<E>] {
        &self.0.failures
    }

    /// Returns how many failures are not among [`failures`](Self::failures), because
    /// the group went on after the first 64. Each was reported when it happened, see
    /// [`set_report_hook`](crate::observe::set_report_hook).
    pub fn omitted(&self) -> usize {
        self.0.omitted
    }

    /// Returns the failure that came first: the others may follow from it.
    pub fn first(&self) -> Option<&Failure<E>> {
        self.0.failures.first()
    }

    /// Returns the errors that tasks returned: those of the [`failures`](Self::failures), which
    /// may also be panics and aborted tasks, and then those that were returned after the
    /// group was cancelled.
    pub fn errors(&self) -> impl Iterator<Item = &E> {
        let all = self.0.failures.iter().chain(&self.0.late);
        all.filter_map(Failure::error)
    }

    /// Returns why the group itself was cancelled, also by its deadline; `None` if it was not.
    pub fn cancelled(&self) -> Option<&Cancelled> {
        self.0.cancelled.as_ref()
    }

    /// Returns what failed and is not among [`failures`](Self::failures), one line each:
    /// whatever failed in the group or below it after the group was cancelled,
    /// cleanups that exceeded the grace period, and errors that may only repeat a listed
    /// failure, since they come from code that was told of one by a
    /// [`TaskHandle`](crate::TaskHandle).
    pub fn attached(&self) -> &[String] {
        self.0.attached.as_deref().unwrap_or_default()
    }

    /// Converts the first failure into one error, for callers that expect one; without a failure,
    /// the first of the [`errors`](Self::errors).
    ///
    /// A panic, an aborted task and a cancelled group are converted from
    /// [`TaskError`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use taskscope::{BoxError, GroupError, TaskGroup};
    ///
    /// async fn load() -> Result<(), BoxError> {
    ///     let group = TaskGroup::<BoxError>::new().run(async |g| {
    ///         g.spawn(async { Err::<(), _>("no such table") });
    ///         Ok(())
    ///     });
    ///     group.await.map_err(GroupError::into_first)
    /// }
    /// assert_eq!(load().await.unwrap_err().to_string(), "no such table");
    /// # }
    /// ```
    pub fn into_first(self) -> E
    where
        E: From<TaskError>,
    {
        note_foreign_failure();
        let Contents {
            failures,
            late,
            cancelled,
            ..
        } = *self.0;
        let first = failures.into_iter().chain(late).next();
        match (first.map(|failure| failure.cause), cancelled) {
            (Some(Cause::Error(error)), _) => error,
            (Some(Cause::Panic(message)), _) => TaskError::Panicked(message).into(),
            (None, Some(cancelled)) => TaskError::Cancelled(cancelled).into(),
            (Some(Cause::Aborted) | None, _) => TaskError::Aborted.into(),
        }
    }

    /// Splits the failures into those whose error satisfies `predicate`, and the
    /// rest, with the panics, the aborted tasks, the cancellation, and what is
    /// [`attached`](Self::attached) or [`omitted`](Self::omitted). What Python's
    /// `except*` does.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::num::ParseIntError;
    /// use taskscope::{BoxError, TaskGroup};
    /// let error = TaskGroup::<BoxError>::new()
    ///     .run(async |g| {
    ///         g.spawn(async { "x".parse::<u8>().map(drop) });
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap_err();
    /// let (numbers, rest) = error.split(|error| error.is::<ParseIntError>());
    /// assert!(numbers.is_some() && rest.is_none());
    /// # }
    /// ```
    pub fn split(mut self, mut predicate: impl FnMut(&E) -> bool) -> (Option<Self>, Option<Self>) {
        let failures = std::mem::take(&mut self.0.failures).into_iter();
        let (matching, rest): (Vec<_>, Vec<_>) =
            failures.partition(|failure| failure.error().is_some_and(&mut predicate));
        let matching = (!matching.is_empty()).then(|| {
            GroupError::new(Contents {
                group: self.0.group.clone(),
                failures: matching,
                late: Vec::new(),
                omitted: 0,
                cancelled: None,
                attached: None,
                describe: self.0.describe,
            })
        });
        self.0.failures = rest;
        let is_rest = !self.0.failures.is_empty()
            || self.0.omitted > 0
            || self.0.cancelled.is_some()
            || self.0.attached.is_some();
        (matching, is_rest.then_some(self))
    }
}

impl<E> GroupError<E> {
    /// What failed, and why the group was cancelled.
    fn headline(&self) -> String {
        let Contents {
            group,
            failures,
            omitted,
            cancelled,
            ..
        } = &*self.0;
        let why = cancelled.as_ref().map(Cancelled::why);
        if let (0, Some(why)) = (failures.len() + omitted, &why) {
            return format!("group `{group}` was cancelled: {why}");
        }
        let failed = what_failed(failures.iter().map(|failure| failure.part), *omitted);
        match why {
            Some(why) => format!("group `{group}`: {failed}, and it was cancelled: {why}"),
            None => format!("group `{group}`: {failed}"),
        }
    }

    /// One line for each failure, made by `line`, and for what is attached.
    fn lines(&self, line: impl Fn(&Failure<E>) -> String) -> impl Iterator<Item = String> {
        let omitted = self.0.omitted;
        let omitted = (omitted > 0).then(|| format!("and {omitted} more, reported earlier"));
        let failures = self.0.failures.iter().map(line).chain(omitted);
        failures.chain(self.attached().iter().cloned())
    }

    /// The tree of names and causes; `line` writes that of a failure.
    fn write_tree(
        &self,
        f: &mut fmt::Formatter<'_>,
        line: impl Fn(&Failure<E>) -> String,
    ) -> fmt::Result {
        f.write_str(&self.headline())?;
        let mut lines = self.lines(line).peekable();
        while let Some(line) = lines.next() {
            let last = lines.peek().is_none();
            let (branch, trunk) = if last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            // An error of several lines, such as a nested group's, is indented.
            let text = line.replace('\n', &format!("\n{trunk}"));
            write!(f, "\n{branch}{text}")?;
        }
        Ok(())
    }
}

impl<E: fmt::Display> GroupError<E> {
    fn write_line(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&on_one_line(&self.headline()))?;
        let lines = self.lines(|failure| format!("{failure:#}"));
        for (number, line) in lines.enumerate() {
            let between = if number == 0 { ": " } else { "; " };
            write!(f, "{between}{}", on_one_line(&line))?;
        }
        Ok(())
    }
}

impl<E: fmt::Display> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.write_line(f);
        }
        self.write_tree(f, ToString::to_string)
    }
}

impl<E: fmt::Debug + 'static> fmt::Debug for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !f.alternate() {
            return self.write_tree(f, |failure| {
                failure.line(match &failure.cause {
                    Cause::Error(error) => {
                        let known = self.0.describe.known_text(error);
                        known.unwrap_or_else(|| format!("{error:?}"))
                    }
                    Cause::Panic(message) => format!("panicked: {message}"),
                    Cause::Aborted => "aborted".to_owned(),
                })
            });
        }
        f.debug_struct("GroupError")
            .field("group", &self.0.group)
            .field("failures", &self.0.failures)
            .field("omitted", &self.0.omitted)
            .field("cancelled", &self.0.cancelled)
            .field("attached", &self.attached())
            .finish()
    }
}

// Not for `E: Error` alone: `anyhow::Error` and `BoxError` are no `Error`.
impl<E: fmt::Debug + fmt::Display + 'static> Error for GroupError<E> {}

/// With the kind of the first failure if that is an `io::Error`; of a group that was only
/// cancelled, `TimedOut` or `Interrupted`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::io;
/// use taskscope::{BoxError, TaskGroup};
///
/// async fn load() -> io::Result<()> {
///     TaskGroup::<BoxError>::new()
///         .run(async |g| {
///             g.spawn(async { Err::<(), _>(io::Error::from(io::ErrorKind::NotFound)) });
///             Ok(())
///         })
///         .await?;
///     Ok(())
/// }
/// assert_eq!(load().await.unwrap_err().kind(), io::ErrorKind::NotFound);
/// # }
/// ```
impl<E> From<GroupError<E>> for io::Error
where
    E: fmt::Debug + fmt::Display + Send + Sync + 'static,
{
    fn from(error: GroupError<E>) -> io::Error {
        let first = error.first().map(|failure| {
            let error = failure.error().and_then(io_error);
            error.map_or(io::ErrorKind::Other, io::Error::kind)
        });
        let kind = first.unwrap_or_else(|| match error.cancelled() {
            Some(cancelled) if cancelled.is_deadline() => io::ErrorKind::TimedOut,
            Some(_) => io::ErrorKind::Interrupted,
            None => io::ErrorKind::Other,
        });
        io::Error::new(kind, error)
    }
}

/// The `io::Error` that an error of any type is, or holds.
fn io_error<E: 'static>(error: &E) -> Option<&io::Error> {
    let any: &dyn Any = error;
    any.downcast_ref().or_else(|| {
        let error = any.downcast_ref::<BoxError>()?;
        error.downcast_ref()
    })
}
