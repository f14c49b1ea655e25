//! The future of one node: what scopes, tasks and groups have in common.
//!
//! A boundary polls its body inside the node's frame. Once the node is
//! cancelled, it polls on until nothing in the body must still be left in
//! order, then drops the body where it is suspended. It returns when the body is
//! gone and nothing is pending below the node.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::base::caught::catch;
use crate::base::tick;
use crate::base::wakers::WakerId;
use crate::poll::context;
use crate::poll::frame::Frame;
use crate::tree::node::lazy::LazyNode;
use crate::tree::node::{Node, flag};
use crate::tree::table::Verdict;
use crate::unwind::exit::{Exit, PanicSite, polled_after_completion};
use crate::unwind::region::Retries;

const CANCEL_FLAGS: u32 = flag::CANCELLED | flag::ABORTED;

/// What owns a node: the node alone, or together with what is to happen when its
/// boundary is gone.
pub(crate) trait HasNode {
    fn node(&self) -> &Arc<Node>;

    /// The node to come, as long as nothing has asked for it.
    #[inline]
    fn unmade(&self) -> Option<&LazyNode> {
        None
    }

    /// The boundary is being dropped before it has ended. Called while the node is
    /// as it was: it is cancelled next if something below it is pending.
    fn dropped_early(&self) {}
}

impl HasNode for Arc<Node> {
    fn node(&self) -> &Arc<Node> {
        self
    }
}

impl HasNode for LazyNode {
    #[inline]
    fn node(&self) -> &Arc<Node> {
        LazyNode::node(self)
    }

    #[inline]
    fn unmade(&self) -> Option<&LazyNode> {
        self.made().is_none().then_some(self)
    }
}

/// Owns a node on behalf of its boundary: dropped early, it leaves what is
/// pending to the parent.
#[derive(Debug)]
pub(crate) struct Owner<N: HasNode = Arc<Node>> {
    // Dropped last: what it does then finds the node left.
    holder: N,
}

impl<N: HasNode> Owner<N> {
    #[inline]
    pub(crate) fn new(holder: N) -> Owner<N> {
        Owner { holder }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        self.holder.node()
    }

    /// What owns the node.
    pub(crate) fn holder(&self) -> &N {
        &self.holder
    }

    pub(crate) fn holder_mut(&mut self) -> &mut N {
        &mut self.holder
    }
}

impl<N: HasNode> Drop for Owner<N> {
    #[inline]
    fn drop(&mut self) {
        if self.holder.unmade().is_none() && !has_ended(self.node()) {
            self.holder.dropped_early();
            self.node().orphan();
        }
    }
}

/// Nobody else closes the node.
fn has_ended(node: &Node) -> bool {
    node.flags() & flag::CLOSED != 0
}

/// Ends the boundary of the node if nothing is pending.
fn try_end(node: &Node) -> bool {
    if has_ended(node) {
        return true;
    }
    let Some(noted) = node.try_close() else {
        return false;
    };
    // A task leaves the tree when its group is told.
    if node.flags() & flag::TASK == 0 {
        node.detach_ended(&noted);
    }
    noted.release();
    true
}

pin_project! {
    /// When a boundary ends by itself. Few have it, and then apart.
    #[derive(Debug)]
    struct Timing {
        // One timer: for the deadline or the drain, later for the grace period.
        #[pin]
        sleep: Option<Sleep>,
        deadline: Option<Instant>,
        // The end of the time to drain, once that has begun.
        drained: Option<Instant>,
        // The end of the grace period, as far as this boundary has to watch it.
        grace: Option<Instant>,
    }
}

/// Whether `at` has passed; wakes the task when it does, by the timer in `slot`.
fn is_due(mut slot: Pin<&mut Option<Sleep>>, at: Instant, cx: &mut Context<'_>) -> bool {
    if slot.is_none() {
        slot.set(Some(tokio::time::sleep_until(at)));
    }
    let Some(mut sleep) = slot.as_pin_mut() else {
        return false;
    };
    if sleep.deadline() != at {
        sleep.as_mut().reset(at);
    }
    if sleep.poll(cx).is_ready() {
        return true;
    }
    // A body that used up tokio's budget must not hold up its own timeout.
    !tokio::task::coop::has_budget_remaining() && Instant::now() >= at
}

