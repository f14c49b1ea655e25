//! The future of one node: what scopes, tasks and groups have in common.
//!
//! A boundary polls its body inside the node's frame. Once the node is
//! cancelled, it polls on until nothing in the body must still be left in
//! order, then drops the body where it is suspended. It returns when the body is
//! gone and nothing is pending below the node.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::caught::catch;
use crate::context::{self, Frame};
use crate::exit::Exit;
use crate::node::{Node, flag};
use crate::region::out_of_budget;
use crate::table::Verdict;

const LEAVING: u32 = flag::CANCELLED | flag::ABORTED;

/// Owns a node on behalf of its boundary: dropped early, it leaves what is
/// pending to the parent.
#[derive(Debug)]
pub(crate) struct Owner {
    node: Arc<Node>,
    ended: bool,
}

impl Owner {
    pub(crate) fn new(node: Arc<Node>) -> Owner {
        Owner { node, ended: false }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// Ends the boundary if nothing is pending.
    fn try_end(&mut self) -> bool {
        if !self.ended && self.node.try_close() {
            self.ended = true;
            self.node.finish();
        }
        self.ended
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.ended {
            self.node.orphan();
        }
    }
}

/// The one timer of a boundary: for its deadline, later for its grace period.
#[derive(Debug, Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Whether `at` has passed; wakes the task when it does.
    fn is_due(&mut self, at: Instant, cx: &mut Context<'_>) -> bool {
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() != at {
            sleep.as_mut().reset(at);
        }
        if sleep.as_mut().poll(cx).is_ready() {
            return true;
        }
        // A body that used up tokio's budget must not hold up its own timeout.
        !tokio::task::coop::has_budget_remaining() && Instant::now() >= at
    }
}

/// When the grace period ends, as far as this boundary has to watch it.
#[derive(Clone, Copy, Debug)]
enum Grace {
    NotStarted,
    None,
    Until(Instant),
}

pin_project! {
    #[derive(Debug)]
    // `T` is the body's output. It is a parameter of its own, since a projection
    // in the type would hinder the compiler in proving that a future is `Send`.
    pub(crate) struct Boundary<F, T> {
        // Dropped before the owner, so that what it leaves behind is adopted.
        #[pin]
        body: Option<F>,
        exit: Option<Exit<T>>,
        state: State,
    }
}

#[derive(Debug)]
struct State {
    owner: Owner,
    timer: Timer,
    deadline: Option<Instant>,
    grace: Grace,
    waker: Option<Waker>,
    started: bool,
    tries: u8,
}

impl<T, F: Future<Output = T>> Boundary<F, T> {
    pub(crate) fn new(owner: Owner, body: F) -> Boundary<F, T> {
        let state = State {
            owner,
            timer: Timer::default(),
            deadline: None,
            grace: Grace::NotStarted,
            waker: None,
            started: false,
            tries: 0,
        };
        Boundary {
            body: Some(body),
            exit: None,
            state,
        }
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.state.owner.node
    }

    /// The body, until it is gone.
    pub(crate) fn body(self: Pin<&mut Self>) -> Option<Pin<&mut F>> {
        self.project().body.as_pin_mut()
    }

    /// Drops the body unpolled: for a task that was cancelled before it began.
    pub(crate) fn discard(self: Pin<&mut Self>) {
        let this = self.project();
        if this.exit.is_none() {
            let dropped = context::drop_outside(this.body);
            *this.exit = Some(dropped.map_or_else(Exit::Panicked, |()| Exit::Left));
        }
    }

    /// Whether only what is pending below the node is waited for.
    pub(crate) fn is_body_gone(&self) -> bool {
        self.exit.is_some()
    }

    pub(crate) fn is_started(&self) -> bool {
        self.state.started
    }

