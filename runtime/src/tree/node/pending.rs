//! What must have ended before a boundary may return (invariants 6 and 7).

use std::sync::Arc;

use super::{Inner, Node, NotedWakers, flag};
use crate::base::sync::{MutexGuard, Ordering};
use crate::tree::reason::Reason;

/// What a group still waits for, in the order in which it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remaining {
    /// Tasks, and perhaps the others.
    Tasks,
    Services,
    /// Cleanups that were deferred to its end.
    Deferred,
    Nothing,
}

impl Node {
    /// Counts one more child that must have ended before the boundary returns. False when the
    /// node takes no more: it is closed or cancelled.
    #[cfg(all(test, taskscope_loom))]
    pub(crate) fn add_pending(&self, background: bool) -> bool {
        self.add_pending_locked(&mut self.lock(), background)
    }

    pub(super) fn add_pending_locked(&self, inner: &mut Inner, background: bool) -> bool {
        // Before the look at `CLOSED` (invariant 7).
        self.use_locked();
        if self.flags() & (flag::CLOSED | flag::CANCELLED) != 0 {
            return false;
        }
        inner.pending += 1;
        inner.background += usize::from(background);
        inner.new_services |= background;
        true
    }

    /// Makes the boundary wait for deferred cleanups, in the background: counted once for all
    /// of them.
    pub(crate) fn await_deferred(&self) {
        let mut inner = self.lock();
        self.use_locked();
        if inner.awaits_deferred || self.flags() & flag::CLOSED != 0 {
            return;
        }
        inner.awaits_deferred = true;
        inner.pending += 1;
        inner.background += 1;
    }

    /// The deferred cleanups have run, or will not.
    pub(crate) fn deferred_ended(self: &Arc<Self>) {
        let mut inner = self.lock();
        if std::mem::take(&mut inner.awaits_deferred) {
            inner.background -= 1;
            self.one_fewer(inner);
        }
    }

    /// The services of this group, to be cancelled; none, if there are none that were
    /// not taken before. One that is spawned meanwhile is found by the next look:
    /// the child and the note that it is there come under one lock.
    pub(crate) fn take_services(&self) -> Vec<Arc<Node>> {
        if !std::mem::take(&mut self.lock().new_services) {
            return Vec::new();
        }
        let mut services = self.children();
        services.retain(|child| child.flags() & flag::BACKGROUND != 0);
        services
    }

    /// How many tasks are pending.
    pub(crate) fn tasks(&self) -> usize {
        let inner = self.lock();
        inner
            .pending
            .saturating_sub(usize::from(inner.awaits_deferred))
    }

    pub(crate) fn remaining(&self) -> Remaining {
        let inner = self.lock();
        if inner.pending > inner.background {
            Remaining::Tasks
        } else if inner.background > usize::from(inner.awaits_deferred) {
            Remaining::Services
        } else if inner.awaits_deferred {
            Remaining::Deferred
        } else {
            Remaining::Nothing
        }
    }

    #[cfg(all(test, taskscope_loom))]
    pub(crate) fn pending(&self) -> usize {
        self.lock().pending
    }

    /// A child has ended (invariant 6). Walks up while orphans run empty.
    pub(crate) fn remove_pending(self: &Arc<Self>) {
        self.one_fewer(self.lock());
    }

    /// A task of this group has ended, and leaves the tree.
    ///
    /// Unless it is an orphan: dropped by its runtime while something below it was
    /// pending, it is counted here a second time (invariant 6) and keeps its place
    /// until that has ended, too. Or it has children (invariant 8).
    pub(crate) fn task_ended(self: &Arc<Self>, task: &Node, background: bool) {
        // What keeps it was noted behind the lock, if there is any (invariant 7).
        let stays = task.flags_acquire() & flag::USED != 0 && {
            let inner = task.lock();
            inner.orphaned || inner.has_children()
        };
        let link = if stays { None } else { task.link.lock().take() };
        let mut inner = self.lock();
        let child = link.as_ref().and_then(|_| {
            let key = task.key.load(Ordering::Relaxed);
            inner.remove_child(key)
        });
        inner.background -= usize::from(background);
        self.one_fewer(inner);
        drop(child);
        drop(link);
    }

    pub(super) fn one_fewer(self: &Arc<Self>, inner: MutexGuard<'_, Inner>) {
        let mut ran_empty = self.count_down(inner).then(|| self.clone());
        while let Some(orphan) = ran_empty {
            let Some((parent, _)) = orphan.parent() else {
                return;
            };
            // Until now it could not leave the tree by itself: the parent was needed.
            orphan.lock().orphaned = false;
            if orphan.is_spent() {
                orphan.detach();
            }
            let empty = parent.count_down(parent.lock());
            ran_empty = empty.then_some(parent);
        }
    }