pin_project! {
    #[derive(Debug)]
    // `T` is the body's output. It is a parameter of its own, since a projection
    // in the type would hinder the compiler in proving that a future is `Send`.
    pub(crate) struct Boundary<F, T, N = Arc<Node>>
    where
        N: HasNode,
    {
        // Dropped before the owner, so that what it leaves behind is adopted.
        #[pin]
        body: Option<F>,
        exit: Option<Exit<T>>,
        state: BoundaryState,
        owner: Owner<N>,
    }

    impl<F, T, N: HasNode> PinnedDrop for Boundary<F, T, N> {
        // Dropped while it waits for what is below it: nobody resumes the panic.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(Exit::Panicked(panic)) = this.exit {
                PanicSite::of(this.owner.node()).report(panic);
            }
        }
    }
}

impl<F, T, N: HasNode> Boundary<F, T, N> {
    /// Drops the body early, while the boundary itself is being dropped.
    pub(crate) fn drop_body(self: Pin<&mut Self>) {
        self.project().body.set(None);
    }
}

#[derive(Debug)]
struct BoundaryState {
    timing: Option<Pin<Box<Timing>>>,
    /// The waker that the node keeps for this boundary.
    known: WakerId,
    started: bool,
    /// The body was polled in this poll already, without a node.
    was_polled: bool,
    /// Whether the grace period was asked for.
    grace_begun: bool,
    retries: Retries,
}

// Also what only reads takes a pinned reference, and looks at its field: a shared
// one to the whole would cover a body that has references into itself.
impl<T, F: Future<Output = T>, N: HasNode> Boundary<F, T, N> {
    #[inline]
    pub(crate) fn new(owner: Owner<N>, body: F) -> Self {
        let state = BoundaryState {
            timing: None,
            known: WakerId::default(),
            started: false,
            was_polled: false,
            grace_begun: false,
            retries: Retries::default(),
        };
        Boundary {
            body: Some(body),
            exit: None,
            state,
            owner,
        }
    }

    pub(crate) fn node(self: Pin<&mut Self>) -> &Arc<Node> {
        self.project().owner.node()
    }

    /// What owns the node.
    pub(crate) fn holder(self: Pin<&mut Self>) -> &mut N {
        &mut self.project().owner.holder
    }

    /// The body, until it is gone.
    pub(crate) fn body(self: Pin<&mut Self>) -> Option<Pin<&mut F>> {
        self.project().body.as_pin_mut()
    }

    /// Drops the body unpolled: for a task that was cancelled before it began.
    pub(crate) fn discard(self: Pin<&mut Self>) {
        let this = self.project();
        if this.exit.is_none() {
            let site = PanicSite::of(this.owner.node());
            *this.exit = Some(Exit::Unwound.after_drop(this.body, site));
        }
    }

    /// Looks at the clock before the body is begun. True if the deadline has passed just
    /// now, and the node is cancelled.
    pub(crate) fn poll_deadline(self: Pin<&mut Self>, cx: &mut Context<'_>) -> bool {
        let this = self.project();
        let (state, node) = (this.state, this.owner.node());
        state.note(node, cx);
        state.poll_timers(node, true, cx)
    }

    /// Whether the body has ended, so that only what is pending below the node is waited for.
    pub(crate) fn has_body_ended(self: Pin<&mut Self>) -> bool {
        self.project().exit.is_some()
    }

    /// Panics if the boundary has returned.
    pub(crate) fn assert_unfinished(self: Pin<&mut Self>) {
        let this = self.project();
        if this.exit.is_none() && this.body.as_pin_mut().is_none() {
            let node = this.owner.node();
            polled_after_completion(node.name(), node.location());
        }
    }

    pub(crate) fn is_started(self: Pin<&mut Self>) -> bool {
        self.project().state.started
    }

    /// Polls until the body is gone and nothing is pending below the node.
    pub(crate) fn poll_exit(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit<T>> {
        let mut this = self.project();
        let (state, node) = (this.state, this.owner.node());
        let first = !state.started;
        state.start(node, cx);
        loop {
            if this.exit.is_none() {
                let mut before = 0;
                if !std::mem::take(&mut state.was_polled) {
                    before = cancel_flags(node);
                    *this.exit = state.poll_body(node, this.body.as_mut(), cx);
                }
                if this.exit.is_none() {
                    state.note(node, cx);
                    if cancel_flags(node) != before {
                        continue;
                    }
                }
            }
            if let Some(exit) = this.exit.take_if(|_| state.try_end(node, cx)) {
                return Poll::Ready(exit);
            }
            if this.exit.is_some() && node.flags() & flag::BODY_ENDED == 0 {
                node.set(flag::BODY_ENDED);
            }
            if !state.poll_timers(node, this.exit.is_none(), cx) {
                return Poll::Pending;
            }
            // The deadline was over before: what has just begun is not polled again.
            if first && this.exit.is_none() && state.has_nothing_to_unwind(node, cx) {
                let site = PanicSite::of(node);
                *this.exit = Some(Exit::Unwound.after_drop(this.body.as_mut(), site));
            }
        }
    }
}

/// How a poll without a node has ended.
pub(crate) enum LazyPoll<T> {
    /// There is no node, and none is needed.
    Done(Poll<T>),
    /// There is a node now: the same poll goes on with it.
    Made,
}

impl<T, F: Future<Output = T>> Boundary<F, T, LazyNode> {
    /// The name, without a pinned reference. It asks for no node.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        self.owner.holder.name()
    }

