//! What each thread polls at the moment, readable from the watchdog's thread.
//!
//! The [`Beat`] of a thread lies in its thread-local storage and is written by
//! plain relaxed stores. It is entered in a list when the thread first polls
//! something, and taken out by a destructor that runs before that storage goes.

use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use slab::Slab;

use crate::node::Pulse;

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
    pub(crate) fn replace_pulse(&self, pulse: *const Pulse) -> *const Pulse {
        let former = self.pulse();
        self.pulse.store(pulse.cast_mut(), Ordering::Relaxed);
        former
    }

    #[inline]
    pub(crate) fn mask(&self) -> u32 {
        self.mask.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn replace_mask(&self, mask: u32) -> u32 {
        let former = self.mask();
        self.mask.store(mask, Ordering::Relaxed);
        former
    }

    #[inline]
    pub(crate) fn budget(&self) -> u32 {
        self.budget.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_budget(&self, budget: u32) {
        self.budget.store(budget, Ordering::Relaxed);
    }

    /// A task begins to be polled.
    #[inline]
    pub(crate) fn begin(&self, budget: u32) {
        self.set_budget(budget);
        let polls = self.polls.load(Ordering::Relaxed);
        self.polls.store(polls.wrapping_add(1), Ordering::Relaxed);
    }

    fn look(&self) -> Look {
        Look {
            pulse: self.pulse().addr(),
            may_block: self.mask() == 0,
            budget: self.budget(),
            polls: self.polls.load(Ordering::Relaxed),
        }
    }
}

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
}

/// A thread that polls, or has polled.
#[derive(Clone, Debug)]
pub(crate) struct Poller {
    pub(crate) name: String,
    /// Where the kernel tells about it.
    task: Option<String>,
}

impl Poller {
    fn current() -> Poller {
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

struct Listed {
    beat: *const Beat,
    poller: Poller,
    claimed: Option<Look>,
}

// SAFETY: all that is reached through the pointer is atomic, and it is valid for
// as long as it is listed: `Leave` takes it out first.
unsafe impl Send for Listed {}

static LIST: Mutex<Slab<Listed>> = Mutex::new(Slab::new());

fn lock() -> std::sync::MutexGuard<'static, Slab<Listed>> {
    match LIST.lock() {
        Ok(list) => list,
        Err(poisoned) => poisoned.into_inner(),
    }
}

/// Takes the thread out of the list when it ends.
struct Leave(usize);

impl Drop for Leave {
    fn drop(&mut self) {
        let left = lock().try_remove(self.0);
        drop(left);
    }
}

/// Enters the current thread, for as long as it lives.
///
/// # Safety
///
/// `beat` must lie in storage of the current thread that is freed only after its
/// thread-local destructors have run.
pub(crate) unsafe fn enlist(beat: *const Beat) {
    thread_local! {
        static LEAVE: std::cell::OnceCell<Leave> = const { std::cell::OnceCell::new() };
    }

    let listed = Listed {
        beat,
        poller: Poller::current(),
        claimed: None,
    };
    // A thread that is ending already has nothing to hide.
    let _ = LEAVE.try_with(|leave| {
        leave.get_or_init(|| Leave(lock().insert(listed)));
    });
}

/// What all threads do, each with a key of its own.
pub(crate) fn look_at_all() -> Vec<(usize, Look)> {
    let list = lock();
    // SAFETY: listed, so still there (see `Listed`); the lock keeps it listed.
    let looks = list
        .iter()
        .map(|(key, listed)| (key, unsafe { &*listed.beat }.look()));
    looks.collect()
}

/// The thread of this key, if it still does what it was seen to do, and nobody
/// has asked for it before: it is to be reported once.
pub(crate) fn claim(key: usize, look: Look) -> Option<Poller> {
    let mut list = lock();
    let listed = list.get_mut(key)?;
    // SAFETY: as in `look_at_all`.
    let now = unsafe { &*listed.beat }.look();
    let claimed = listed.claimed.replace(look);
    (now == look && claimed != Some(look)).then(|| listed.poller.clone())
}
