//! `Scope`: a boundary in the current task, and the handle that cancels it.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

use crate::poll::context::{self, Frame};
use crate::scope::trigger::{self, Action, Triggers};
use crate::scope::watch::FlagWatch;
use crate::tree::node::{Node, flag};
use crate::tree::reason::{Cancelled, Reason};
use crate::unwind::boundary::{Boundary, Owner, after};
use crate::unwind::cleanup::parked;
use crate::unwind::exit::{Exit, PanicSite};
use crate::unwind::region::{Polled, Region};

/// A scope to be run in the current task: what runs in it can be cancelled
/// together, and is left in order.
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
/// assert!(matches!(cancelled.reason(), Reason::Requested));
/// # }
/// ```
#[must_use = "a scope does nothing until `run` is awaited"]
pub struct Scope<'a> {
    owner: Owner,
    timeout: Option<Duration>,
    triggers: Triggers<'a>,
}

impl fmt::Debug for Scope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("name", &self.owner.node().name())
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
    /// A scope, located at the caller's line.
    ///
    /// It belongs to the scope it runs in; until it runs, to the one in which
    /// [`handle`](Self::handle) is called. Under a cancelled one it is cancelled
    /// from the start.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::Scope;
    /// assert_eq!(Scope::new().run(async { 7 }).await.unwrap(), 7);
    /// # }
    /// ```
    #[track_caller]
    pub fn new() -> Scope<'a> {
        Scope::at("scope", Location::caller())
    }

    pub(crate) fn at(what: &'static str, location: &'static Location<'static>) -> Scope<'a> {
        let owner = Owner::new(Node::root(Cow::Borrowed(what), location));
        Scope {
            owner,
            timeout: None,
            triggers: Triggers::default(),
        }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        self.owner.node()
    }

    /// Names the scope, for [`Cancelled::scope`] and reports. The default is
    /// `scope`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::time::Duration;
    /// # use taskscope::Scope;
    /// let late = Scope::new().name("import").timeout(Duration::ZERO).run(std::future::pending::<()>());
    /// assert_eq!(late.await.unwrap_err().scope(), "import");
    /// # }
    /// ```
    pub fn name(self, name: impl Into<Cow<'static, str>>) -> Self {
        self.owner.node().set_name(name.into());
        self
    }

    /// Cancels the scope with [`Reason::Deadline`] this long after [`run`](Self::run)
    /// is called. Zero polls the future once. Absurdly long durations mean never.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::time::Duration;
    /// # use taskscope::Scope;
    /// let late = Scope::new().timeout(Duration::from_secs(1)).run(std::future::pending::<()>());
    /// assert!(late.await.is_err());
    /// # }
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Cancels the scope with [`Reason::Deadline`] at this instant.
    ///
    /// With [`timeout`](Self::timeout) as well, the earlier of the two counts.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::time::Duration;
    /// # use taskscope::Scope;
    /// let at = tokio::time::Instant::now() + Duration::from_secs(1);
    /// assert!(Scope::new().deadline(at).run(std::future::pending::<()>()).await.is_err());
    /// # }
    /// ```
    pub fn deadline(self, deadline: Instant) -> Self {
        self.owner.node().set_deadline(Some(deadline));
        self
    }

    /// How long what is left may take for its cleanup, counted from the
    /// cancellation; then it is dropped where it is, with a report. The default
    /// is the enclosing scope's, and without one there is no limit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::time::Duration;
    /// # use taskscope::Scope;
    /// # taskscope::set_report_hook(|_| ());
    /// let stuck = taskscope::shield(std::future::pending::<()>());
    /// let scope = Scope::new().timeout(Duration::from_secs(1)).grace(Duration::from_secs(1));
    /// let cancelled = scope.run(async { stuck.await }).await.unwrap_err();
    /// assert!(cancelled.attached()[0].contains("exceeded the grace period"));
    /// # }
    /// ```
    pub fn grace(self, grace: Duration) -> Self {
        self.owner.node().set_grace(grace);
        self
    }

    /// How long the scope may go on after it was asked to stop. Then it is cancelled.
    ///
    /// The time begins when the scope is asked, by its handle or together with a scope above
    /// it, or when the scope is first polled, if it was asked before. Zero cancels it at once.
    /// The reason is [`Shutdown`](Reason::Shutdown) if a signal has asked for the stop,
    /// otherwise [`Requested`](Reason::Requested). By default there is no limit.
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

    /// Cancels the scope with [`Reason::Requested`] when `future` completes.
    ///
    /// The future is polled in the same task, outside of the scope; it is
    /// dropped when the scope returns. Given several times, the first to
    /// complete counts. Its panic cancels the scope as well, and is resumed once
    /// the scope has been left.
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
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use taskscope::{Scope, stopping};
    /// let scope = Scope::new().stop_when(tokio::time::sleep(Duration::from_secs(1)));
    /// scope.run(stopping()).await.unwrap();
    /// # }
    /// ```
    pub fn stop_when<F: Future + Send + 'a>(mut self, future: F) -> Self {
        self.triggers.add(Action::Stop, future);
        self
    }

    /// A handle that cancels this scope, from anywhere.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use taskscope::Scope;
    /// let scope = Scope::new();
    /// let handle = scope.handle();
    /// handle.cancel();
    /// assert!(scope.run(std::future::pending::<()>()).await.is_err());
    /// # }
    /// ```
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
    /// [`Cancelled`] when the scope was cancelled and `future` was left. A
    /// future that completes all the same keeps its value. When an enclosing,
    /// unshielded scope is cancelled as well, this does not return: the
    /// outermost cancelled boundary does.
    ///
    /// # Panics
    ///
    /// A panic of `future` is resumed once all inside is gone. The returned
    /// future panics when it is polled again after it has completed. Where a timeout, a
    /// deadline, a drain or a grace period is set and the runtime has no timer, it panics when
    /// it is first polled, before anything runs.
    ///
    /// # Cancel safety
    ///
    /// Dropped from outside, it loses the cleanups that are armed inside; they
    /// are reported. Tasks of groups inside are adopted by the enclosing scope.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::time::Duration;
    /// # use taskscope::Scope;
    /// let cancelled = Scope::new().timeout(Duration::ZERO).run(std::future::pending::<()>()).await;
    /// let text = cancelled.unwrap_err().to_string();
    /// assert!(text.ends_with(" was cancelled: deadline of 0ns passed"), "{text}");
    /// # }
    /// ```
    pub fn run<F: IntoFuture>(self, future: F) -> ScopeRun<'a, F::IntoFuture> {
        let node = self.owner.node();
        if let Some(timeout) = self.timeout
            && let Some(at) = after(timeout)
        {
            node.limit_to(at, timeout);
        }
        let home = node
            .parent()
            .map(|(parent, shielded)| Home::of(&parent, shielded));
        ScopeRun {
            boundary: Boundary::new(self.owner, future.into_future()),
            triggers: self.triggers.boxed(),
            place: Nested {
                region: Region::boundary(),
                home,
                rooted: false,
                left: false,
            },
        }
    }
}

