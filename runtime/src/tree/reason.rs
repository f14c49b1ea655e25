//! Why something was cancelled, and what the one who opened the scope is told.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::base::caught::contain;
use crate::base::clock::Moment;
use crate::notes::names::is_default;

/// Why a scope was cancelled.
///
/// The first reason stays: cancelling a cancelled scope again changes nothing.
/// Scopes below inherit the reason unchanged.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use taskscope::{Reason, Scope};
///
/// let scope = Scope::new();
/// scope.handle().cancel_with(Reason::other("the disk is full"));
/// let cancelled = scope.run(std::future::pending::<()>()).await.unwrap_err();
/// match cancelled.reason() {
///     Reason::Deadline => println!("try again"),
///     reason => assert_eq!(reason.as_other().unwrap().to_string(), "the disk is full"),
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// `cancel()` was called.
    Requested,
    /// The scope's deadline passed.
    Deadline,
    /// A task of the same group, or the group's body, failed.
    SiblingFailed,
    /// The process is shutting down.
    Shutdown,
    /// The future that owned the scope was dropped.
    Dropped,
    /// The group has ended. A task that is spawned into it then is dropped before it is
    /// polled; and a service is cancelled once the body and the other tasks have ended.
    Ended,
    /// A reason of the caller's own.
    Other(Arc<dyn Error + Send + Sync>),
}

impl Reason {
    /// Makes a reason of the caller's own, from any error or message.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Reason::Other(Arc::from(error.into()))
    }

    /// Returns whether `cancel()` was called.
    pub fn is_requested(&self) -> bool {
        matches!(self, Reason::Requested)
    }

    /// Returns whether a deadline passed.
    pub fn is_deadline(&self) -> bool {
        matches!(self, Reason::Deadline)
    }

    /// Returns whether a task of the same group, or the group's body, failed.
    pub fn is_sibling_failed(&self) -> bool {
        matches!(self, Reason::SiblingFailed)
    }

    /// Returns whether the process is shutting down.
    pub fn is_shutdown(&self) -> bool {
        matches!(self, Reason::Shutdown)
    }

    /// Returns whether the future that owned the scope was dropped.
    pub fn is_dropped(&self) -> bool {
        matches!(self, Reason::Dropped)
    }

    /// Returns the caller's own reason, if it is one.
    pub fn as_other(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match self {
            Reason::Other(error) => Some(&**error),
            _ => None,
        }
    }
}

impl Reason {
    /// Its text, also where the `Display` of the caller's own reason panics.
    pub(crate) fn text(&self) -> Cow<'static, str> {
        match self.fixed_text() {
            Ok(text) => text.into(),
            Err(own) => contain(|| own.to_string())
                .map_or("a reason whose `Display` panics".into(), Cow::Owned),
        }
    }

    /// The text, or else the caller's own reason.
    fn fixed_text(&self) -> Result<&'static str, &(dyn Error + Send + Sync)> {
        Ok(match self {
            Reason::Requested => "requested",
            Reason::Deadline => "deadline passed",
            Reason::SiblingFailed => "sibling failed",
            Reason::Shutdown => "shutdown",
            Reason::Dropped => "owner dropped",
            Reason::Ended => "group has ended",
            Reason::Other(own) => return Err(&**own),
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fixed_text() {
            Ok(text) => f.write_str(text),
            Err(own) => fmt::Display::fmt(own, f),
        }
    }
}

/// What began a cancellation: shared by every node that it reaches.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) reason: Reason,
    pub(crate) scope: Cow<'static, str>,
    pub(crate) at: Moment,
    /// Where the scope or task was made.
    location: &'static Location<'static>,
    detail: Option<Detail>,
}

/// What a [`Reason`] does not tell.
#[derive(Debug)]
pub(crate) enum Detail {
    /// The task whose failure it was, for `Reason::SiblingFailed`.
    Culprit(Culprit),
    /// The timeout that has passed, for a `Reason::Deadline` that was made from one.
    Timeout(Duration),
    /// How long the scope could go on after it was asked to stop.
    Drain(Duration),
}

/// The task whose failure cancelled its group, and what became of it.
#[derive(Debug)]
pub(crate) struct Culprit {
    pub(crate) task: String,
    /// "failed: …", "panicked: …" or "was aborted".
    pub(crate) how: String,
}

impl Origin {
    pub(crate) fn new(
        reason: Reason,
        scope: Cow<'static, str>,
        location: &'static Location<'static>,
    ) -> Origin {
        Origin {
            reason,
            scope,
            at: Moment::now(),
            location,
            detail: None,
        }
    }

