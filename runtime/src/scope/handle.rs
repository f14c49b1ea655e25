//! [`CancelHandle`]: cancels and stops a scope from outside.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use tokio::time::Instant;

use crate::scope::watch::FlagWatch;
use crate::tree::node::{Node, flag};
use crate::tree::reason::Reason;

/// Cancels a scope, a group or a task, from anywhere.
///
/// Holding one keeps nothing running. Cheap to clone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskscope::{Reason, Scope};
///
/// let scope = Scope::new().name("import");
/// let handle = scope.handle();
/// handle.stop(); // asks, and interrupts nothing
/// assert!(handle.is_stopping() && !handle.is_cancelled());
///
/// assert!(handle.cancel_with(Reason::other("the disk is full")));
/// assert!(!handle.cancel(), "it was cancelled before");
/// assert_eq!(handle.reason().unwrap().to_string(), "the disk is full");
/// assert!(scope.run(std::future::pending::<()>()).await.is_err());
/// # }
/// ```
#[derive(Clone)]
pub struct CancelHandle {
    node: Arc<Node>,
}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle")
            .field("name", &self.node.name())
            .field("cancelled", &self.is_cancelled())
            .finish()
    }
}

impl CancelHandle {
    pub(crate) fn new(node: Arc<Node>) -> CancelHandle {
        CancelHandle { node }
    }

    /// Cancels the scope, with [`Reason::Requested`]. Returns false if it had been cancelled
    /// before, or has ended.
    pub fn cancel(&self) -> bool {
        self.cancel_with(Reason::Requested)
    }

    /// Cancels the scope with a reason; the first reason stays.
    pub fn cancel_with(&self, reason: Reason) -> bool {
        self.node.flags_acquire() & flag::CLOSED == 0 && self.node.cancel(reason)
    }

    /// Asks the scope to finish: nothing is interrupted, but [`is_stopping`](crate::is_stopping)
    /// turns true here and in all scopes below, the shielded ones too.
    pub fn stop(&self) {
        self.node.stop();
    }

    /// Returns whether the scope was cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.node.flags_acquire() & flag::CANCELLED != 0
    }

    /// Returns whether the scope was asked to stop, or was cancelled.
    pub fn is_stopping(&self) -> bool {
        self.node.flags_acquire() & (flag::STOPPING | flag::CANCELLED) != 0
    }

    /// Returns the name of the scope, group or task.
    pub fn name(&self) -> Cow<'static, str> {
        self.node.name()
    }

    /// Returns why the scope was cancelled; `None` if it was not.
    pub fn reason(&self) -> Option<Reason> {
        self.node.origin().map(|origin| origin.reason.clone())
    }

    /// Returns a token that is cancelled when the scope is cancelled, for code that expects one.
    ///
    /// It keeps neither a task nor a thread, and nothing of the scope. Each call returns a
    /// token of its own: cancelling it reaches neither the scope nor the other tokens. A
    /// scope that ends without being cancelled leaves its tokens as they are. For the other
    /// direction, see [`Scope::cancel_when`](crate::Scope::cancel_when) and
    /// [`Scope::stop_when`](crate::Scope::stop_when) with `token.cancelled_owned()`.
    ///
    /// ```
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// let token = handle.token();
    /// assert!(!token.is_cancelled());
    /// handle.cancel();
    /// assert!(token.is_cancelled());
    /// ```
    #[cfg(feature = "tokio-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tokio-util")))]
    pub fn token(&self) -> tokio_util::sync::CancellationToken {
        self.node.token()
    }

    /// Moves the scope's own deadline, earlier or later, or removes it. A
    /// deadline that has fired is not undone. The scope's runtime needs a timer.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// let scope = taskscope::Scope::new().timeout(Duration::from_secs(1));
    /// let handle = scope.handle();
    /// let slow = scope.run(async {
    ///     handle.set_deadline(None);
    ///     tokio::time::sleep(Duration::from_secs(5)).await;
    /// });
    /// assert!(slow.await.is_ok());
    /// # }
    /// ```
    pub fn set_deadline(&self, deadline: impl Into<Option<Instant>>) {
        self.node.set_deadline(deadline.into());
    }

    /// Returns the scope's own deadline.
    pub fn deadline(&self) -> Option<Instant> {
        self.node.lock().deadline
    }

    /// Waits until the scope is cancelled, and returns why; for ever if the scope ends without
    /// being cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future may be dropped at any time.
    pub async fn cancelled(&self) -> Reason {
        FlagWatch::new(Some(self.node.clone()), flag::CANCELLED).await;
        self.reason().unwrap_or(Reason::Requested)
    }

    /// Waits until the scope is asked to stop, or is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the future may be dropped at any time.
    pub async fn stopping(&self) {
        FlagWatch::new(Some(self.node.clone()), flag::STOPPING | flag::CANCELLED).await;
    }
}
