//! Which of many futures that one task polls were woken.

use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use crate::base::sync::{AtomicBool, Mutex, Ordering};
use crate::base::wakers::keep_waker;

/// The futures that were woken since they were polled last, by index.
#[derive(Debug, Default)]
pub(crate) struct WakeSet {
    shared: Arc<WakeSetShared>,
}

#[derive(Debug, Default)]
struct WakeSetShared(Mutex<Woken>);

#[derive(Debug, Default)]
struct Woken {
    indices: Vec<usize>,
    /// Who takes them.
    owner: Option<Waker>,
}

/// The waker of one future of the set.
#[derive(Debug)]
pub(crate) struct Member {
    flag: Arc<Flag>,
    waker: Waker,
}

#[derive(Debug)]
struct Flag {
    index: usize,
    queued: AtomicBool,
    shared: Arc<WakeSetShared>,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // AcqRel: pairs with the swap in `Member::poll`, so that what was done
        // before a wake is seen by the poll that it leads to.
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut woken = self.shared.0.lock();
        // Where some stand already, the owner is awake, or was woken for them.
        let first = woken.indices.is_empty();
        woken.indices.push(self.index);
        let owner = if first { woken.owner.clone() } else { None };
        drop(woken);
        if let Some(owner) = owner {
            owner.wake();
        }
    }
}

impl WakeSet {
    /// A new member, woken from the start.
    pub(crate) fn member(&self, index: usize) -> Member {
        let queued = AtomicBool::new(true);
        let flag = Arc::new(Flag {
            index,
            queued,
            shared: self.shared.clone(),
        });
        self.shared.0.lock().indices.push(index);
        Member {
            waker: Waker::from(flag.clone()),
            flag,
        }
    }

    /// Takes the woken ones; later wakes go to this context's task.
    pub(crate) fn take(&self, cx: &mut Context<'_>) -> Vec<usize> {
        let mut woken = self.shared.0.lock();
        let indices = std::mem::take(&mut woken.indices);
        let former = keep_waker(&mut woken.owner, cx.waker());
        drop(woken);
        drop(former);
        indices
    }

    /// Gives back those that were taken and not polled.
    pub(crate) fn put_back(&self, indices: impl IntoIterator<Item = usize>) {
        self.shared.0.lock().indices.extend(indices);
    }
}

impl Member {
    /// Polls with the member's waker; from before on, a wake queues it again.
    pub(crate) fn poll<R>(&self, poll: impl FnOnce(&mut Context<'_>) -> R) -> R {
        // AcqRel: a wake that finds it queued leaves it to this poll to see what was done before.
        self.flag.queued.swap(false, Ordering::AcqRel);
        poll(&mut Context::from_waker(&self.waker))
    }
}