    pub(crate) fn with(self, detail: Option<Detail>) -> Origin {
        Origin { detail, ..self }
    }

    fn culprit(&self) -> Option<&Culprit> {
        match &self.detail {
            Some(Detail::Culprit(culprit)) => Some(culprit),
            _ => None,
        }
    }
}

/// A boundary was cancelled: what a scope returns when it has no value.
///
/// Made by the boundaries alone ([`Scope::run`](crate::Scope::run),
/// [`timeout`](crate::timeout()), a group, a task's handle), never inside the
/// cancelled code: that code is unwound, it does not see an error. So there is no
/// public constructor.
///
/// Keeping a `Cancelled` keeps no scope alive.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::{io, time::Duration};
/// use taskscope::Scope;
///
/// let scope = Scope::new().name("import").timeout(Duration::from_secs(1));
/// let cancelled = scope.run(std::future::pending::<()>()).await.unwrap_err();
/// assert!(cancelled.is_deadline());
/// assert_eq!(cancelled.scope(), "import");
/// assert_eq!(cancelled.to_string(), "`import` was cancelled: deadline of 1s passed");
/// assert_eq!(io::Error::from(cancelled).kind(), io::ErrorKind::TimedOut);
/// # }
/// ```
#[derive(Clone)]
pub struct Cancelled {
    origin: Arc<Origin>,
    /// Most have none, and then need no memory for it.
    extra: Option<Arc<Extra>>,
}

/// What few cancellations have to tell.
#[derive(Debug, Default)]
struct Extra {
    /// The task whose handle tells of it.
    task: Option<Box<str>>,
    attached: Option<Arc<[String]>>,
}

impl Cancelled {
    pub(crate) fn new(origin: Arc<Origin>, attached: Vec<String>) -> Self {
        let extra = (!attached.is_empty()).then(|| {
            Arc::new(Extra {
                task: None,
                attached: Some(attached.into()),
            })
        });
        Cancelled { origin, extra }
    }

    /// The same, told by the handle of the task with this name.
    pub(crate) fn of_task(self, name: &str) -> Cancelled {
        let extra = Extra {
            task: Some(name.into()),
            attached: self.share_attached(),
        };
        Cancelled {
            extra: Some(Arc::new(extra)),
            ..self
        }
    }

    /// The task whose handle tells of it.
    pub(crate) fn task(&self) -> Option<&str> {
        self.extra.as_ref()?.task.as_deref()
    }

    /// Returns why the scope was cancelled.
    pub fn reason(&self) -> &Reason {
        &self.origin.reason
    }

    /// Returns whether the reason is that `cancel()` was called.
    pub fn is_requested(&self) -> bool {
        self.reason().is_requested()
    }

    /// Returns whether the reason is that a deadline passed.
    pub fn is_deadline(&self) -> bool {
        self.reason().is_deadline()
    }

    /// Returns whether the reason is that a task of the same group, or the group's body, failed.
    pub fn is_sibling_failed(&self) -> bool {
        self.reason().is_sibling_failed()
    }

    /// Returns whether the reason is that the process is shutting down.
    pub fn is_shutdown(&self) -> bool {
        self.reason().is_shutdown()
    }

    /// Returns whether the reason is that the future that owned the scope was dropped.
    pub fn is_dropped(&self) -> bool {
        self.reason().is_dropped()
    }

    /// Returns the name of the scope or task where the cancellation began.
    pub fn scope(&self) -> &str {
        &self.origin.scope
    }

    /// Returns the source line of the scope or task in which the cancellation began. The
    /// text of a `Cancelled` has it where a scope has no name of its own.
    pub fn location(&self) -> &'static Location<'static> {
        self.origin.location
    }

    /// Returns the name of the task whose failure cancelled its group, for
    /// [`Reason::SiblingFailed`]; `body` for the group's own body.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskError, TaskGroup};
    ///
    /// let mut sibling = None;
    /// let group = TaskGroup::<BoxError>::new().run(async |g| {
    ///     sibling = Some(g.spawn(std::future::pending::<()>()));
    ///     g.spawn_named("users", async { Err::<(), _>("no such table") });
    ///     Ok(())
    /// });
    /// group.await.unwrap_err();
    /// let Err(TaskError::Cancelled(cancelled)) = sibling.unwrap().await else { unreachable!() };
    /// assert_eq!(cancelled.culprit(), Some("users"));
    /// assert!(cancelled.to_string().ends_with("sibling `users` failed: no such table"));
    /// # }
    /// ```
    pub fn culprit(&self) -> Option<&str> {
        let culprit = self.origin.culprit();
        culprit.map(|culprit| culprit.task.as_str())
    }

