//! Wakers that are kept to be woken later, and how to tell one that is kept
//! already.

use std::collections::HashSet;
use std::ptr;
use std::task::Waker;

use crate::base::caught::wake_each;

/// The identity of a waker, to be compared with that of another one.
///
/// Take it of the clone that is *kept*, never of the waker that was cloned: a
/// clone may lie at another address, and the address of a waker that was dropped
/// may be that of the next one, which wakes something else. The identity of a kept
/// waker cannot be taken over for as long as it is kept. The default is that of no
/// waker, since its vtable is null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct WakerId {
    data: usize,
    vtable: usize,
}

impl WakerId {
    pub(crate) fn of(waker: &Waker) -> WakerId {
        WakerId {
            data: waker.data().addr(),
            vtable: ptr::from_ref(waker.vtable()).addr(),
        }
    }
}

/// Keeps `waker` in `slot`, unless the one there wakes the same task. Returns the former one, to be
/// dropped outside of every lock: dropping a waker may run any code.
#[must_use]
pub(crate) fn keep_waker(slot: &mut Option<Waker>, waker: &Waker) -> Option<Waker> {
    if slot.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
        return None;
    }
    slot.replace(waker.clone())
}

/// Any number of wakers, each of them once.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    kept: Vec<Waker>,
    /// The identities of all of them, once there are more than [`FEW`](Self::FEW).
    #[expect(clippy::box_collection, reason = "every scope has room for it")]
    ids: Option<Box<HashSet<WakerId>>>,
}

impl Wakers {
    /// As many are compared one by one.
    const FEW: usize = 16;

    pub(crate) fn contains(&self, waker: &Waker) -> bool {
        match &self.ids {
            Some(ids) => ids.contains(&WakerId::of(waker)),
            None => self.kept.iter().any(|kept| kept.will_wake(waker)),
        }
    }

    /// Keeps a waker that is not contained.
    pub(crate) fn insert(&mut self, waker: Waker) {
        let id = WakerId::of(&waker);
        self.kept.push(waker);
        if let Some(ids) = &mut self.ids {
            ids.insert(id);
        } else if self.kept.len() > Self::FEW {
            self.ids = Some(Box::new(self.kept.iter().map(WakerId::of).collect()));
        }
    }

    pub(crate) fn wake_all(self) {
        // Most have none, and need no catching of panics.
        if self.kept.is_empty() {
            return;
        }
        if let Some(panic) = wake_each(self.kept) {
            panic.resume_if_calm();
        }
    }
}

#[cfg(all(test, not(taskscope_loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn each_waker_is_kept_once_however_many_there_are() {
        let targets: Vec<Arc<Wakes>> = (0..100).map(|_| Arc::default()).collect();
        let mut wakers = Wakers::default();
        for target in targets.iter().chain(&targets) {
            let waker = Waker::from(target.clone());
            if !wakers.contains(&waker) {
                wakers.insert(waker);
            }
        }
        wakers.wake_all();
        assert!(
            targets
                .iter()
                .all(|wakes| wakes.0.load(Ordering::SeqCst) == 1)
        );
    }
}
