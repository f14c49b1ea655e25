//! The place of a node in the tree: its parent, and its children.

use std::sync::Arc;

use super::inner::{Child, NotedWakers};
use super::walk::Walk;
use super::{Node, flag};
use crate::base::sync::Ordering;
use crate::tree::roots;

/// The place of a node in its parent.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) parent: Arc<Node>,
    /// Opened inside a shield or a cleanup: cancellations from above stop here.
    pub(crate) shielded: bool,
}

impl Node {
    /// Puts a node that has no parent below `parent` (invariant 3).
    pub(crate) fn attach(self: &Arc<Self>, parent: &Arc<Node>, shielded: bool) {
        let mut link = self.link.lock();
        debug_assert!(link.is_none());
        let mut above = parent.inner.lock();
        // The end of the parent has to look whether the child is still there.
        parent.use_locked();
        let key = above.rest().children.insert(Child {
            node: self.clone(),
            shielded,
        });
        let inherited = parent.flags();
        let origin = above.origin.clone();
        drop(above);
        self.key.store(key, Ordering::Relaxed);
        *link = Some(Link {
            parent: parent.clone(),
            shielded,
        });
        drop(link);
        // The flags were read under the parent's lock; a walk that starts after
        // it finds this node among the children.
        if inherited & flag::STOPPING != 0 {
            self.walk(&Walk::Stop(inherited & flag::SHUTDOWN));
        }
        let Some(origin) = origin else { return };
        if inherited & flag::CUT != 0 {
            self.walk(&Walk::Cut(origin));
        } else if inherited & flag::ABORTED != 0 {
            self.walk(&Walk::Abort(origin));
        } else if inherited & flag::CANCELLED != 0 && !shielded {
            self.walk(&Walk::Cancel(origin));
        }
    }

    /// Takes the node out of its parent; the first call alone does something. An ended
    /// parent leaves the tree with the last of its children (invariant 8).
    pub(crate) fn detach(&self) {
        let mut parent = self.unlink();
        while let Some(ended) = parent.filter(|parent| parent.is_spent()) {
            parent = ended.unlink();
        }
    }

    /// The boundary has ended: the node leaves the tree, unless it has children.
    pub(crate) fn detach_ended(&self, noted: &NotedWakers) {
        if !noted.has_children {
            self.detach();
        }
    }

    /// Takes the node out of its parent, which is returned.
    fn unlink(&self) -> Option<Arc<Node>> {
        let mut slot = self.link.lock();
        let link = slot.take()?;
        let key = self.key.load(Ordering::Relaxed);
        let removed = link.parent.lock().remove_child(key);
        drop(slot);
        drop(removed);
        Some(link.parent)
    }

    /// Has ended, and nothing needs it as the way up any more.
    pub(super) fn is_spent(&self) -> bool {
        if self.flags() & flag::CLOSED == 0 {
            return false;
        }
        let inner = self.lock();
        !inner.orphaned && !inner.has_children()
    }

    /// Enters a node that is polled outside of every scope among the roots.
    pub(crate) fn stand_alone(self: &Arc<Self>) {
        let mut inner = self.lock();
        let root = &mut inner.rest().root;
        if root.is_none() {
            *root = Some(roots::add(self));
        }
    }

    /// Runs `f` on the parent, if there is one.
    pub(crate) fn with_link<R>(&self, f: impl FnOnce(&Link) -> R) -> Option<R> {
        self.link.lock().as_ref().map(f)
    }

    /// The parent, and whether this node is shielded from its cancellation.
    pub(crate) fn parent(&self) -> Option<(Arc<Node>, bool)> {
        self.with_link(|link| (link.parent.clone(), link.shielded))
    }

    /// The scope that users know: for blocking work, the one that awaits it.
    pub(crate) fn scope(self: &Arc<Self>) -> Arc<Node> {
        let parent = self.parent().filter(|_| self.flags() & flag::BLOCKING != 0);
        parent.map_or_else(|| self.clone(), |(parent, _)| parent)
    }

    /// The parent whose cancellation reaches this node.
    pub(super) fn unshielded_parent(&self) -> Option<Arc<Node>> {
        self.parent()
            .and_then(|(parent, shielded)| (!shielded).then_some(parent))
    }

    /// How many nodes are below this one; for tests of leaks.
    #[cfg(all(test, taskscope_loom))]
    pub(crate) fn child_count(&self) -> usize {
        self.lock().rest().children.len()
    }

    /// The children at this moment, or nearly: the lock is held for a few of them
    /// at a time, so as not to hold up who spawns and who ends.
    pub(crate) fn children(&self) -> Vec<Arc<Node>> {
        const AT_ONCE: usize = 256;
        let mut found = Vec::new();
        let mut from = Some(0);
        while let Some(key) = from {
            let inner = self.lock();
            let (some, next) = inner.some_children(key, AT_ONCE);
            found.extend(some.map(|child| child.node.clone()));
            from = next;
        }
        found
    }

    pub(crate) fn is_childless(&self) -> bool {
        self.lock().children().next().is_none()
    }

    /// The names from the root down to this node.
    pub(crate) fn path(self: &Arc<Self>) -> String {
        let mut names = Vec::new();
        let mut at = Some(self.clone());
        while let Some(node) = at {
            names.push(node.name());
            at = node.parent().map(|(parent, _)| parent);
        }
        names.reverse();
        names.join(" > ")
    }
}