    /// Returns what failed after the cancellation, one line each: errors and panics of tasks
    /// that no caller was told of, and cleanups that exceeded the grace period. Each
    /// line ends with the names of the scopes and the task, from the outermost one on.
    pub fn attached(&self) -> &[String] {
        let extra = self.extra.as_ref();
        let attached = extra.and_then(|extra| extra.attached.as_deref());
        attached.unwrap_or_default()
    }

    /// The former name of [`attached`](Self::attached).
    #[deprecated(note = "use `attached`, which returns the same")]
    pub fn failures(&self) -> &[String] {
        self.attached()
    }

    /// The reason, with what else is known of it.
    pub(crate) fn why(&self) -> impl fmt::Display {
        Why(&self.origin)
    }

    /// As [`Reason::text`].
    pub(crate) fn text(&self) -> String {
        let text = contain(|| self.to_string());
        text.unwrap_or_else(|| {
            let reason = self.reason().text();
            format!("`{}` was cancelled: {reason}", self.scope())
        })
    }

    /// Whether it tells of this cancellation, and of nothing else.
    pub(crate) fn began_as(&self, origin: &Arc<Origin>) -> bool {
        Arc::ptr_eq(&self.origin, origin) && self.attached().is_empty()
    }

    pub(crate) fn share_attached(&self) -> Option<Arc<[String]>> {
        self.extra.as_ref()?.attached.clone()
    }
}

/// The text of a reason, with what else is known of it.
struct Why<'a>(&'a Origin);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.detail {
            Some(Detail::Culprit(Culprit { task, how })) => write!(f, "sibling `{task}` {how}"),
            Some(Detail::Timeout(limit)) => write!(f, "deadline of {limit:?} passed"),
            Some(Detail::Drain(drain)) => {
                let reason = &self.0.reason;
                write!(
                    f,
                    "{reason}: had not ended {drain:?} after it was asked to stop"
                )
            }
            None => self.0.reason.fmt(f),
        }
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled")
            .field("reason", self.reason())
            .field("scope", &self.scope())
            .field("culprit", &self.culprit())
            .field("attached", &self.attached())
            .finish()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.scope())?;
        if is_default(self.scope()) {
            let at = self.location();
            write!(f, " ({}:{})", at.file(), at.line())?;
        }
        write!(f, " was cancelled: {}", self.why())?;
        for line in self.attached() {
            write!(f, "; {line}")?;
        }
        Ok(())
    }
}

impl Error for Cancelled {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.reason() {
            Reason::Other(error) => Some(&**error),
            _ => None,
        }
    }
}

/// An error that a blocking function can return when it is cancelled: any that
/// is `From<Cancelled>`, such as `BoxError`, `io::Error` and [`Cancelled`] itself.
///
/// ```
/// use taskscope::{Cancelled, cancellable};
///
/// enum Error {
///     Cancelled,
/// }
///
/// impl From<Cancelled> for Error {
///     fn from(_: Cancelled) -> Error {
///         Error::Cancelled
///     }
/// }
///
/// #[cancellable(blocking)]
/// fn sum(numbers: &[u32]) -> Result<u32, Error> {
///     let mut sum = 0;
///     for number in numbers {
///         sum += number;
///     }
///     Ok(sum)
/// }
/// assert!(matches!(sum(&[1, 2]), Ok(3)));
/// ```
#[diagnostic::on_unimplemented(
    message = "a blocking function that can be cancelled cannot fail with `{Self}`",
    label = "the error of this function is not made from `Cancelled`",
    note = "return a `Result` whose error implements `From<Cancelled>`, such as `BoxError`, `io::Error` or `Cancelled`"
)]
pub trait FromCancelled {
    /// Converts the cancellation into the error.
    fn from_cancelled(cancelled: Cancelled) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: From<Cancelled>> FromCancelled for E {
    fn from_cancelled(cancelled: Cancelled) -> E {
        cancelled.into()
    }
}

impl From<Cancelled> for io::Error {
    fn from(cancelled: Cancelled) -> Self {
        let kind = match cancelled.reason() {
            Reason::Deadline => io::ErrorKind::TimedOut,
            _ => io::ErrorKind::Interrupted,
        };
        io::Error::new(kind, cancelled)
    }
}
