//! A boundary inside the scope that polls it: a scope, a group or a `join!` within a task.
//!
//! - Its node is a child of the scope that polls it, and moves there if it was polled
//!   elsewhere before.
//! - The outer scope knows of it by a region: it does not drop its own body while the nested
//!   boundary unwinds.
//! - When the outer scope is cancelled too, a boundary that was unwound does not return: the
//!   outermost cancelled boundary does.

use std::borrow::Cow;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use crate::poll::context;
use crate::poll::frame::Frame;
use crate::tree::node::Node;
use crate::tree::node::lazy::LazyNode;
use crate::tree::reason::Cancelled;
use crate::unwind::boundary::{Boundary, HasNode, LazyPoll, Owner};
use crate::unwind::cleanup::parked;
use crate::unwind::exit::Exit;
use crate::unwind::region::{Polled, Region};

/// The scope that a nested node was put into, to be compared: its address, which is even, and
/// one more where the node is shielded from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Home(NonZeroUsize);

impl Home {
    /// Outside of every scope: no node has this address.
    const NONE: Home = Home(NonZeroUsize::MIN);

    fn of(parent: &Arc<Node>, shielded: bool) -> Home {
        let parent: &Node = parent;
        Home(ptr::NonNull::from(parent).addr() | usize::from(shielded))
    }
}

/// Where a nested node stands in the scope that polls it.
#[derive(Debug)]
pub(crate) struct Nested {
    region: Region,
    home: Option<Home>,
    /// A boundary that was unwound under a cancelled outer scope, and never returns.
    unwound: bool,
}

impl Nested {
    /// For a node that has no parent yet, and takes its place as `region`.
    #[inline]
    pub(crate) fn new(region: Region) -> Nested {
        Nested {
            region,
            home: None,
            unwound: false,
        }
    }

    /// For the node of a boundary, which may have been put below a parent already.
    fn of(node: &Arc<Node>) -> Nested {
        let parent = node.parent();
        Nested {
            home: parent.map(|(parent, shielded)| Home::of(&parent, shielded)),
            ..Nested::new(Region::boundary())
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
            self.region.enter_in(frame, None, cx, false, poll)
        })
    }

    /// Puts `node` below the scope of `frame`.
    #[inline]
    fn settle(&mut self, node: &Arc<Node>, frame: Option<&Frame<'_>>) {
        let home = frame.map_or(Home::NONE, |frame| Home::of(frame.node(), frame.shielded));
        if self.home != Some(home) {
            if self.home.is_some() {
                node.detach();
            }
            match frame {
                Some(frame) => node.attach(frame.node(), frame.shielded),
                None => node.stand_alone(),
            }
            self.home = Some(home);
        }
    }

    /// Puts `node` there, and holds its place.
    pub(crate) fn open(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) {
        let _ = self.enter(node, cx, |_| Poll::<()>::Pending);
    }

    /// Gives the place up.
    pub(crate) fn close(&mut self) {
        self.region.close();
    }

    /// See [`Region::may_drop`].
    pub(crate) fn may_drop(&self, shielded: bool) -> bool {
        self.region.may_drop(shielded)
    }
}

pin_project! {
    /// A boundary that takes its place in the scope that polls it.
    #[derive(Debug)]
    pub(crate) struct NestedBoundary<F, T, N = LazyNode>
    where
        N: HasNode,
    {
        #[pin]
        boundary: Boundary<F, T, N>,
        place: Nested,
    }
}

impl<T, F: Future<Output = T>> NestedBoundary<F, T> {
    /// For a node that may have been asked for already.
    #[inline]
    pub(crate) fn lazy(owner: Owner<LazyNode>, body: F) -> Self {
        let made = owner.holder().made();
        let place = made.map_or_else(|| Nested::new(Region::boundary()), Nested::of);
        NestedBoundary {
            boundary: Boundary::new(owner, body),
            place,
        }
    }

    /// The node to come, as long as nothing has asked for it.
    #[inline]
    pub(crate) fn unmade(self: Pin<&mut Self>) -> Option<&LazyNode> {
        self.project().boundary.holder().unmade()
    }

