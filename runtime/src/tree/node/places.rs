//! The places under a group's limit, and who waits for them in vain.

use std::sync::Arc;

use super::{Node, flag};
use crate::base::sync::Ordering;
use crate::notes::report::{self, ReportKind};

/// The places under a group's limit.
#[derive(Debug, Default)]
pub(super) struct Places {
    pub(super) limit: usize,
    /// How many of them are held by tasks that are `STALLED`.
    pub(super) stalled: usize,
    /// That all are is reported once.
    pub(super) reported: bool,
}

impl Node {
    pub(crate) fn set_limit(&self, limit: usize) {
        self.lock().rest().places.limit = limit;
    }

    /// This task is polled: whether it still waits for a queued one will show.
    #[inline]
    pub(crate) fn unstall(&self, group: &Node) {
        if self.flags() & flag::STALLED != 0 {
            self.clear_stalled(group, flag::STALLED);
        }
    }

    /// This task is gone, and its place is free.
    pub(crate) fn free_place(&self, group: &Node) {
        if self.flags() & flag::PLACED != 0 {
            self.clear_stalled(group, flag::PLACED | flag::STALLED);
        }
    }

    fn clear_stalled(&self, group: &Node, bits: u32) {
        let mut above = group.lock();
        let before = self.pulse.flags.fetch_and(!bits, Ordering::AcqRel);
        above.rest().places.stalled -= usize::from(before & flag::STALLED != 0);
    }

    /// Code that runs in this node waits for something that is queued for a
    /// place in `group`. Reports when all who have a place wait like that: then
    /// none becomes free, unless one of them goes on for another reason.
    #[cold]
    pub(crate) fn stall(self: &Arc<Self>, group: &Arc<Node>, waits_for: impl FnOnce() -> String) {
        let Some(holder) = self.holder_in(group) else {
            return;
        };
        let mut inner = group.lock();
        let places = &mut inner.rest().places;
        if holder.flags() & flag::PLACED != 0 && holder.set(flag::STALLED) & flag::STALLED == 0 {
            places.stalled += 1;
        }
        let limit = places.limit;
        if places.reported || places.stalled < limit {
            return;
        }
        places.reported = true;
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

    /// The task of `group` that holds a place and in which this node is.
    fn holder_in(self: &Arc<Self>, group: &Arc<Node>) -> Option<Arc<Node>> {
        let mut at = self.clone();
        loop {
            let (parent, _) = at.parent()?;
            if Arc::ptr_eq(&parent, group) {
                return (at.flags() & flag::PLACED != 0).then_some(at);
            }
            at = parent;
        }
    }
}
