//! Where the trees begin: the nodes that are polled outside of every scope.
//!
//! Only [`tree`](crate::observe::tree()) and the watchdog read it. A root is entered when
//! it is first polled and taken out when its node is dropped, so that what a
//! boundary left behind is still found. It is spread over several locks, which
//! are held for a few instructions each.

use std::sync::{Arc, Weak};

use slab::Slab;

use crate::base::sync::{Mutex, lazy_static};
use crate::tree::node::Node;

/// A model has one: where something is allocated must not change its course.
const SHARDS: usize = if cfg!(taskscope_loom) { 1 } else { 16 };

type RootShard = Mutex<Slab<Weak<Node>>>;

lazy_static! {
    static ref ALL: [RootShard; SHARDS] = Default::default();
}

/// By its address: neighbours in memory are rarely made by one thread at once.
fn shard_of(address: usize) -> &'static RootShard {
    &ALL[(address / size_of::<Node<()>>()) % SHARDS]
}

/// Enters a root; gives the key to take it out with.
pub(crate) fn add(node: &Arc<Node>) -> usize {
    shard_of(Arc::as_ptr(node).addr())
        .lock()
        .insert(Arc::downgrade(node))
}

/// Takes a root out that is being dropped at this address.
pub(crate) fn remove(address: usize, key: usize) {
    let removed = shard_of(address).lock().try_remove(key);
    drop(removed);
}

/// All that are still there.
///
/// None is dropped under a lock, though it may be held by nobody else by then:
/// its drop takes that lock.
pub(crate) fn all() -> Vec<Arc<Node>> {
    let mut roots = Vec::new();
    for shard in ALL.iter() {
        let shard = shard.lock();
        roots.extend(shard.iter().filter_map(|(_, node)| node.upgrade()));
    }
    roots
}

/// How many are entered, there or not.
#[cfg(all(test, taskscope_loom))]
pub(crate) fn entries() -> usize {
    ALL.iter().map(|shard| shard.lock().len()).sum()
}