    /// True for an orphan that has run empty; a boundary that has is woken.
    pub(super) fn count_down(&self, mut inner: MutexGuard<'_, Inner>) -> bool {
        inner.pending -= 1;
        if inner.pending > inner.background || (inner.orphaned && inner.pending > 0) {
            return false;
        }
        let orphaned = inner.orphaned;
        let waker = inner.waker.clone().filter(|_| !orphaned);
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
        orphaned
    }

    /// Whether something below was left behind by a boundary that was dropped.
    pub(crate) fn has_orphans(&self) -> bool {
        !self.orphans().is_empty()
    }

    /// Ends the grace period of what was left behind, and of nothing else.
    pub(crate) fn abort_orphans(&self) {
        for orphan in self.orphans() {
            orphan.abort();
        }
    }

    pub(super) fn orphans(&self) -> Vec<Arc<Node>> {
        // Asked at each poll of a group that waits for its tasks: there may be many.
        if self.flags_acquire() & flag::ADOPTED == 0 {
            return Vec::new();
        }
        let inner = self.lock();
        let children: Vec<_> = inner.children().map(|child| child.node.clone()).collect();
        drop(inner);
        children
            .into_iter()
            .filter(|child| child.lock().orphaned)
            .collect()
    }

    /// Takes no more children, if nothing is pending (invariant 7). Gives what was
    /// noted for the boundary, to be given back when the node has left the tree.
    pub(crate) fn try_close(&self) -> Option<NotedWakers> {
        let mut flags = self.flags_acquire();
        while flags & flag::USED == 0 {
            let closed = flags | flag::CLOSED;
            // AcqRel: as `set`, and pairs with it.
            let exchanged = self.pulse.flags.compare_exchange_weak(
                flags,
                closed,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            match exchanged {
                Ok(_) => return Some(NotedWakers::default()),
                Err(now) => flags = now,
            }
        }
        let mut inner = self.lock();
        if inner.pending > 0 {
            return None;
        }
        self.set(flag::CLOSED);
        Some(inner.take_noted())
    }

    /// The boundary has ended and nothing is pending: the node leaves the tree.
    pub(crate) fn finish(&self) {
        self.set(flag::CLOSED);
        let noted = self.lock().take_noted();
        self.detach_ended(&noted);
        noted.release();
    }

    /// The nearest scope around that has not ended, in which this node is counted from now
    /// on: before it can run empty. It is put below that scope.
    fn find_adopter(self: &Arc<Self>) -> Option<Arc<Node>> {
        let (mut parent, mut shielded) = self.parent()?;
        let mut has_moved = false;
        while !parent.adopt_one() {
            let (next, is_shielded) = parent.parent()?;
            shielded |= is_shielded;
            parent = next;
            has_moved = true;
        }
        if has_moved {
            self.detach();
            self.attach(&parent, shielded);
        }
        Some(parent)
    }

    /// Counts an orphan. False where the boundary has ended, and waits for nothing: an
    /// orphan that has run empty does not become one again.
    fn adopt_one(&self) -> bool {
        let mut inner = self.lock();
        self.use_locked();
        let is_waiting = inner.orphaned && inner.pending > 0;
        if self.flags() & flag::CLOSED != 0 && !is_waiting {
            return false;
        }
        self.set(flag::ADOPTED);
        inner.pending += 1;
        true
    }

    /// The boundary was dropped before it ended: what is pending is cancelled
    /// and adopted by the parent (invariant 6).
    pub(crate) fn orphan(self: &Arc<Self>) {
        if let Some(noted) = self.try_close() {
            self.detach_ended(&noted);
            return noted.release();
        }
        let parent = self.find_adopter();
        let mut inner = self.lock();
        self.set(flag::CLOSED);
        inner.orphaned = inner.pending > 0;
        let (orphaned, noted) = (inner.orphaned, inner.take_noted());
        drop(inner);
        if orphaned {
            self.cancel(Reason::Dropped);
            // Also those that were accepted since the group's future was dropped.
            for service in self.take_services() {
                service.cancel(Reason::Dropped);
            }
        }
        noted.release();
        if orphaned {
            return;
        }
        self.finish();
        if let Some(parent) = parent {
            parent.remove_pending();
        }
    }
}
