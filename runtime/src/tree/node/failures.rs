//! What is told of a node that was left.

use std::panic::Location;
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::{Node, flag};
use crate::notes::report::{self, ReportKind};
use crate::tree::reason::{Cancelled, Origin, Reason};

impl Node {
    /// What was reported as cancelled: the origin and the failures so far.
    pub(crate) fn take_cancelled(&self) -> Cancelled {
        let mut inner = self.lock();
        let failures = inner.take_failures();
        let origin = inner.origin.clone();
        drop(inner);
        Cancelled::new(origin.unwrap_or_else(|| self.request()), failures)
    }

    /// What a checkpoint of blocking code returns.
    pub(crate) fn cancelled(&self) -> Cancelled {
        Cancelled::new(self.origin_or_request(), Vec::new())
    }

    /// Why a group refuses a task: it has ended, or is cancelled.
    pub(crate) fn refusal(&self) -> Cancelled {
        // What was dropped before its end is cancelled, and still has tasks.
        let has_ended = self.flags_acquire() & flag::CLOSED != 0 && !self.lock().orphaned;
        if has_ended {
            let ended = self.origin_for(Reason::Ended);
            return Cancelled::new(Arc::new(ended), Vec::new());
        }
        self.cancelled()
    }

    pub(super) fn origin_or_request(&self) -> Arc<Origin> {
        self.origin().unwrap_or_else(|| self.request())
    }

    pub(super) fn request(&self) -> Arc<Origin> {
        Arc::new(self.origin_for(Reason::Requested))
    }

    /// The origin of a cancellation that begins here.
    pub(super) fn origin_for(&self, reason: Reason) -> Origin {
        Origin::new(reason, self.name(), self.location())
    }

    pub(crate) fn origin(&self) -> Option<Arc<Origin>> {
        self.lock().origin.clone()
    }

    /// Attaches a failure to the outermost boundary that is being left: the one
    /// whose `Cancelled` will be seen by somebody.
    pub(crate) fn attach_failure(self: &Arc<Self>, failure: String) {
        let mut at = self.clone();
        while let Some(parent) = at.unshielded_parent() {
            if parent.flags_acquire() & flag::CANCELLED == 0 {
                break;
            }
            at = parent;
        }
        let mut inner = at.lock();
        at.set(flag::FAILURES);
        inner.rest().failures.push(failure);
    }

    pub(crate) fn take_failures(&self) -> Vec<String> {
        if self.flags_acquire() & flag::FAILURES == 0 {
            return Vec::new();
        }
        self.lock().take_failures()
    }

    /// Reports that something was dropped at the end of the grace period.
    pub(crate) fn overran(self: &Arc<Self>, what: &str, location: &'static Location<'static>) {
        self.overran_and(what, "was dropped", location);
    }

    /// Reports what became of something that did not end within the grace period.
    pub(crate) fn overran_and(
        self: &Arc<Self>,
        what: &str,
        fate: &str,
        location: &'static Location<'static>,
    ) {
        self.mark_overrun();
        let since = self
            .unwinding_since()
            .map(|since| since.elapsed())
            .unwrap_or_default();
        let why = if self.flags_acquire() & flag::CUT != 0 {
            "had not ended when a second signal ended the grace period,"
        } else {
            "exceeded the grace period"
        };
        let message = format!("{what} {why} and {fate} after {since:.1?}");
        let text = report::report(ReportKind::Overrun, &self.name(), message, location);
        self.attach_failure(text);
    }

    /// Notes that the grace period begins now.
    pub(crate) fn begin_grace(&self) {
        self.lock().rest().unwinding_since = Some(Instant::now());
    }

    /// Since when the boundary that watches the grace period of this node does.
    pub(super) fn unwinding_since(self: &Arc<Self>) -> Option<Instant> {
        let mut at = Some(self.clone());
        while let Some(node) = at {
            let since = node
                .lock()
                .rest
                .as_ref()
                .and_then(|rest| rest.unwinding_since);
            if since.is_some() {
                return since;
            }
            at = node.parent().map(|(parent, _)| parent);
        }
        None
    }

    /// Notes that code in this node was told, by a handle, of a failure that `group`
    /// lists: where that group judges this code's own error, which may repeat it. That
    /// is at the group's task around this code, or at the group itself for its body.
    /// The code of other groups in between was told of a failure that is not theirs.
    pub(crate) fn note_failure_seen(self: &Arc<Self>, group: &Weak<Node>) {
        let is_group = |node: &Arc<Node>| std::ptr::addr_eq(Weak::as_ptr(group), Arc::as_ptr(node));
        let mut path = vec![self.clone()];
        let mut at = self.clone();
        while !is_group(&at) {
            let Some((parent, _)) = at.parent() else {
                break;
            };
            at = parent;
            path.push(at.clone());
        }
        let judged = path.pop_if(|top| is_group(top)).map(|group| {
            let task = path.pop_if(|below| below.flags() & flag::TASK != 0);
            task.unwrap_or(group)
        });
        if let Some(judged) = judged {
            judged.set(flag::SAW_FAILURE);
        }
        for node in path {
            if node.set(flag::SAW_FOREIGN_FAILURE) & flag::TASK != 0 {
                return;
            }
        }
    }

    /// Marks this node and those above it, up to the task it is in, for what was cut. Not
    /// beyond the outermost of them that is cancelled: it returns the overrun as its error,
    /// and what encloses it goes on.
    fn mark_overrun(self: &Arc<Self>) {
        let mut at = self.clone();
        while at.set(flag::OVERRAN) & flag::TASK == 0 {
            let Some((parent, shielded)) = at.parent() else {
                return;
            };
            let cancelling = match shielded {
                true => flag::ABORTED,
                false => flag::CANCELLED | flag::ABORTED,
            };
            if parent.flags_acquire() & cancelling == 0 {
                return;
            }
            at = parent;
        }
    }
}
