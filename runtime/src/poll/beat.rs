//! What each thread polls at the moment, readable from the watchdog's thread.
//!
//! The [`Beat`] of a thread lies in its thread-local storage and is written by
//! plain relaxed stores. It is entered in a list when the thread first polls
//! something, and taken out by a destructor that runs before that storage goes.

use std::cell::OnceCell;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use slab::Slab;

use crate::base::sync::{Mutex, lazy_static};
use crate::tree::node::Pulse;

/// Written by its own thread alone; to others a hint.
#[derive(Debug)]
pub(crate) struct Beat {
    /// The pulse that gates read, a node's; null outside any scope.
    pulse: AtomicPtr<Pulse>,
    /// Which of its flags close a gate; none where the thread may block.
    mask: AtomicU32,
    /// Checkpoints that may still be passed in this poll.
    budget: AtomicU32,
    /// Counts the polls.
    polls: AtomicU32,
}

impl Beat {
    pub(crate) const fn new(budget: u32) -> Beat {
        Beat {
            pulse: AtomicPtr::new(ptr::null_mut()),
            mask: AtomicU32::new(0),
            budget: AtomicU32::new(budget),
            polls: AtomicU32::new(0),
        }
    }

    #[inline]
    pub(crate) fn pulse(&self) -> *const Pulse {
        self.pulse.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_pulse(&self, pulse: *const Pulse) {
        self.pulse.store(pulse.cast_mut(), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn mask(&self) -> u32 {
        self.mask.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_mask(&self, mask: u32) {
        self.mask.store(mask, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn budget(&self) -> u32 {
        self.budget.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_budget(&self, budget: u32) {
        self.budget.store(budget, Ordering::Relaxed);
    }

    /// The poll that the thread is in.
    #[cfg(feature = "shutdown")]
    pub(crate) fn poll(&self) -> Poll {
        Poll(self.polls.load(Ordering::Relaxed))
    }

    /// A task begins to be polled.
    #[inline]
    pub(crate) fn begin(&self, budget: u32) {
        self.set_budget(budget);
        let polls = self.polls.load(Ordering::Relaxed);
        self.polls.store(polls.wrapping_add(1), Ordering::Relaxed);
    }
}

/// One of a thread's polls.
#[cfg(feature = "shutdown")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Poll(u32);

/// What a thread was seen to do. Equal to a later look, it has passed no
/// checkpoint and ended no poll since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The address of the pulse of the node that is polled; zero when none is.
    pub(crate) pulse: usize,
    may_block: bool,
    budget: u32,
    polls: u32,
}

impl Look {
    /// Whether something is polled here that ought to come back soon.
    pub(crate) fn is_polling(&self) -> bool {
        self.pulse != 0 && !self.may_block
    }

    /// Whether the thread is in this poll.
    #[cfg(feature = "shutdown")]
    pub(crate) fn is_in(&self, poll: Poll) -> bool {
        self.pulse != 0 && self.polls == poll.0
    }
}

/// A thread that polls, or has polled.
#[derive(Clone, Debug)]
pub(crate) struct Poller {
    pub(crate) name: String,
    /// Where the kernel tells about it.
    task: Option<String>,
}

impl Poller {
    pub(crate) fn current() -> Poller {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        let task = std::fs::read_link("/proc/thread-self").ok();
        Poller {
            name,
            task: task.map(|path| format!("/proc/{}/stat", path.display())),
        }
    }

    /// Whether it computes, or waits for the kernel; `None` where that cannot be
    /// known.
    pub(crate) fn computes(&self) -> Option<bool> {
        let stat = std::fs::read_to_string(self.task.as_deref()?).ok()?;
        // The name, in parentheses, may contain anything.
        let (_, fields) = stat.rsplit_once(") ")?;
        Some(fields.starts_with('R'))
    }
}

/// What can be entered in a [`List`].
pub(crate) trait Visible {
    type Look: Copy + PartialEq;

    fn look(&self) -> Self::Look;
}

impl Visible for Beat {
    type Look = Look;

    fn look(&self) -> Look {
        Look {
            pulse: self.pulse().addr(),
            may_block: self.mask() == 0,
            budget: self.budget(),
            polls: self.polls.load(Ordering::Relaxed),
        }
    }
}

/// What threads show of themselves, each in storage of its own.
///
/// All that is entered is looked at under the lock, and taken out under it before
/// its storage goes.
pub(crate) struct List<T: Visible>(Mutex<Slab<Enlisted<T>>>);

struct Enlisted<T: Visible> {
    shown: *const T,
    poller: Poller,
    claimed: Option<T::Look>,
}

// SAFETY: what the pointer leads to is `Sync`, and it is valid for as long as it
// is listed, as the caller of `enlist` promised.
unsafe impl<T: Visible + Sync> Send for Enlisted<T> where T::Look: Send {}

impl<T: Visible> Enlisted<T> {
    fn look(&self) -> T::Look {
        // SAFETY: listed, so still there; `List` gives it out under its lock alone.
        unsafe { &*self.shown }.look()
    }
}

impl<T: Visible> List<T> {
    pub(crate) fn new() -> List<T> {
        List(Mutex::new(Slab::new()))
    }

    /// Enters something; gives the key to take it out with.
    ///
    /// # Safety
    ///
    /// `shown` has to stay valid until it was taken out with [`remove`](List::remove).
    pub(crate) unsafe fn enlist(&self, shown: *const T, poller: Poller) -> usize {
        self.0.lock().insert(Enlisted {
            shown,
            poller,
            claimed: None,
        })
    }

    pub(crate) fn remove(&self, key: usize) {
        let left = self.0.lock().try_remove(key);
        drop(left);
    }

    /// What all show, each with a key of its own.
    pub(crate) fn look_at_all(&self) -> Vec<(usize, T::Look)> {
        let list = self.0.lock();
        list.iter()
            .map(|(key, listed)| (key, listed.look()))
            .collect()
    }

    /// The thread of this key, if it still does what it was seen to do, and nobody
    /// has asked for it before: it is to be reported once.
    pub(crate) fn claim(&self, key: usize, look: T::Look) -> Option<Poller> {
        let mut list = self.0.lock();
        let listed = list.get_mut(key)?;
        if listed.look() != look || listed.claimed == Some(look) {
            return None;
        }
        listed.claimed = Some(look);
        Some(listed.poller.clone())
    }
}

lazy_static! {
    static ref LIST: List<Beat> = List::new();
}

/// All threads that poll, or have polled.
pub(crate) fn list() -> &'static List<Beat> {
    &LIST
}

/// Takes the thread out of the list when it ends.
struct Delist(usize);

impl Drop for Delist {
    fn drop(&mut self) {
        LIST.remove(self.0);
    }
}

thread_local! {
    static DELIST: OnceCell<Delist> = const { OnceCell::new() };
}

/// The key of the current thread in the list, if it is there.
#[cfg(feature = "shutdown")]
pub(crate) fn this_thread() -> Option<usize> {
    let key = DELIST.try_with(|delist| delist.get().map(|delist| delist.0));
    key.ok().flatten()
}

/// Enters the current thread, for as long as it lives.
///
/// # Safety
///
/// `beat` must lie in storage of the current thread that is freed only after its
/// thread-local destructors have run.
pub(crate) unsafe fn enlist(beat: *const Beat) {
    // The threads of a model share all thread-local storage.
    if cfg!(taskscope_loom) {
        return;
    }
    let poller = Poller::current();
    // A thread that is ending already has nothing to hide.
    let _ = DELIST.try_with(|delist| {
        // SAFETY: the storage goes after `DELIST`.
        delist.get_or_init(|| Delist(unsafe { LIST.enlist(beat, poller) }));
    });
}