    /// Polls until the body is gone and nothing is pending below the node.
    pub(crate) fn poll_exit(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Exit<T>> {
        let mut this = self.project();
        let state = this.state;
        state.start(cx);
        loop {
            if this.exit.is_none() {
                let before = state.flags();
                *this.exit = state.poll_body(this.body.as_mut(), cx);
                if this.exit.is_none() && state.flags() != before {
                    continue;
                }
            }
            if let Some(exit) = this.exit.take_if(|_| state.owner.try_end()) {
                return Poll::Ready(exit);
            }
            if !state.poll_timers(this.exit.is_none(), cx) {
                return Poll::Pending;
            }
        }
    }
}

impl State {
    fn flags(&self) -> u32 {
        self.owner.node.flags_acquire() & LEAVING
    }

    /// Notes the waker before any flag is read (invariant 4 of the node).
    fn start(&mut self, cx: &mut Context<'_>) {
        let node = &self.owner.node;
        if !self
            .waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            node.register(cx.waker());
            self.waker = Some(cx.waker().clone());
        }
        if node.take_retimed() || !self.started {
            self.started = true;
            self.deadline = node.lock().deadline;
        }
    }

    fn poll_body<F: Future>(
        &mut self,
        mut slot: Pin<&mut Option<F>>,
        cx: &mut Context<'_>,
    ) -> Option<Exit<F::Output>> {
        let node = &self.owner.node;
        let leaving = self.flags() != 0;
        if leaving {
            node.lock().regions.begin_pass();
        }
        let body = slot.as_mut().as_pin_mut()?;
        let frame = Frame::of(node, self.waker.as_ref()?);
        let polled = context::enter(&frame, || catch(|| body.poll(cx)));
        let mut exit = match polled {
            Ok(Poll::Ready(value)) => Exit::Value(value),
            Err(panic) => Exit::Panicked(panic),
            Ok(Poll::Pending) if leaving && self.is_clear(cx) => Exit::Left,
            Ok(Poll::Pending) => {
                context::pending(&self.owner.node);
                return None;
            }
        };
        if let Err(panic) = context::drop_outside(slot) {
            exit.add_panic(panic);
        }
        Some(exit)
    }

    /// Ends a pass: whether the body may be dropped where it is.
    fn is_clear(&mut self, cx: &mut Context<'_>) -> bool {
        let aborting = self.flags() & flag::ABORTED != 0;
        let verdict = self.owner.node.lock().regions.end_pass(aborting);
        match verdict {
            Verdict::Clear => !out_of_budget(&mut self.tries, cx),
            Verdict::Wait => false,
            Verdict::Again(wakers) => {
                wakers.into_iter().for_each(Waker::wake);
                cx.waker().wake_by_ref();
                // A wake may be under way in a thread that waits for this core.
                std::thread::yield_now();
                false
            }
        }
    }

    /// Looks at the clock; true if something changed by it.
    fn poll_timers(&mut self, running: bool, cx: &mut Context<'_>) -> bool {
        let flags = self.flags();
        if flags == 0 {
            if let Some(at) = self.deadline
                && self.timer.is_due(at, cx)
            {
                self.owner.node.expire(Instant::now());
                self.deadline = None;
                return true;
            }
            if running {
                return false;
            }
        }
        self.poll_grace(flags, cx)
    }

    fn poll_grace(&mut self, flags: u32, cx: &mut Context<'_>) -> bool {
        if flags & flag::ABORTED != 0 || (flags == 0 && !self.owner.node.has_orphans()) {
            return false;
        }
        if matches!(self.grace, Grace::NotStarted) {
            let grace = self.owner.node.grace_to_watch();
            if grace.is_some() {
                self.owner.node.begin_grace();
            }
            self.grace = grace.and_then(after).map_or(Grace::None, Grace::Until);
        }
        match self.grace {
            Grace::Until(at) if self.timer.is_due(at, cx) => {
                self.grace = Grace::None;
                match flags {
                    0 => self.owner.node.abort_orphans(),
                    _ => self.owner.node.abort(),
                }
                true
            }
            _ => false,
        }
    }
}

/// The instant `duration` from now; `None` means never.
pub(crate) fn after(duration: Duration) -> Option<Instant> {
    const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    if duration >= NEVER {
        None
    } else {
        Instant::now().checked_add(duration)
    }
}