/// Runs `future`, cancelled in order after `timeout`.
///
/// Unlike `tokio::time::timeout`, what is cut is left in order: its cleanups
/// have run to their end when this returns. A value that is ready in the same
/// poll as the deadline wins; zero polls once. So code that computes past the deadline is cut
/// where it next has to wait, as under tokio's timeout: an `.await` looks at a flag, not at the
/// clock. Mark a long loop `#[checkpoint]`, which gives way often enough to be cut, or move the
/// computation to [`blocking`](crate::blocking()), whose checkpoints look at the clock.
///
/// # Errors
///
/// [`Cancelled`] with [`Reason::Deadline`]. Under a cancelled enclosing scope it
/// does not return, see [`Scope::run`], also for panics and cancel safety.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::timeout;
///
/// assert_eq!(timeout(Duration::from_secs(1), async { 7 }).await.unwrap(), 7);
/// let late = timeout(Duration::from_secs(1), tokio::time::sleep(Duration::from_secs(2))).await;
/// // "`timeout` (src/import.rs:12) was cancelled: deadline of 1s passed"
/// assert!(late.unwrap_err().to_string().ends_with(" was cancelled: deadline of 1s passed"));
/// # }
/// ```
#[track_caller]
pub fn timeout<F: IntoFuture>(timeout: Duration, future: F) -> ScopeRun<'static, F::IntoFuture> {
    Scope::at("timeout", Location::caller())
        .timeout(timeout)
        .run(future)
}

/// Runs `future`, cancelled in order at `deadline`; see [`timeout`].
///
/// # Errors
///
/// [`Cancelled`] with [`Reason::Deadline`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let now = tokio::time::Instant::now();
/// assert!(taskscope::timeout_at(now, std::future::pending::<()>()).await.is_err());
/// # }
/// ```
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> ScopeRun<'static, F::IntoFuture> {
    Scope::at("timeout", Location::caller())
        .deadline(deadline)
        .run(future)
}

/// The scope a boundary was put into: compared by address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Home {
    parent: usize,
    shielded: bool,
}

impl Home {
    fn of(parent: &Arc<Node>, shielded: bool) -> Home {
        Home {
            parent: Arc::as_ptr(parent).addr(),
            shielded,
        }
    }
}