    /// As [`poll_exit`](NestedBoundary::poll_exit), without a node for as long as none is needed.
    /// Until then, `timer` waits for the deadline.
    #[inline]
    pub(crate) fn poll_lazy(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut timer: Option<Pin<&mut Option<Sleep>>>,
        advance: impl FnMut(&Arc<Node>, bool, &mut Context<'_>) -> bool,
    ) -> Poll<Exit<T>> {
        if self.as_mut().unmade().is_some() {
            let mut this = self.as_mut().project();
            let polled = context::current(|outer| {
                let outer = outer.filter(|outer| outer.lets_nodes_wait(cx.waker()))?;
                let timer = timer.as_mut().map(Pin::as_mut);
                let polled = this.boundary.as_mut().poll_lazy(outer, timer, cx);
                if let LazyPoll::Done(polled) = polled {
                    return Some(polled);
                }
                this.place.home = Some(Home::of(outer.node(), outer.shielded));
                None
            });
            if let Some(polled) = polled {
                return polled.map(Exit::Value);
            }
        }
        if let Some(mut timer) = timer {
            // The boundary has its own.
            timer.set(None);
        }
        self.poll_exit(cx, advance)
    }

    /// The name, without a pinned reference.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        self.boundary.name()
    }
}

impl<T, F: Future<Output = T>, N: HasNode> NestedBoundary<F, T, N> {
    /// For a node that has no parent yet.
    #[inline]
    pub(crate) fn new(owner: Owner<N>, body: F) -> Self {
        NestedBoundary {
            boundary: Boundary::new(owner, body),
            place: Nested::new(Region::boundary()),
        }
    }

    pub(crate) fn node(self: Pin<&mut Self>) -> &Arc<Node> {
        self.project().boundary.node()
    }

    /// The body, until it has ended.
    pub(crate) fn body(self: Pin<&mut Self>) -> Option<Pin<&mut F>> {
        self.project().boundary.body()
    }

    /// Polls the boundary to its end. While it is pending, `advance` does what else there is
    /// to do in the outer scope, given the node and whether the body has ended. It returns
    /// whether the boundary has to be polled again.
    ///
    /// # Panics
    ///
    /// If the boundary has returned before.
    #[inline]
    pub(crate) fn poll_exit(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut advance: impl FnMut(&Arc<Node>, bool, &mut Context<'_>) -> bool,
    ) -> Poll<Exit<T>> {
        if self.place.unwound {
            return self.park(cx);
        }
        let mut this = self.project();
        this.boundary.as_mut().assert_unfinished();
        let exit = context::current(|frame| {
            this.place.settle(this.boundary.as_mut().node(), frame);
            this.place.region.enter_in(frame, None, cx, false, |cx| {
                loop {
                    let exit = this.boundary.as_mut().poll_exit(cx);
                    let has_ended = this.boundary.as_mut().has_body_ended();
                    let node = this.boundary.as_mut().node();
                    if exit.is_ready() || !advance(node, has_ended, cx) {
                        return exit;
                    }
                }
            })
        });
        if exit.is_ready() {
            this.place.close();
        }
        exit
    }

    /// Returns what the boundary has come to, or waits to be dropped under an outer scope that
    /// is cancelled as well. A panic is resumed.
    #[inline]
    pub(crate) fn poll_return(
        mut self: Pin<&mut Self>,
        exit: Exit<T>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, Cancelled>> {
        let unmade = self.as_mut().project().boundary.holder().unmade().is_some();
        let exit = match exit {
            // There was nothing to end.
            Exit::Value(value) if unmade => return Poll::Ready(Ok(value)),
            exit => exit,
        };
        let outer = outer_unwinding();
        let node = self.as_mut().node();
        let is_unwound = matches!(exit, Exit::Unwound | Exit::Ended);
        if outer.is_some() || !is_unwound {
            hand_up(node, outer.as_ref());
        }
        match exit {
            Exit::Value(value) => Poll::Ready(Ok(value)),
            Exit::Panicked(panic) => panic.resume(),
            Exit::Unwound | Exit::Ended if outer.is_some() => self.park(cx),
            Exit::Unwound | Exit::Ended => Poll::Ready(Err(node.take_cancelled())),
        }
    }

    /// Never returns: the outer scope has unwound it.
    pub(crate) fn park<R>(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let this = self.project();
        this.place.unwound = true;
        let node = this.boundary.node();
        parked(&format_args!("`{}`", node.name()), node.location(), cx)
    }
}

/// The current scope, if it is cancelled: a boundary that was unwound in it does not return.
pub(crate) fn outer_unwinding() -> Option<Arc<Node>> {
    context::current(|frame| {
        let frame = frame.filter(|frame| frame.must_unwind());
        frame.map(|frame| frame.node().clone())
    })
}

/// What failed while the scope was left, and is not returned, is attached to
/// the cancelled scope outside.
#[inline]
fn hand_up(node: &Node, outer: Option<&Arc<Node>>) {
    for failure in node.take_failures() {
        if let Some(outer) = outer {
            outer.attach_failure(failure);
        }
    }
}