    /// Polls the body inside `outer` without a node of its own. `timer` is the timer for the
    /// deadline; a scope that never has one has none.
    ///
    /// A scope that is cancelled, by its deadline or from outside, asks for its node and unwinds as
    /// any other.
    #[inline]
    pub(crate) fn poll_lazy(
        self: Pin<&mut Self>,
        outer: &Frame<'_>,
        timer: Option<Pin<&mut Option<Sleep>>>,
        cx: &mut Context<'_>,
    ) -> LazyPoll<T> {
        let mut this = self.project();
        let (state, lazy) = (this.state, this.owner.holder());
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            polled_after_completion(lazy.name(), lazy.location());
        };
        let mut timer = timer.zip(lazy.deadline());
        if let Some((slot, at)) = &mut timer
            && slot.is_none()
        {
            // Panics where the runtime has no timer: before anything runs.
            slot.set(Some(tokio::time::sleep_until(*at)));
        }
        let frame = outer.lazy(lazy, cx.waker());
        lazy.resume(outer.pulse());
        match Exit::of(context::enter(&frame, || catch(|| body.poll(cx)))) {
            None => {
                let is_due = |(slot, at)| is_due(slot, at, cx);
                // Cancelled meanwhile, it unwinds in this very poll, whatever the code beside it
                // does: what it holds is then free for the cleanups of others.
                if lazy.made().is_none() && !outer.must_unwind() && !timer.is_some_and(is_due) {
                    state.started = true;
                    lazy.suspend(outer.pulse());
                    return LazyPoll::Done(Poll::Pending);
                }
                state.was_polled = true;
            }
            Some(mut exit) => {
                let dropped = context::drop_outside(this.body.as_mut());
                match exit {
                    Exit::Value(value) if dropped.is_ok() && lazy.made().is_none() => {
                        lazy.end(outer.pulse());
                        return LazyPoll::Done(Poll::Ready(value));
                    }
                    other => exit = other,
                }
                if let Err(panic) = dropped {
                    exit.add_panic(panic, PanicSite::of(frame.node()));
                }
                *this.exit = Some(exit);
            }
        }
        frame.node();
        lazy.end(outer.pulse());
        LazyPoll::Made
    }
}

/// The flags by which a boundary unwinds.
#[inline]
fn cancel_flags(node: &Node) -> u32 {
    node.flags_acquire() & CANCEL_FLAGS
}

impl BoundaryState {
    /// What is being left may close a region elsewhere during the poll.
    #[inline]
    fn start(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) {
        if !self.started && node.flags() & flag::TIMED != 0 {
            assert_has_timer();
        }
        self.started = true;
        if cancel_flags(node) != 0 {
            self.note(node, cx);
        }
    }

    /// Whether a body that was pending just now may be dropped as it is.
    fn has_nothing_to_unwind(&mut self, node: &Node, cx: &mut Context<'_>) -> bool {
        node.flags_acquire() & flag::REGIONS == 0 && !self.retries.is_one_due(cx)
    }

    /// Ends the boundary if nothing is pending, or will be woken.
    fn try_end(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) -> bool {
        try_end(node) || (self.note(node, cx) && try_end(node))
    }

    /// Notes the waker with the node, before the last look at what a wake would
    /// tell (invariant 4 of the node). True if it was not noted before: a body
    /// that is ready at once needs none.
    #[inline]
    fn note(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) -> bool {
        let new = self.known != WakerId::of(cx.waker());
        if new {
            self.register(node, cx.waker());
        }
        if node.take_retimed() {
            self.retime(node);
        }
        new
    }

    #[cold]
    fn retime(&mut self, node: &Node) {
        let deadline = node.lock().deadline;
        self.set_deadline(deadline);
        if let Some(drain) = node.time_to_drain() {
            let drained = self.timing().project().drained;
            *drained = drained.or_else(|| after(drain));
        }
    }

    fn register(&mut self, node: &Arc<Node>, waker: &Waker) {
        let (known, deadline) = node.register(waker);
        self.known = known;
        self.set_deadline(deadline);
    }

