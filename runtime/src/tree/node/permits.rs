//! Groups that stall on their own limit: every task that has a permit waits for one that is
//! queued for a permit, so that none ever becomes free.

use std::sync::Arc;

use super::{Node, flag};
use crate::base::sync::Ordering;
use crate::notes::report::{self, ReportKind};

/// The permits of a group's limit, as far as they are stalled.
#[derive(Debug, Default)]
pub(super) struct PermitStalls {
    pub(super) limit: usize,
    /// How many of the tasks that have one are `STALLED`.
    pub(super) stalled: usize,
    /// That all of them are stalled is reported once.
    pub(super) reported: bool,
}

impl Node {
    pub(crate) fn set_limit(&self, limit: usize) {
        self.lock().rest().stalls.limit = limit;
    }

    /// This task is polled: whether it still waits for a queued one will show.
    #[inline]
    pub(crate) fn unstall(&self, group: &Node) {
        if self.flags() & flag::STALLED != 0 {
            self.clear_stalled(group, flag::STALLED);
        }
    }

    /// This task has ended: its permit is free for the next one.
    pub(crate) fn return_permit(&self, group: &Node) {
        if self.flags() & flag::ADMITTED != 0 {
            self.clear_stalled(group, flag::ADMITTED | flag::STALLED);
        }
    }

    fn clear_stalled(&self, group: &Node, bits: u32) {
        let mut above = group.lock();
        let before = self.pulse.flags.fetch_and(!bits, Ordering::AcqRel);
        above.rest().stalls.stalled -= usize::from(before & flag::STALLED != 0);
    }

    /// Notes that code in this node waits for a task that is queued for a permit of `group`.
    /// Reports when all tasks that have a permit wait like that: then none becomes free,
    /// unless one of them goes on for another reason.
    #[cold]
    pub(crate) fn stall(self: &Arc<Self>, group: &Arc<Node>, waits_for: impl FnOnce() -> String) {
        let Some(holder) = self.permit_holder(group) else {
            return;
        };
        let mut inner = group.lock();
        let stalls = &mut inner.rest().stalls;
        if holder.flags() & flag::ADMITTED != 0 && holder.set(flag::STALLED) & flag::STALLED == 0 {
            stalls.stalled += 1;
        }
        let limit = stalls.limit;
        if stalls.reported || stalls.stalled < limit {
            return;
        }
        stalls.reported = true;
        drop(inner);
        let message = format!(
            "stalled: task `{}` waits for {}, which waits for a place under the limit \
             of the group; {} held by tasks that wait like this; raise the limit, or spawn what they \
             wait for into another group",
            holder.name(),
            waits_for(),
            if limit == 1 {
                "the only place is".to_owned()
            } else {
                format!("all {limit} places are")
            },
        );
        report::report(
            ReportKind::Stalled,
            &group.name(),
            message,
            holder.last_location(),
        );
    }

    /// The task of `group` that has a permit and contains this node.
    fn permit_holder(self: &Arc<Self>, group: &Arc<Node>) -> Option<Arc<Node>> {
        let mut at = self.clone();
        loop {
            let (parent, _) = at.parent()?;
            if Arc::ptr_eq(&parent, group) {
                return (at.flags() & flag::ADMITTED != 0).then_some(at);
            }
            at = parent;
        }
    }
}
