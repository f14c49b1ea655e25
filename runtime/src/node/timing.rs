//! When a node's time is up: deadlines.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Node, flag};
use crate::reason::Reason;

impl Node {
    /// The grace period that this node's own boundary has to watch: its own,
    /// or the inherited one where the cancellation began here. Elsewhere the
    /// boundary above aborts this node together with its own.
    pub(crate) fn grace_to_watch(&self) -> Option<Duration> {
        let own = self.lock().grace();
        if own.is_some() {
            return own;
        }
        if self
            .unshielded_parent()
            .is_some_and(|parent| parent.flags() & flag::CANCELLED != 0)
        {
            return None;
        }
        let mut at = self.parent();
        while let Some((node, _)) = at {
            let grace = node.lock().grace();
            if grace.is_some() {
                return grace;
            }
            at = node.parent();
        }
        None
    }

    /// The earliest deadline that will reach this node.
    pub(crate) fn effective_deadline(self: &Arc<Self>) -> Option<Instant> {
        let mut earliest = None;
        let mut at = Some(self.clone());
        while let Some(node) = at {
            let own = node.lock().deadline;
            earliest = match (earliest, own) {
                (Some(a), Some(b)) => Some(std::cmp::min::<Instant>(a, b)),
                (a, b) => a.or(b),
            };
            at = node.unshielded_parent();
        }
        earliest
    }

    /// Cancels because the deadline passed: the outermost scope that is due, so
    /// that of two equal deadlines the outer one is reported.
    pub(crate) fn expire(self: &Arc<Self>, now: Instant) {
        let mut due = self.clone();
        let mut at = self.unshielded_parent();
        while let Some(node) = at {
            if node.lock().deadline.is_some_and(|deadline| deadline <= now) {
                due = node.clone();
            }
            at = node.unshielded_parent();
        }
        due.cancel(Reason::Deadline);
    }

    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        let mut inner = self.lock();
        inner.deadline = deadline;
        let waker = inner.waker.clone();
        self.set(flag::RETIMED);
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
