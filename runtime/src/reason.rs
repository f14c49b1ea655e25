//! Why something was cancelled, and what the one who opened the scope is told.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use crate::clock::Moment;

/// Why a scope was cancelled.
///
/// The first reason stays: cancelling a cancelled scope again changes nothing.
/// Scopes below inherit the reason unchanged.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::Reason;
///
/// let late = taskscope::timeout(Duration::from_secs(1), std::future::pending::<()>()).await;
/// assert!(matches!(late.unwrap_err().reason(), Reason::Deadline));
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Somebody called `cancel()`.
    Requested,
    /// The scope's deadline passed.
    Deadline,
    /// A task of the same group, or the group's body, failed.
    SiblingFailed,
    /// The process is shutting down.
    Shutdown,
    /// The future that owned the scope was dropped.
    Dropped,
    /// A reason of the caller's own.
    Other(Arc<dyn Error + Send + Sync>),
}

impl Reason {
    /// A reason of the caller's own, made from any error or message.
    ///
    /// ```
    /// let reason = taskscope::Reason::other("the disk is full");
    /// assert_eq!(reason.to_string(), "the disk is full");
    /// ```
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Reason::Other(Arc::from(error.into()))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Requested => f.write_str("requested"),
            Reason::Deadline => f.write_str("deadline passed"),
            Reason::SiblingFailed => f.write_str("sibling failed"),
            Reason::Shutdown => f.write_str("shutdown"),
            Reason::Dropped => f.write_str("owner dropped"),
            Reason::Other(error) => fmt::Display::fmt(error, f),
        }
    }
}

/// What began a cancellation: shared by every node that it reaches.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) reason: Reason,
    pub(crate) scope: Cow<'static, str>,
    pub(crate) at: Moment,
}

impl Origin {
    pub(crate) fn new(reason: Reason, scope: Cow<'static, str>) -> Origin {
        Origin {
            reason,
            scope,
            at: Moment::now(),
        }
    }
}

/// A boundary was cancelled: the value of a scope that has none.
///
/// Made by the boundaries alone ([`Scope::run`](crate::Scope::run),
/// [`timeout`](crate::timeout()), a group, a task's handle), never inside the
/// cancelled code: that is left, it does not see an error. So there is no
/// public constructor.
///
/// Keeping a `Cancelled` keeps no scope alive.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let cancelled = taskscope::timeout(std::time::Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
/// assert_eq!(cancelled.to_string(), "`timeout` was cancelled: deadline passed");
/// assert_eq!(std::io::Error::from(cancelled).kind(), std::io::ErrorKind::TimedOut);
/// # }
/// ```
#[derive(Clone)]
pub struct Cancelled {
    origin: Arc<Origin>,
    /// Most have none, and then need no memory for it.
    failures: Option<Arc<[String]>>,
}

impl Cancelled {
    pub(crate) fn new(origin: Arc<Origin>, failures: Vec<String>) -> Self {
        Cancelled {
            origin,
            failures: (!failures.is_empty()).then(|| failures.into()),
        }
    }

    /// Why the scope was cancelled.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let cancelled = taskscope::timeout(std::time::Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
    /// assert!(matches!(cancelled.reason(), taskscope::Reason::Deadline));
    /// # }
    /// ```
    pub fn reason(&self) -> &Reason {
        &self.origin.reason
    }

    /// The name of the scope or task where the cancellation began.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let scope = taskscope::Scope::new().name("import");
    /// scope.handle().cancel();
    /// let cancelled = scope.run(std::future::pending::<()>()).await.unwrap_err();
    /// assert_eq!(cancelled.scope(), "import");
    /// # }
    /// ```
    pub fn scope(&self) -> &str {
        &self.origin.scope
    }

    /// What failed while the scope was left: errors of tasks that nobody else
    /// was told, and cleanups that overran the grace period, one line each.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let cancelled = taskscope::timeout(std::time::Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
    /// assert!(cancelled.failures().is_empty());
    /// # }
    /// ```
    pub fn failures(&self) -> &[String] {
        self.failures.as_deref().unwrap_or_default()
    }

    /// Whether it tells of this cancellation, and of nothing else.
    pub(crate) fn began_as(&self, origin: &Arc<Origin>) -> bool {
        Arc::ptr_eq(&self.origin, origin) && self.failures().is_empty()
    }

    pub(crate) fn shared_failures(&self) -> Option<Arc<[String]>> {
        self.failures.clone()
    }
}

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled")
            .field("reason", self.reason())
            .field("scope", &self.scope())
            .field("failures", &self.failures())
            .finish()
    }
}

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` was cancelled: {}", self.scope(), self.reason())?;
        for failure in self.failures() {
            write!(f, "; {failure}")?;
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
    /// The error that says so.
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
