//! Where the trees begin: the nodes that are polled outside of every scope.
//!
//! Only [`tree`](crate::tree()) and the watchdog read it. A root is entered when
//! it is first polled and taken out when its node is dropped, so that what a
//! boundary left behind is still found. It is spread over several locks, which
//! are held for a few instructions each.

use std::sync::{Arc, OnceLock, Weak};

use slab::Slab;

use crate::node::Node;
use crate::sync::Mutex;

const SHARDS: usize = 16;

type Shard = Mutex<Slab<Weak<Node>>>;

fn shards() -> &'static [Shard; SHARDS] {
    static ALL: OnceLock<[Shard; SHARDS]> = OnceLock::new();
    ALL.get_or_init(Default::default)
}

/// By its address: neighbours in memory are rarely made by one thread at once.
fn shard_of(address: usize) -> &'static Shard {
    &shards()[(address / size_of::<Node<()>>()) % SHARDS]
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
pub(crate) fn all() -> Vec<Arc<Node>> {
    let mut roots = Vec::new();
    for shard in shards() {
        let shard = shard.lock();
        roots.extend(shard.iter().filter_map(|(_, node)| node.upgrade()));
    }
    roots
}
