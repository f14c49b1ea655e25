//! The walk of a stop, a cancellation or an abort.

use std::sync::Arc;
use std::task::Waker;

use super::{Node, flag};
use crate::observe::note_cancelled;
use crate::reason::{Origin, Reason};
use crate::trace;

/// What a walk has still to visit, and whom to wake then.
#[derive(Default)]
pub(super) struct Found {
    nodes: Vec<Arc<Node>>,
    wakers: Vec<Waker>,
}

/// What a walk does to each node that it reaches.
#[derive(Clone)]
pub(super) enum Walk {
    Stop,
    Cancel(Arc<Origin>),
    Abort(Arc<Origin>),
}

impl Node {
    pub(crate) fn stop(self: &Arc<Self>) {
        self.walk(&Walk::Stop);
    }

    /// Cancels this node and all below it; false if it was cancelled before.
    pub(crate) fn cancel(self: &Arc<Self>, reason: Reason) -> bool {
        let origin = Arc::new(Origin::new(reason, self.name()));
        let reached = self.walk(&Walk::Cancel(origin.clone()));
        if reached {
            note_cancelled(self);
            trace::cancelled(self, &origin.reason);
        }
        reached
    }

    /// Ends the grace period of this node and all below it, shielded or not.
    pub(crate) fn abort(self: &Arc<Self>) {
        self.walk(&Walk::Abort(self.origin_or_request()));
    }

    /// Visits the nodes below, iteratively: all flags first, then all wakes.
    pub(super) fn walk(self: &Arc<Self>, walk: &Walk) -> bool {
        let mut found = Found::default();
        let reached = self.visit(walk, &mut found);
        while let Some(node) = found.nodes.pop() {
            node.visit(walk, &mut found);
        }
        found.wakers.into_iter().for_each(Waker::wake);
        reached
    }

    /// Sets the flag, and notes the children and all who have to look at the
    /// flags (invariants 2 to 5).
    pub(super) fn visit(&self, walk: &Walk, found: &mut Found) -> bool {
        let mut inner = self.lock();
        let (bits, through_shields) = match walk {
            Walk::Stop => (flag::STOPPING, false),
            Walk::Cancel(_) => (flag::CANCELLED, false),
            Walk::Abort(_) => (flag::CANCELLED | flag::ABORTED, true),
        };
        if self.flags() & bits == bits {
            return false;
        }
        if let Walk::Cancel(origin) | Walk::Abort(origin) = walk {
            inner.origin.get_or_insert_with(|| origin.clone());
        }
        self.set(bits);
        let children = inner.children();
        let reached = children.filter(|child| through_shields || !child.shielded);
        found.nodes.extend(reached.map(|child| child.node.clone()));
        found.wakers.extend(inner.waker.clone());
        if let Some(rest) = &inner.rest {
            let watchers = rest.watchers.iter().map(|(_, waker)| waker);
            let wakers = rest.regions.wakers().chain(watchers);
            found.wakers.extend(wakers.cloned());
        }
        true
    }
}
