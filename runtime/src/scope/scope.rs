//! `Scope`: a boundary in the current task, and the handle that cancels it.

use crate::scope::handle::CancelHandle;
use crate::scope::nested::NestedBoundary;
use std::borrow::Cow;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::poll::context;
use crate::scope::trigger::{self, Action, Triggers};
use crate::tree::node::Node;
use crate::tree::node::lazy::{Construct, LazyNode};
use crate::tree::reason::Cancelled;
use crate::unwind::boundary::{Owner, after};
use crate::unwind::exit::PanicSite;

/// A scope to be run in the current task: the code in it can be cancelled
/// together, and is unwound in order.
///
/// It belongs to the scope it runs in: cancelled with it, within its deadline.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::{Reason, Scope};
///
/// let scope = Scope::new().name("import").timeout(Duration::from_secs(5));
/// let handle = scope.handle();
/// tokio::spawn(async move {
///     tokio::time::sleep(Duration::from_secs(1)).await;
///     handle.cancel();
/// });
/// let cancelled = scope.run(std::future::pending::<()>()).await.unwrap_err();
/// assert_eq!(cancelled.scope(), "import");
/// assert!(matches!(cancelled.reason(), Reason::Requested));
/// # }
/// ```
#[must_use = "a scope does nothing until `run` is awaited"]
pub struct Scope<'a> {
    owner: Owner<LazyNode>,
    timeout: Option<Duration>,
    triggers: Triggers<'a>,
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("name", &self.owner.holder().name())
            .finish_non_exhaustive()
    }
}

impl Default for Scope<'_> {
    #[track_caller]
    fn default() -> Self {
        Scope::new()
    }
}

impl<'a> Scope<'a> {
    /// Creates a scope, located at the caller's line.
    ///
    /// It belongs to the scope it runs in; until it runs, to the one in which
    /// [`handle`](Self::handle) is called. Under a cancelled one it is cancelled
    /// from the start.
    #[track_caller]
    pub fn new() -> Scope<'a> {
        Scope::at(Location::caller())
    }

    pub(crate) fn at(location: &'static Location<'static>) -> Scope<'a> {
        Scope {
            owner: Owner::new(LazyNode::new(Construct::Scope, location)),
            timeout: None,
            triggers: Triggers::default(),
        }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        self.owner.node()
    }

    /// Names the scope, for [`Cancelled::scope`] and reports. The default is
    /// `scope`.
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.owner.node().set_name(name.into());
        self
    }

    /// Cancels the scope with [`Reason::Deadline`](crate::Reason::Deadline) this long after
    /// [`run`](Self::run) is called. Zero polls the future once. An absurdly long duration means
    /// never.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Cancels the scope with [`Reason::Deadline`](crate::Reason::Deadline) at this instant.
    ///
    /// With [`timeout`](Self::timeout) as well, the earlier of the two counts.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.owner.holder_mut().set_deadline(deadline);
        self
    }

    /// Sets how long cleanups may take, counted from the cancellation; then they are dropped where
    /// they are, with a report. The default is the enclosing scope's, and without one there is no
    /// limit.
    pub fn grace(self, grace: Duration) -> Self {
        self.owner.node().set_grace(grace);
        self
    }

    /// Sets how long the scope may go on after it was asked to stop. Then it is cancelled.
    ///
    /// The time begins when the scope is asked, by its handle or together with a scope above
    /// it, or when the scope is first polled, if it was asked before. Zero cancels it at once.
    /// The reason is [`Shutdown`](crate::Reason::Shutdown) if a signal has asked for the stop,
    /// otherwise [`Requested`](crate::Reason::Requested). By default there is no limit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use taskscope::Scope;
    /// let scope = Scope::new()
    ///     .stop_when(tokio::time::sleep(Duration::from_secs(1)))
    ///     .drain(Duration::from_secs(5));
    /// // Does not listen, and is cancelled after six seconds.
    /// assert!(scope.run(std::future::pending::<()>()).await.is_err());
    /// # }
    /// ```
    pub fn drain(self, drain: Duration) -> Self {
        self.owner.node().set_drain(drain);
        self
    }

    /// Cancels the scope with [`Reason::Requested`](crate::Reason::Requested) when `future` completes.
    ///
    /// The future is polled in the same task, outside of the scope; it is
    /// dropped when the scope returns. Given several times, the first to
    /// complete counts. Its panic cancels the scope as well, and is resumed once
    /// the scope has ended.
    ///
    /// It is the bridge from tokio-util's tokens: `cancel_when(token.cancelled_owned())`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// let scope = taskscope::Scope::new().cancel_when(tokio::time::sleep(Duration::from_secs(1)));
    /// assert!(scope.run(std::future::pending::<()>()).await.is_err());
    /// # }
    /// ```
    pub fn cancel_when<F: Future + Send + 'a>(mut self, future: F) -> Self {
        self.triggers.add(Action::Cancel, future);
        self
    }

    /// Asks the scope to stop when `future` completes, as [`CancelHandle::stop`] does.
    ///
    /// It is the bridge from a token that means "please finish":
    /// `stop_when(token.cancelled_owned())`.
    ///
    /// With [`drain`](Self::drain), the scope is cancelled if it does not end in time. The
    /// future is polled and dropped as that of [`cancel_when`](Self::cancel_when); its panic
    /// cancels the scope at once.
    pub fn stop_when<F: Future + Send + 'a>(mut self, future: F) -> Self {
        self.triggers.add(Action::Stop, future);
        self
    }

    /// Returns a handle that cancels this scope, from anywhere.
    pub fn handle(&self) -> CancelHandle {
        let node = self.owner.node();
        if node.parent().is_none()
            && let Some((parent, shielded)) = context::ambient()
        {
            node.attach(&parent, shielded);
        }
        CancelHandle::new(node.clone())
    }

    /// Runs `future` in the scope, in the current task.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] when the scope was cancelled and `future` was unwound. A
    /// future that completes all the same keeps its value. When an enclosing,
    /// unshielded scope is cancelled as well, this does not return: the
    /// outermost cancelled boundary does.
    ///
    /// # Panics
    ///
    /// A panic of `future` is resumed once everything inside has ended. The returned
    /// future panics when it is polled again after it has completed. Where a timeout, a
    /// deadline, a drain or a grace period is set and the runtime has no timer, it panics when
    /// it is first polled, before anything runs. So it does where it was begun inside a scope and is
    /// polled on outside of any runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropped from outside, it loses the cleanups that are armed inside; they
    /// are reported. Tasks of groups inside are adopted by the enclosing scope.
    pub fn run<F: IntoFuture>(mut self, future: F) -> ScopeRun<'a, F::IntoFuture> {
        if let Some(timeout) = self.timeout
            && let Some(at) = after(timeout)
        {
            self.owner.holder_mut().limit_to(at, timeout);
        }
        let triggers = self.triggers.boxed();
        if triggers.is_some() {
            // They act on it.
            self.owner.node();
        }
        let nested = NestedBoundary::lazy(self.owner, future.into_future());
        ScopeRun::new(nested, triggers)
    }
}

