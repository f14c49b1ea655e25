//! What a node keeps behind its lock.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use super::permits::PermitStalls;
use super::timing::Limit;
use super::{Node, flag};
use crate::base::clock::Moment;
use crate::base::wakers::Wakers;
use crate::notes::names::Name;
use crate::tree::reason::Origin;
use crate::tree::table::{HeldRegion, RegionId, RegionKind, Table};

/// A node, seen from its parent.
#[derive(Debug)]
pub(super) struct Child {
    pub(super) node: Arc<Node>,
    /// As in the link.
    pub(super) shielded: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) name: Name,
    pub(crate) origin: Option<Arc<Origin>>,
    pub(crate) deadline: Option<Instant>,
    /// What the deadline was made from, to be told.
    pub(super) limit: Limit,
    /// The waker of the task that polls the boundary.
    pub(super) waker: Option<Waker>,
    pub(super) pending: usize,
    /// How many of those go only when the others are gone.
    pub(super) background: usize,
    /// One of them stands for the deferred cleanups.
    pub(super) awaits_deferred: bool,
    /// Services came since they were taken last.
    pub(super) new_services: bool,
    pub(super) orphaned: bool,
    /// Kept apart, and made when it is needed: a million tasks that do without
    /// it are to be small.
    pub(super) rest: Option<Box<Rest>>,
}

/// For how many children an empty node keeps room.
const SPARE: usize = 1024;

/// What a task that has nothing below it and is not left does not need.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// Its key among the roots, if it was ever one.
    pub(super) root: Option<usize>,
    /// The node's own grace period; `None` means its parent's.
    pub(super) grace: Option<Duration>,
    /// How long it may go on after it was asked to stop; `None` means as long as it likes.
    pub(super) drain: Option<Duration>,
    /// When it was asked to stop, for the topmost node that the request reached.
    pub(super) stopped_at: Option<Moment>,
    /// Since when its boundary watches the grace period.
    pub(super) unwinding_since: Option<Instant>,
    /// Wakers of parked gates, where they are not the task's.
    pub(super) parked: Wakers,
    /// The futures that wait for a flag of this node.
    pub(super) watchers: Slab<Watcher>,
    /// Cancelled by one of them.
    #[cfg(feature = "tokio-util")]
    pub(super) token: Option<tokio_util::sync::CancellationToken>,
    pub(super) children: Slab<Child>,
    pub(super) regions: Table,
    pub(super) stalls: PermitStalls,
    pub(super) failures: Vec<String>,
}

/// The waker of a future that waits for a flag. It is called when one of these flags is
/// set, `CLOSED` included.
#[derive(Debug)]
pub(super) struct Watcher {
    pub(super) bits: u32,
    pub(super) waker: Waker,
}

impl Inner {
    /// The rest, to be written.
    pub(super) fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    pub(super) fn grace(&self) -> Option<Duration> {
        self.rest.as_ref()?.grace
    }

    /// When this node was asked to stop, unless the request came with one to a node above.
    pub(crate) fn stopped_at(&self) -> Option<Moment> {
        self.rest.as_ref()?.stopped_at
    }

    pub(super) fn children(&self) -> impl Iterator<Item = &Child> {
        let rest = self.rest.iter();
        rest.flat_map(|rest| rest.children.iter().map(|(_, child)| child))
    }

    /// Returns the children in up to `places` slots starting at `from`, and where to continue.
    /// Lets the caller release the lock between batches.
    pub(super) fn some_children(
        &self,
        from: usize,
        places: usize,
    ) -> (impl Iterator<Item = &Child>, Option<usize>) {
        let children = self.rest.as_ref().map(|rest| &rest.children);
        let end = children.map_or(0, Slab::capacity);
        let next = from + places;
        let some = children.into_iter();
        let some = some.flat_map(move |all| (from..next.min(end)).filter_map(|key| all.get(key)));
        (some, (next < end).then_some(next))
    }

    pub(super) fn remove_child(&mut self, key: usize) -> Option<Child> {
        let children = &mut self.rest.as_mut()?.children;
        let removed = children.try_remove(key);
        // A group may live for months, and need room for many once.
        if children.is_empty() && children.capacity() > SPARE {
            *children = Slab::new();
        }
        removed
    }

    pub(super) fn take_failures(&mut self) -> Vec<String> {
        let rest = self.rest.as_mut();
        rest.map_or_else(Vec::new, |rest| std::mem::take(&mut rest.failures))
    }

    /// The regions, to be changed.
    pub(crate) fn regions(&mut self) -> &mut Table {
        &mut self.rest().regions
    }

    #[cfg(feature = "shutdown")]
    pub(super) fn is_stop_watched(&self) -> bool {
        let rest = self.rest.as_ref();
        rest.is_some_and(|rest| {
            let mut watchers = rest.watchers.iter();
            watchers.any(|(_, watcher)| watcher.bits & flag::STOPPING != 0)
        })
    }

    /// Whether something is below the node.
    pub(super) fn has_children(&self) -> bool {
        let rest = self.rest.as_ref();
        rest.is_some_and(|rest| !rest.children.is_empty())
    }

    pub(super) fn take_noted(&mut self) -> NotedWakers {
        NotedWakers {
            has_children: self.has_children(),
            waker: self.waker.take(),
            rest: self.rest.as_mut().map(|rest| rest.take_waiting()),
        }
    }

    /// How many regions directly inside this one count.
    pub(crate) fn live(&self, region: RegionId) -> u32 {
        let rest = self.rest.as_ref();
        rest.map_or(0, |rest| rest.regions.live(region))
    }

    /// The innermost open regions, each with those around it; the root alone if there are
    /// none.
    pub(crate) fn innermost(&self) -> Vec<(RegionKind, Vec<RegionId>)> {
        let regions = self.rest.as_ref().map(|rest| rest.regions.innermost());
        let regions = regions.filter(|regions| !regions.is_empty());
        regions.unwrap_or_else(|| vec![(RegionKind::Branch, vec![RegionId::ROOT])])
    }

    /// The regions that hold, the innermost first.
    pub(crate) fn held(&self) -> Vec<HeldRegion> {
        let rest = self.rest.as_ref();
        rest.map_or_else(Vec::new, |rest| rest.regions.held())
    }
}

impl Rest {
    /// What the end of the boundary wakes, and the wakers that it drops.
    pub(super) fn take_waiting(&mut self) -> (Wakers, Vec<Waker>) {
        let mut waiting = std::mem::take(&mut self.parked);
        let mut others = Vec::new();
        for (_, Watcher { bits, waker }) in std::mem::take(&mut self.watchers) {
            match bits & flag::CLOSED != 0 {
                true => waiting.insert(waker),
                false => others.push(waker),
            }
        }
        (waiting, others)
    }
}

/// The wakers that were noted for a boundary that has ended.
#[derive(Debug, Default)]
#[must_use = "futures that wait must be woken"]
pub(crate) struct NotedWakers {
    /// The node had children when it ended (invariant 8).
    pub(super) has_children: bool,
    pub(super) waker: Option<Waker>,
    /// Those of futures that wait, to be woken, and those that are only dropped. Few nodes have any.
    rest: Option<(Wakers, Vec<Waker>)>,
}

impl NotedWakers {
    /// Drops the boundary's waker and wakes the futures that wait: a parked gate may go on
    /// outside, and a watcher may go on with the scope around this one.
    pub(crate) fn release(self) {
        drop(self.waker);
        if let Some((waiting, others)) = self.rest {
            drop(others);
            waiting.wake_all();
        }
    }
}
