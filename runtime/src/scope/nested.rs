//! A boundary inside the scope that polls it: how it is entered, and how it returns.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::poll::context::{self, Frame};
use crate::tree::node::Node;
use crate::unwind::region::{Polled, Region};

/// The scope a boundary was put into: compared by address alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    parent: usize,
    shielded: bool,
}

impl Home {
    pub(crate) fn of(parent: &Arc<Node>, shielded: bool) -> Home {
        Home {
            parent: Arc::as_ptr(parent).addr(),
            shielded,
        }
    }
}

/// Where a nested boundary stands in the scope that polls it.
#[derive(Debug)]
pub(crate) struct Nested {
    pub(crate) region: Region,
    pub(crate) home: Option<Home>,
    /// Was polled outside of every scope.
    pub(crate) rooted: bool,
    /// Left under a cancelled outer scope: never returns.
    pub(crate) left: bool,
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

/// What failed while the scope was left, and is not returned, is attached to
/// the cancelled scope outside.
pub(crate) fn hand_up(node: &Node, outer: Option<&Arc<Node>>) {
    for failure in node.take_failures() {
        if let Some(outer) = outer {
            outer.attach_failure(failure);
        }
    }
}