/// Where a nested boundary stands in the scope that polls it.
#[derive(Debug)]
pub(crate) struct Nested {
    region: Region,
    home: Option<Home>,
    /// Was polled outside of every scope.
    rooted: bool,
    /// Left under a cancelled outer scope: never returns.
    left: bool,
}

impl Nested {
    /// For a node that has no parent yet.
    pub(crate) fn nowhere() -> Nested {
        Nested {
            region: Region::boundary(),
            home: None,
            rooted: false,
            left: false,
        }
    }

    /// The same for what may be dropped at any time.
    pub(crate) fn branch() -> Nested {
        Nested {
            region: Region::branch(),
            ..Nested::nowhere()
        }
    }

    /// Puts `node` below the scope that polls it now, and runs `poll` in a
    /// region of that scope.
    pub(crate) fn enter<R: Polled>(
        &mut self,
        node: &Arc<Node>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        context::current(|frame| {
            self.settle(node, frame);
            self.enter_in(frame, cx, poll)
        })
    }

    /// Puts `node` below the scope of `frame`.
    #[inline]
    pub(crate) fn settle(&mut self, node: &Arc<Node>, frame: Option<&Frame<'_>>) {
        let home = frame.map(|frame| Home::of(frame.node, frame.shielded));
        if home != self.home {
            if self.home.is_some() {
                node.detach();
            }
            if let Some(frame) = frame {
                node.attach(frame.node, frame.shielded);
            }
            self.home = home;
        }
        if home.is_none() && !self.rooted {
            self.rooted = true;
            node.stand_alone();
        }
    }

    /// Runs `poll` in a region of the scope of `frame`.
    pub(crate) fn enter_in<R: Polled>(
        &mut self,
        frame: Option<&Frame<'_>>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        self.region.enter_in(frame, None, cx, false, poll)
    }

    /// Puts `node` there, and holds its place.
    pub(crate) fn hold(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) {
        let _ = self.enter(node, cx, |_| Poll::<()>::Pending);
    }

    /// The boundary has ended. Gives the outer scope if that is cancelled: then
    /// a boundary that was left does not return.
    pub(crate) fn close(&mut self) -> Option<Arc<Node>> {
        self.region.close();
        context::current(|frame| {
            frame
                .filter(|frame| frame.leaving())
                .map(|frame| frame.node.clone())
        })
    }

    /// See [`Region::may_drop`].
    pub(crate) fn may_drop(&self, shielded: bool) -> bool {
        self.region.may_drop(shielded)
    }

    pub(crate) fn leave(&mut self) {
        self.left = true;
    }

    pub(crate) fn is_left(&self) -> bool {
        self.left
    }
}

pin_project! {
    /// Future of [`Scope::run`], [`timeout`] and [`timeout_at`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::time::Duration;
    /// use taskscope::ScopeRun;
    /// fn patient<F: Future>(future: F) -> ScopeRun<'static, F> {
    ///     taskscope::timeout(Duration::from_secs(60), future)
    /// }
    /// assert_eq!(patient(async { 7 }).await.unwrap(), 7);
    /// # }
    /// ```
    #[must_use = "futures do nothing unless awaited"]
    pub struct ScopeRun<'a, F: Future> {
        #[pin]
        boundary: Boundary<F, F::Output>,
        triggers: Option<Box<Triggers<'a>>>,
        place: Nested,
    }
}

impl<F: Future> fmt::Debug for ScopeRun<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeRun")
            .field("name", &self.boundary.name())
            .finish_non_exhaustive()
    }
}

impl<F: Future> Future for ScopeRun<'_, F> {
    type Output = Result<F::Output, Cancelled>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.place.is_left() {
            return parked("a scope", this.boundary.node().location(), cx);
        }
        this.boundary.as_mut().expect_unfinished();
        let exit = context::current(|frame| {
            this.place.settle(this.boundary.as_mut().node(), frame);
            this.place.enter_in(frame, cx, |cx| {
                let polled = this.boundary.as_mut().poll_exit(cx);
                let node = this.boundary.as_mut().node();
                if polled.is_ready() || !trigger::poll(this.triggers, node, cx) {
                    return polled;
                }
                this.boundary.as_mut().poll_exit(cx)
            })
        });
        let Poll::Ready(exit) = exit else {
            return Poll::Pending;
        };
        let triggers = this.triggers.take();
        let outer = this.place.close();
        let node = this.boundary.node();
        let panicked = triggers.and_then(|triggers| triggers.into_panic(node));
        if let Some(panic) = panicked {
            exit.lose(PanicSite::of(node));
            panic.resume();
        }
        match exit {
            Exit::Value(value) => {
                hand_up(node, outer.as_ref());
                Poll::Ready(Ok(value))
            }
            Exit::Panicked(panic) => panic.resume(),
            Exit::Left | Exit::Ended if outer.is_some() => {
                hand_up(node, outer.as_ref());
                this.place.leave();
                parked("a scope", node.location(), cx)
            }
            Exit::Left | Exit::Ended => Poll::Ready(Err(node.take_cancelled())),
        }
    }
}

