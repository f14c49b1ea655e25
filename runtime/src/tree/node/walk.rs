//! The walk of a stop, a cancellation or an abort.

use std::sync::Arc;
use std::task::Waker;

use super::{Node, flag};
use crate::base::caught::{Panic, wake_each};
use crate::base::clock::Moment;
use crate::notes::events;
use crate::tree::mailbox::post_cancelled;
use crate::tree::reason::{Culprit, Detail, Origin, Reason};

/// How many children are looked at before those who wait in them are woken: what was
/// touched is still in the processor's cache then.
const AT_ONCE: usize = if cfg!(taskscope_loom) { 1 } else { 128 };

/// What a walk has still to visit, and whom to wake then.
#[derive(Default)]
struct Found {
    /// Nodes that have children, and the key of the first one to visit.
    parents: Vec<(Arc<Node>, usize)>,
    children: Vec<Arc<Node>>,
    wakers: Vec<Waker>,
    /// The first panic of a waker, to be resumed when all have been reached.
    panic: Option<Panic>,
}

impl Found {
    /// Outside of every lock (invariant 5).
    fn wake(&mut self) {
        let panic = wake_each(self.wakers.drain(..));
        self.panic = self.panic.take().or(panic);
    }
}

/// What a walk does to each node that it reaches.
#[derive(Clone)]
pub(super) enum Walk {
    /// With `SHUTDOWN`, where a signal asks for it.
    Stop(u32),
    Cancel(Arc<Origin>),
    Abort(Arc<Origin>),
    /// The same, by a second signal.
    Cut(Arc<Origin>),
}

impl Node {
    pub(crate) fn stop(self: &Arc<Self>) {
        self.stop_with(0);
    }

    /// Asks this node and all below it to finish; with `SHUTDOWN` because of a signal.
    pub(crate) fn stop_with(self: &Arc<Self>, cause: u32) {
        self.note_stop();
        self.walk(&Walk::Stop(cause));
    }

    /// Notes when the request to stop began. Only the topmost node notes it: a request that
    /// reaches a million tasks must not make each of them larger.
    fn note_stop(&self) {
        let mut inner = self.lock();
        if self.flags() & flag::STOPPING == 0 {
            let now = Moment::now();
            inner.rest().stopped_at.get_or_insert(now);
        }
    }

    /// Cancels this node and all below it; false if it was cancelled before.
    pub(crate) fn cancel(self: &Arc<Self>, reason: Reason) -> bool {
        self.cancel_as(self.origin_for(reason))
    }

    /// Cancels this node, a group's, and all below it, since one of its tasks failed.
    pub(crate) fn cancel_for(self: &Arc<Self>, culprit: Culprit) -> bool {
        let origin = self.origin_for(Reason::SiblingFailed);
        self.cancel_as(origin.with(Some(Detail::Culprit(culprit))))
    }

    pub(super) fn cancel_as(self: &Arc<Self>, origin: Origin) -> bool {
        let origin = self.cancel_silently(origin);
        if let Some(origin) = &origin {
            events::cancelled(|| self.name(), || origin.reason.text());
        }
        origin.is_some()
    }

    /// The same without an event, which runs code of the user's. Returns the origin if the
    /// node was not cancelled before.
    #[cfg(feature = "shutdown")]
    pub(crate) fn cancel_without_event(
        self: &Arc<Self>,
        reason: Reason,
        detail: Option<Detail>,
    ) -> Option<Arc<Origin>> {
        self.cancel_silently(self.origin_for(reason).with(detail))
    }

    fn cancel_silently(self: &Arc<Self>, origin: Origin) -> Option<Arc<Origin>> {
        let origin = Arc::new(origin);
        let reached = self.walk(&Walk::Cancel(origin.clone()));
        if reached {
            post_cancelled(self);
        }
        reached.then_some(origin)
    }

    /// Ends the grace period of this node and all below it, shielded or not.
    pub(crate) fn abort(self: &Arc<Self>) {
        self.walk(&Walk::Abort(self.origin_or_request()));
    }

    /// Aborts because of a second signal, before the end of the grace period.
    #[cfg(feature = "shutdown")]
    pub(crate) fn cut(self: &Arc<Self>) {
        self.walk(&Walk::Cut(self.origin_or_request()));
    }

    /// Visits the nodes below, iteratively. A node's children are read some at a
    /// time: those that come later have taken over its flags (invariant 3).
    pub(super) fn walk(self: &Arc<Self>, walk: &Walk) -> bool {
        let mut found = Found::default();
        let reached = self.visit(walk, &mut found);
        while let Some((parent, from)) = found.parents.pop() {
            parent.read_children(walk, from, &mut found);
            while let Some(child) = found.children.pop() {
                child.visit(walk, &mut found);
            }
            found.wake();
        }
        found.wake();
        if let Some(panic) = found.panic {
            panic.resume_if_calm();
        }
        reached
    }

    /// Notes some of the children that the walk reaches.
    fn read_children(self: &Arc<Self>, walk: &Walk, from: usize, found: &mut Found) {
        let inner = self.lock();
        let (some, next) = inner.some_children(from, AT_ONCE);
        let reached = some.filter(|child| walk.passes_shields() || !child.shielded);
        found
            .children
            .extend(reached.map(|child| child.node.clone()));
        drop(inner);
        found.parents.extend(next.map(|next| (self.clone(), next)));
    }

    /// Sets the flag, and notes all who have to look at it (invariants 2 to 5), and
    /// the node itself if it has children.
    fn visit(self: &Arc<Self>, walk: &Walk, found: &mut Found) -> bool {
        let mut inner = self.lock();
        if walk.has_reached(self.flags()) {
            return false;
        }
        if let Walk::Cancel(origin) | Walk::Abort(origin) | Walk::Cut(origin) = walk {
            inner.origin.get_or_insert_with(|| origin.clone());
        }
        let bits = walk.bits();
        self.set(bits);
        found.wakers.extend(inner.waker.clone());
        if let Some(rest) = &inner.rest {
            if rest.drain.is_some() {
                self.set(flag::RETIMED);
            }
            let watchers = rest.watchers.iter().map(|(_, watcher)| watcher);
            let watchers = watchers.filter(|watcher| watcher.bits & bits != 0);
            let watchers = watchers.map(|watcher| &watcher.waker);
            let wakers = rest.regions.wakers().chain(watchers);
            found.wakers.extend(wakers.cloned());
            if !rest.children.is_empty() {
                found.parents.push((self.clone(), 0));
            }
        }
        true
    }
}

impl Walk {
    fn bits(&self) -> u32 {
        match self {
            Walk::Stop(cause) => flag::STOPPING | cause,
            Walk::Cancel(_) => flag::CANCELLED,
            Walk::Abort(_) => flag::CANCELLED | flag::ABORTED,
            Walk::Cut(_) => flag::CANCELLED | flag::ABORTED | flag::CUT,
        }
    }

    /// The first request to stop stays: a later one does not change its cause.
    fn has_reached(&self, flags: u32) -> bool {
        let bits = match self {
            Walk::Stop(_) => flag::STOPPING,
            Walk::Cancel(_) | Walk::Abort(_) | Walk::Cut(_) => self.bits(),
        };
        flags & bits == bits
    }

    fn passes_shields(&self) -> bool {
        !matches!(self, Walk::Cancel(_))
    }
}