pin_project! {
    /// Future of [`Scope::run`], [`timeout`] and [`timeout_at`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct ScopeRun<'a, F: Future> {
        #[pin]
        nested: NestedBoundary<F, F::Output>,
        // For the deadline, while there is no node: see `LazyNode`.
        #[pin]
        timer: Option<Sleep>,
        triggers: Option<Box<Triggers<'a>>>,
    }
}

impl<F: Future> ScopeRun<'static, F> {
    /// A scope that can be cancelled by its deadline alone, and by what cancels the scope outside.
    #[inline]
    pub(crate) fn timed(node: LazyNode, future: F) -> Self {
        ScopeRun::new(NestedBoundary::new(Owner::new(node), future), None)
    }
}

impl<'a, F: Future> ScopeRun<'a, F> {
    #[inline]
    fn new(nested: NestedBoundary<F, F::Output>, triggers: Option<Box<Triggers<'a>>>) -> Self {
        ScopeRun {
            nested,
            timer: None,
            triggers,
        }
    }
}

impl<F: Future> fmt::Debug for ScopeRun<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeRun")
            .field("name", &self.nested.name())
            .finish_non_exhaustive()
    }
}

impl<F: Future> Future for ScopeRun<'_, F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (nested, timer) = (this.nested.as_mut(), Some(this.timer));
        let exit = nested.poll_lazy(cx, timer, |node, _, cx| {
            trigger::poll(this.triggers, node, cx)
        });
        let exit = ready!(exit);
        if let Some(triggers) = this.triggers.take() {
            let node = this.nested.as_mut().node();
            if let Some(panic) = triggers.into_panic(node) {
                exit.lose(PanicSite::of(node));
                panic.resume();
            }
        }
        this.nested.poll_return(exit, cx)
    }
}
