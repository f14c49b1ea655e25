//! Branches that run concurrently in a node of their own, which is cancelled once they are
//! decided.

use std::cell::Cell;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::branch::list::{AnyBranch, Branches};
use crate::poll::context;
use crate::scope::nested::NestedBoundary;
use crate::tree::node::Node;
use crate::tree::node::lazy::{Construct, LazyNode};
use crate::unwind::boundary::Owner;
use crate::unwind::exit::{KeptPanic, PanicSite};

/// In which order the branches are polled.
#[derive(Debug)]
pub(crate) enum Order {
    /// As they are written.
    Written,
    /// Beginning with this one, and with the next one at the next poll: otherwise the first branch
    /// would use up tokio's budget for the others.
    Rotating(u16),
    /// Beginning with any.
    Random,
}

/// The branches of one body, and how far they are. It is polled in their own node.
#[derive(Debug)]
pub(crate) struct RunningBranches<'a, L> {
    list: &'a mut L,
    order: Order,
    /// The branch that decided, by its value or its panic.
    decided: Option<u16>,
    /// The first panic, until the other branches have ended.
    panic: Option<KeptPanic>,
}

impl<'a, L: Branches> RunningBranches<'a, L> {
    pub(crate) fn new(list: &'a mut L, order: Order) -> Self {
        RunningBranches {
            list,
            order,
            decided: None,
            panic: None,
        }
    }

    pub(crate) fn is_decided(&self) -> bool {
        self.decided.is_some()
    }

    pub(crate) fn each(&mut self, mut visit: impl FnMut(&mut dyn AnyBranch)) {
        self.list.each(&mut visit);
    }

    /// Visits the branches in the order of this poll.
    pub(crate) fn round(&mut self, mut visit: impl FnMut(&mut dyn AnyBranch)) {
        let begin = self.begin();
        for first in [true, false] {
            let mut index = 0;
            self.each(|branch| {
                if (index >= begin) == first {
                    visit(branch);
                }
                index += 1;
            });
        }
    }

    fn begin(&mut self) -> u16 {
        match &mut self.order {
            Order::Written => 0,
            Order::Rotating(next) => {
                let begin = *next;
                *next = (begin + 1) % L::COUNT.max(1);
                begin
            }
            Order::Random => draw(L::COUNT),
        }
    }

    pub(crate) fn any(&mut self, mut test: impl FnMut(&mut dyn AnyBranch) -> bool) -> bool {
        let mut any = false;
        self.each(|branch| any |= test(branch));
        any
    }

    /// Notes which branch has decided, and takes the panics. The first panic counts; a later one
    /// is of a branch that was cancelled by then.
    pub(crate) fn note(&mut self) {
        let (decided, first, mut index) = (&mut self.decided, &mut self.panic, 0);
        self.list.each(&mut |branch| {
            if decided.is_none() && branch.decides() {
                *decided = Some(index);
            }
            index += 1;
            if let Some(panic) = branch.take_panic() {
                match first {
                    None => *first = Some(KeptPanic::new(panic, &own_node())),
                    Some(_) => PanicSite::default().report(&panic),
                }
            }
        });
    }

    /// Returns the index of the branch that decided, once all have ended.
    pub(crate) fn end(&mut self) -> Poll<Option<u16>> {
        if self.any(|branch| branch.is_running()) {
            return Poll::Pending;
        }
        if let Some(panic) = self.panic.take() {
            panic.take().resume();
        }
        // A branch that was cancelled from outside might have decided: the body unwinds, too.
        if !self.is_decided() && self.any(|branch| branch.is_unwound()) {
            return Poll::Pending;
        }
        Poll::Ready(self.decided)
    }
}

/// Whether the branches have a node: something has asked for it.
pub(crate) fn has_own_node() -> bool {
    context::current(|frame| frame.is_some_and(|frame| frame.made().is_some()))
}

/// The node of the branches, while their body is polled.
pub(crate) fn own_node() -> Arc<Node> {
    match context::ambient() {
        Some((node, _)) => node,
        None => unreachable!("a boundary polls its body in its node"),
    }
}

/// A number below `len`, for fairness alone: cheap, and the same in each run.
fn draw(len: u16) -> u16 {
    thread_local! {
        static STATE: Cell<u32> = const { Cell::new(0x9E37_79B9) };
    }
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        state.set(x);
        // The high half of the product: no division, and no bias worth a name.
        ((u64::from(x) * u64::from(len)) >> 32) as u16
    })
}

/// What runs the branches. Returns the index of the one that decided, if one did.
pub(crate) trait Body: Future<Output = Option<u16>> {
    /// Called before each poll, in the scope around the body's own node.
    fn before_poll(self: Pin<&mut Self>) {}
}

pin_project! {
    /// Branches in a node of their own.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Concurrent<B> {
        #[pin]
        nested: NestedBoundary<B, Option<u16>>,
    }
}

#[track_caller]
pub(crate) fn concurrent<B: Body>(construct: Construct, body: B) -> Concurrent<B> {
    let node = LazyNode::new(construct, Location::caller());
    Concurrent {
        nested: NestedBoundary::new(Owner::new(node), body),
    }
}

impl<B: Body> Future for Concurrent<B> {
    type Output = Option<u16>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u16>> {
        let mut nested = self.project().nested;
        if let Some(body) = nested.as_mut().body() {
            body.before_poll();
        }
        let exit = nested.as_mut().poll_lazy(cx, None, |_, _, _| false);
        let exit = ready!(exit);
        match ready!(nested.as_mut().poll_return(exit, cx)) {
            Ok(decided) => Poll::Ready(decided),
            // Without a value it was unwound by the scope outside.
            Err(_) => nested.park(cx),
        }
    }
}
