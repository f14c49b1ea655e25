//! The wakers of a node: of its boundary, of parked gates, and of futures that wait for a flag.

use std::sync::Arc;
use std::task::Waker;

use tokio::time::Instant;

use super::inner::Watcher;
use super::{Node, flag};
use crate::base::wakers::WakerId;

impl Node {
    pub(crate) fn wake(&self) {
        let waker = self.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Keeps a clone of the waker that the boundary is polled with. Returns that
    /// clone's identity, and the deadline.
    pub(crate) fn register(&self, waker: &Waker) -> (WakerId, Option<Instant>) {
        let waker = waker.clone();
        let known = WakerId::of(&waker);
        let mut inner = self.lock();
        self.use_locked();
        let old = inner.waker.replace(waker);
        let deadline = inner.deadline;
        drop(inner);
        drop(old);
        (known, deadline)
    }

    /// Notes, under the lock, that the end of the boundary has to look behind it.
    pub(super) fn use_locked(&self) {
        self.mark_locked(flag::USED);
    }

    /// Sets a flag, under the lock, that is mostly set already.
    pub(super) fn mark_locked(&self, bit: u32) {
        if self.flags() & bit == 0 {
            self.set(bit);
        }
    }

    /// Keeps the waker of a future that is parked in this node, and wakes it when
    /// the boundary has ended: the future may lie in a collection that is polled
    /// on outside.
    pub(crate) fn park(self: &Arc<Self>, waker: &Waker) {
        let mut inner = self.lock();
        self.use_locked();
        if inner.rest().parked.contains(waker) {
            return;
        }
        drop(inner);
        // Code of the waker's owner: not under the lock.
        let waker = waker.clone();
        self.lock().rest().parked.insert(waker);
    }

    /// Keeps the waker of a future that waits for some of these flags. Returns false if
    /// the node is closed, and nothing will set them any more.
    pub(crate) fn watch(&self, key: &mut Option<usize>, bits: u32, waker: &Waker) -> bool {
        if self.is_watched_by(*key, waker) {
            return true;
        }
        // Code of the waker's owner: not under the lock.
        let waker = waker.clone();
        let mut inner = self.lock();
        // Before the look at `CLOSED` (invariant 7).
        self.use_locked();
        if self.flags() & flag::CLOSED != 0 {
            return false;
        }
        let watchers = &mut inner.rest().watchers;
        let old = match key.and_then(|key| watchers.get_mut(key)) {
            Some(watcher) => Some(std::mem::replace(&mut watcher.waker, waker)),
            None => {
                *key = Some(watchers.insert(Watcher { bits, waker }));
                None
            }
        };
        drop(inner);
        drop(old);
        true
    }

    fn is_watched_by(&self, key: Option<usize>, waker: &Waker) -> bool {
        let Some(key) = key else { return false };
        let inner = self.lock();
        let watchers = inner.rest.as_ref().map(|rest| &rest.watchers);
        let kept = watchers.and_then(|watchers| watchers.get(key));
        kept.is_some_and(|kept| kept.waker.will_wake(waker))
    }

    /// Whether a future waits for the request to stop, here or in any scope below.
    #[cfg(feature = "shutdown")]
    pub(crate) fn is_stop_awaited(self: &Arc<Self>) -> bool {
        let mut unseen = vec![self.clone()];
        while let Some(node) = unseen.pop() {
            if node.lock().is_stop_watched() {
                return true;
            }
            unseen.extend(node.children());
        }
        false
    }

    pub(crate) fn unwatch(&self, key: &mut Option<usize>) {
        let Some(key) = key.take() else { return };
        let old = self.lock().rest().watchers.try_remove(key);
        drop(old);
    }

    /// How many wait for this node; for tests of leaks.
    #[cfg(all(test, taskscope_loom))]
    pub(crate) fn watcher_count(&self) -> usize {
        self.lock().rest().watchers.len()
    }
}
