//! Finds threads that an executor inside a poll blocks forever.
//!
//! Once a scope is cancelled, its code waits at a closed checkpoint until the future is dropped. A combinator passes
//! the pending on, and the boundary outside drops it together with the future. An executor does not return:
//!
//! ```text
//! thread ── boundary polls a body ── `futures::executor::block_on(f)` ── `f` at a closed checkpoint
//!                                     └ waits until `f` is woken, which never happens
//! ```
//!
//! Both poll with a waker of their own, so at that moment they look the same. After the grace period they do not:
//! the thread of the executor is still in the same poll. So each thread notes its last poll in which code of a
//! cancelled node was polled with such a waker, and the thread of a [`Shutdown`](crate::Shutdown) checks it later.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::base::clock::Moment;
use crate::base::sync::{Mutex, lazy_static};
use crate::poll::beat::{self, Poll};
use crate::tree::node::Node;

/// The least time after which a poll is checked: an ordinary one has returned by then.
const SHORTEST: Duration = Duration::from_millis(200);

lazy_static! {
    static ref WATCHES: Mutex<Vec<Arc<StallNotes>>> = Default::default();
}

/// How many watches there are, for a fast check.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What is noted for one watch.
#[derive(Debug)]
struct StallNotes {
    /// The grace period of nodes that have none.
    grace: Duration,
    threads: Mutex<Threads>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Threads {
    /// By the key of the thread.
    last: HashMap<usize, Parked>,
    /// The watch will check anyway, and need not be woken.
    is_watched: bool,
}

/// A poll in which code of a cancelled node waits with a waker that is not its task's.
#[derive(Debug)]
struct Parked {
    /// Weak, so that nothing of the user's is dropped under the lock.
    node: Weak<Node>,
    poll: Poll,
    /// The end of the grace period; `None` once it was checked.
    due: Option<Instant>,
}

/// Notes that code of this cancelled node waits with a waker that is not its task's.
/// `this_poll` returns the key of the thread and the poll that it is in.
pub(crate) fn note(node: &Arc<Node>, this_poll: impl FnOnce() -> Option<(usize, Poll)>) {
    // Relaxed: a watch that is just being started need not know of it.
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let Some((thread, poll)) = this_poll() else {
        return;
    };
    for noted in WATCHES.lock().iter() {
        // The first one in a poll has waited for longest.
        if !noted.knows(thread, poll) {
            noted.insert(thread, Parked::new(node, poll, noted.grace));
        }
    }
}

impl Parked {
    fn new(node: &Arc<Node>, poll: Poll, grace: Duration) -> Parked {
        let grace = node.grace_in_force().unwrap_or(grace);
        let origin = node.origin();
        let since = origin.map(|origin| Moment::now().since(origin.at));
        let left = grace.saturating_sub(since.unwrap_or_default());
        Parked {
            node: Arc::downgrade(node),
            poll,
            due: Instant::now().checked_add(left.max(SHORTEST)),
        }
    }
}

impl StallNotes {
    fn knows(&self, thread: usize, poll: Poll) -> bool {
        let threads = self.threads.lock();
        threads
            .last
            .get(&thread)
            .is_some_and(|known| known.poll == poll)
    }

    fn insert(&self, thread: usize, parked: Parked) {
        let mut threads = self.threads.lock();
        threads.last.insert(thread, parked);
        if !std::mem::replace(&mut threads.is_watched, true) {
            self.more.notify_one();
        }
    }

    /// Returns those that are due and still in their poll, each once, and when to check next.
    fn look(&self) -> (Vec<Weak<Node>>, Option<Instant>) {
        let now = Instant::now();
        let mut stalled = Vec::new();
        let mut threads = self.threads.lock();
        let looks = beat::list().look_at_all();
        threads.last.retain(|thread, parked| {
            let mut looks = looks.iter().filter(|(key, _)| key == thread);
            let is_same = looks.any(|(_, look)| look.is_in(parked.poll));
            if is_same && parked.due.is_some_and(|due| due <= now) {
                parked.due = None;
                stalled.push(parked.node.clone());
            }
            is_same
        });
        let next = threads.last.values().filter_map(|parked| parked.due).min();
        threads.is_watched = next.is_some();
        (stalled, next)
    }
}

/// Collects what the threads note until it is dropped.
#[derive(Debug)]
pub(crate) struct StallWatch(Arc<StallNotes>);

impl StallWatch {
    /// Starts collecting. `grace` is the grace period of nodes that have none.
    pub(crate) fn begin(grace: Duration) -> StallWatch {
        let noted = Arc::new(StallNotes {
            grace,
            threads: Mutex::default(),
            more: Notify::new(),
        });
        WATCHES.lock().push(noted.clone());
        COUNT.fetch_add(1, Ordering::Relaxed);
        StallWatch(noted)
    }

    /// Returns the nodes that are stalled, each once, and when to look again.
    pub(crate) fn look(&self) -> (Vec<Weak<Node>>, Option<Instant>) {
        self.0.look()
    }

    /// Waits until there is more to look at.
    pub(crate) fn more(&self) -> impl Future<Output = ()> {
        self.0.more.notified()
    }
}

impl Drop for StallWatch {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        WATCHES.lock().retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}
