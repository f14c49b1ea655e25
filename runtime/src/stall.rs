//! An executor inside a poll, which waits for what is closed.
//!
//! The code of a cancelled scope waits at a closed checkpoint until it is dropped, by whoever polls it. A combinator
//! returns pending, and is dropped by the boundary outside. An executor does not return:
//!
//! ```text
//! thread ── boundary polls a body ── `futures::executor::block_on(f)` ── `f` at a closed checkpoint
//!                                     └ waits for `f` to be woken, which nobody does
//! ```
//!
//! Both come with a waker of their own, so at that moment they cannot be told from each other. They can be after
//! the grace period: the thread of the executor is still in the same poll. While a
//! [`Shutdown`](crate::Shutdown) runs, its thread takes that look, for each thread at the last of its polls in which
//! such a waker was noted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::aside::Aside;
use crate::beat::{self, Poll};
use crate::clock::Moment;
use crate::context;
use crate::node::{Node, flag};
use crate::report::{self, ReportKind};
use crate::sync::{Mutex, lazy_static};

/// A poll that is still the same after this time does not come back, as a rule.
const SHORTEST: Duration = Duration::from_millis(200);

lazy_static! {
    static ref WATCHES: Mutex<Vec<Arc<Noted>>> = Default::default();
}

/// How many there are, for a fast look.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What is noted for one watch.
#[derive(Debug)]
struct Noted {
    /// Of nodes that have none.
    grace: Duration,
    threads: Mutex<Threads>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Threads {
    /// By the key of the thread.
    last: HashMap<usize, Parked>,
    /// A look will be taken anyway.
    is_watched: bool,
}

/// A poll in which code of a cancelled node has begun to wait by a waker that is not its task's.
#[derive(Debug)]
struct Parked {
    /// Weak, so that nothing of the user's is dropped under the lock.
    node: Weak<Node>,
    poll: Poll,
    /// When the grace period is over; `None` once it has been looked at then.
    due: Option<Instant>,
}

/// Notes that the current code waits for its node to be left, by a waker that is not its task's.
pub(crate) fn note(node: &Arc<Node>) {
    // Relaxed: one that is just being started need not know of it.
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let Some((thread, poll)) = context::this_poll() else {
        return;
    };
    for noted in WATCHES.lock().iter() {
        // What waits since earlier in the same poll has waited for longer.
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

impl Noted {
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

    /// Those that are due and still in their poll, each once, and when the next one is.
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

/// Reports what stalls, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Noted>);

impl Watch {
    /// Begins to note. `grace` is that of nodes that have none.
    pub(crate) fn begin(grace: Duration) -> Watch {
        let noted = Arc::new(Noted {
            grace,
            threads: Mutex::default(),
            more: Notify::new(),
        });
        WATCHES.lock().push(noted.clone());
        COUNT.fetch_add(1, Ordering::Relaxed);
        Watch(noted)
    }

    pub(crate) async fn run(self) {
        let mut aside = Aside::new("taskscope-print");
        loop {
            let (stalled, next) = self.0.look();
            for node in stalled {
                aside.run(move || report_stalled(&node));
            }
            let more = self.0.more.notified();
            match next {
                Some(next) => drop(tokio::time::timeout_at(next.into(), more).await),
                None => more.await,
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        WATCHES.lock().retain(|other| !Arc::ptr_eq(other, &self.0));
    }
}

fn report_stalled(node: &Weak<Node>) {
    let Some(node) = node.upgrade() else { return };
    let Some(origin) = node.origin() else { return };
    // Else a watchdog has named it.
    if node.set(flag::LATE) & flag::LATE != 0 {
        return;
    }
    let message = format!(
        "late: not gone {:.1?} after its cancellation ({}); its thread is still in the poll in \
         which it was to be left: is there an executor in a plain function, or in a `Drop`? \
         `futures::executor::block_on` and `Handle::block_on` wait for ever there; \
         `taskscope::block_on`, in `block_in_place`, does not; last checkpoint",
        Moment::now().since(origin.at),
        origin.reason.text(),
    );
    let at = node.last_location();
    report::report(ReportKind::Late, &node.path(), message, at);
}
