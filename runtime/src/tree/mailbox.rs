//! Where the tree posts cancellations, for observers that it does not know.
//!
//! An observer that waits for something to be late must learn of each cancellation. The tree
//! cannot call it: an observer stands above the tree, and may take its time. So the observer
//! opens a [`Mailbox`], the tree [posts](post_cancelled) the node at which a cancellation
//! begins, and the observer [takes](Mailbox::take) what has come in when it looks again.
//! While no mailbox is open, a post is one load.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use crate::base::sync::{Mutex, lazy_static};
use crate::tree::node::Node;

/// The most nodes that a mailbox keeps. Further cancellations are found by a walk through all trees.
const CAPACITY: usize = 4096;

lazy_static! {
    static ref MAILBOXES: Mutex<Vec<Arc<Mutex<Posted>>>> = Default::default();
}

/// How many mailboxes are open, for a fast check.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What has come in since the last [`Mailbox::take`].
#[derive(Debug, Default)]
pub(crate) struct Posted {
    /// The nodes at which cancellations began.
    pub(crate) nodes: Vec<Weak<Node>>,
    /// There were more than the mailbox keeps.
    pub(crate) is_incomplete: bool,
}

/// Receives the cancellations of all trees until it is dropped.
#[derive(Debug)]
pub(crate) struct Mailbox(Arc<Mutex<Posted>>);

impl Mailbox {
    /// Starts to receive.
    pub(crate) fn open() -> Mailbox {
        let posted = Arc::<Mutex<Posted>>::default();
        MAILBOXES.lock().push(posted.clone());
        COUNT.fetch_add(1, Ordering::Relaxed);
        Mailbox(posted)
    }

    /// Empties the mailbox.
    pub(crate) fn take(&self) -> Posted {
        std::mem::take(&mut *self.0.lock())
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        MAILBOXES
            .lock()
            .retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

/// Tells all open mailboxes of a cancellation that begins at this node.
pub(crate) fn post_cancelled(node: &Arc<Node>) {
    // Relaxed: a mailbox that is just being opened may miss it.
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    for posted in MAILBOXES.lock().iter() {
        let mut posted = posted.lock();
        if posted.nodes.len() < CAPACITY {
            posted.nodes.push(Arc::downgrade(node));
        } else {
            posted.is_incomplete = true;
        }
    }
}