/// What failed while the scope was left, and is not returned, is attached to
/// the cancelled scope outside.
fn hand_up(node: &Node, outer: Option<&Arc<Node>>) {
    for failure in node.take_failures() {
        if let Some(outer) = outer {
            outer.attach_failure(failure);
        }
    }
}

/// Cancels a scope, a group or a task, from anywhere.
///
/// Holding one keeps nothing running. Cheap to clone.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let scope = taskscope::Scope::new();
/// let handle = scope.handle();
/// assert!(handle.cancel());
/// assert!(!handle.cancel(), "it was cancelled before");
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

    /// Cancels, with [`Reason::Requested`]. False if that had happened before,
    /// or if the scope has ended.
    ///
    /// ```
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// assert!(handle.cancel());
    /// assert!(!handle.cancel());
    /// ```
    pub fn cancel(&self) -> bool {
        self.cancel_with(Reason::Requested)
    }

    /// Cancels with a reason; the first reason stays.
    ///
    /// ```
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// handle.cancel_with(taskscope::Reason::Shutdown);
    /// assert_eq!(handle.reason().unwrap().to_string(), "shutdown");
    /// ```
    pub fn cancel_with(&self, reason: Reason) -> bool {
        self.node.flags_acquire() & flag::CLOSED == 0 && self.node.cancel(reason)
    }

    /// Asks politely: nothing is interrupted, but [`is_stopping`](crate::is_stopping)
    /// turns true here and in all scopes below, the shielded ones too.
    ///
    /// ```
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// handle.stop();
    /// assert!(handle.is_stopping() && !handle.is_cancelled());
    /// ```
    pub fn stop(&self) {
        self.node.stop();
    }

    /// Whether the scope was cancelled.
    ///
    /// ```
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// assert!(!handle.is_cancelled());
    /// handle.cancel();
    /// assert!(handle.is_cancelled());
    /// ```
    pub fn is_cancelled(&self) -> bool {
        self.node.flags_acquire() & flag::CANCELLED != 0
    }

    /// Whether the scope was asked to stop, or was cancelled.
    ///
    /// ```
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// handle.cancel();
    /// assert!(handle.is_stopping());
    /// ```
    pub fn is_stopping(&self) -> bool {
        self.node.flags_acquire() & (flag::STOPPING | flag::CANCELLED) != 0
    }

    /// The name of the scope, group or task.
    ///
    /// ```
    /// let scope = taskscope::Scope::new().name("import");
    /// assert_eq!(scope.handle().name(), "import");
    /// ```
    pub fn name(&self) -> Cow<'static, str> {
        self.node.name()
    }

    /// Why the scope was cancelled; `None` if it was not.
    ///
    /// ```
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// assert!(handle.reason().is_none());
    /// ```
    pub fn reason(&self) -> Option<Reason> {
        self.node.origin().map(|origin| origin.reason.clone())
    }

    /// A token that is cancelled when the scope is cancelled, for code that expects one.
    ///
    /// It keeps neither a task nor a thread, and nothing of the scope. Each call returns a
    /// token of its own: cancelling it reaches neither the scope nor the other tokens. A
    /// scope that ends without being cancelled leaves its tokens as they are. For the other
    /// direction, see [`Scope::cancel_when`] and [`Scope::stop_when`] with
    /// `token.cancelled_owned()`.
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

    /// The scope's own deadline.
    ///
    /// ```
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// assert!(handle.deadline().is_none());
    /// ```
    pub fn deadline(&self) -> Option<Instant> {
        self.node.lock().deadline
    }

    /// Waits until the scope is cancelled; for ever, if it ends without.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, it leaves nothing behind.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// handle.cancel();
    /// assert_eq!(handle.cancelled().await.to_string(), "requested");
    /// # }
    /// ```
    pub async fn cancelled(&self) -> Reason {
        FlagWatch::new(Some(self.node.clone()), flag::CANCELLED).await;
        self.reason().unwrap_or(Reason::Requested)
    }

    /// Waits until the scope is asked to stop, or is cancelled.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, it leaves nothing behind.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let scope = taskscope::Scope::new();
    /// let handle = scope.handle();
    /// handle.stop();
    /// handle.stopping().await;
    /// # }
    /// ```
    pub async fn stopping(&self) {
        FlagWatch::new(Some(self.node.clone()), flag::STOPPING | flag::CANCELLED).await;
    }
}