    fn timing(&mut self) -> Pin<&mut Timing> {
        let new = || {
            Box::pin(Timing {
                sleep: None,
                deadline: None,
                drained: None,
                grace: None,
            })
        };
        self.timing.get_or_insert_with(new).as_mut()
    }

    fn set_deadline(&mut self, deadline: Option<Instant>) {
        if deadline.is_some() || self.timing.is_some() {
            *self.timing().project().deadline = deadline;
        }
    }

    /// Whether the instant that `which` names is set and has passed; it is then
    /// taken.
    fn take_due(
        &mut self,
        which: impl Fn(Pin<&mut Timing>) -> &mut Option<Instant>,
        cx: &mut Context<'_>,
    ) -> bool {
        let Some(timing) = &mut self.timing else {
            return false;
        };
        let Some(at) = *which(timing.as_mut()) else {
            return false;
        };
        let due = is_due(timing.as_mut().project().sleep, at, cx);
        if due {
            *which(timing.as_mut()) = None;
        }
        due
    }

    fn poll_body<F: Future>(
        &mut self,
        node: &Arc<Node>,
        mut slot: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Option<Exit<F::Output>> {
        let unwinding = cancel_flags(node) != 0;
        if unwinding {
            node.begin_pass();
        }
        let body = slot.as_mut().as_pin_mut()?;
        let frame = Frame::of(node, cx.waker());
        let polled = context::enter(&frame, || catch(|| body.poll(cx)));
        let exit = Exit::of(polled)
            .or_else(|| (unwinding && self.is_clear(node, cx)).then_some(Exit::Unwound));
        if exit.is_none() {
            context::pending(node);
        }
        exit.map(|exit| exit.after_drop(slot, PanicSite::of(node)))
    }

    /// Ends a pass: whether the body may be dropped where it is.
    fn is_clear(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) -> bool {
        let aborting = cancel_flags(node) & flag::ABORTED != 0;
        match node.end_pass(aborting) {
            Verdict::Clear => return !self.retries.is_one_due(cx),
            Verdict::Wait => {}
            Verdict::Again(wakers) => {
                wakers.into_iter().for_each(Waker::wake);
                cx.waker().wake_by_ref();
            }
            Verdict::Later(at) => tick::wake_at(at, cx.waker().clone()),
        }
        false
    }

    /// Looks at the clock; true if something changed by it.
    #[inline]
    fn poll_timers(&mut self, node: &Arc<Node>, running: bool, cx: &mut Context<'_>) -> bool {
        let flags = cancel_flags(node);
        if flags == 0 {
            if self.timing.is_some() && self.end_in_time(node, cx) {
                return true;
            }
            if running {
                return false;
            }
        }
        self.poll_grace(node, flags, cx)
    }

    /// Cancels the node if its deadline has passed, or its time to drain. The timer waits
    /// for the earlier of the two.
    fn end_in_time(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) -> bool {
        let timing = self.timing().project();
        let drains_first = match (*timing.drained, *timing.deadline) {
            (Some(drained), Some(deadline)) => drained < deadline,
            (drained, _) => drained.is_some(),
        };
        if drains_first {
            let due = self.take_due(|timing| timing.project().drained, cx);
            if due {
                node.end_drain();
            }
            return due;
        }
        let due = self.take_due(|timing| timing.project().deadline, cx);
        if due {
            node.expire(Instant::now());
        }
        due
    }

    fn poll_grace(&mut self, node: &Arc<Node>, flags: u32, cx: &mut Context<'_>) -> bool {
        if flags & flag::ABORTED != 0 || (flags == 0 && !node.has_orphans()) {
            return false;
        }
        if !std::mem::replace(&mut self.grace_begun, true)
            && let Some(grace) = node.grace_to_watch()
        {
            node.begin_grace();
            *self.timing().project().grace = after(grace);
        }
        let due = self.take_due(|timing| timing.project().grace, cx);
        if due {
            match flags {
                0 => node.abort_orphans(),
                _ => node.abort(),
            }
        }
        due
    }
}

/// Panics where the runtime has no timer: now, before anything runs, and not when the time
/// has to be waited for, in the middle of the body or of its cleanup, which would be lost.
fn assert_has_timer() {
    drop(tokio::time::sleep(Duration::ZERO));
}

/// The instant `duration` from now; `None` means never.
#[inline]
pub(crate) fn after(duration: Duration) -> Option<Instant> {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    if duration >= NEVER {
        None
    } else {
        Instant::now().checked_add(duration)
    }
}
