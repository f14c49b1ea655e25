//! Futures that a group polls itself, since they may borrow from outside it.
//!
//! A handle to the group may be `'static` while these futures borrow for `'env`
//! only. So the queue through which they reach the group forgets `'env`. This is
//! sound because the group's own future, which cannot outlive `'env`, alone
//! takes them out and polls or drops them: it closes and empties the queue when
//! it ends or is dropped. If it is leaked instead, what stands in the queue is
//! leaked too.

use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::Context;

use slab::Slab;

use crate::base::sync::Mutex;
use crate::base::wakeset::{Member, WakeSet};
use crate::unwind::exit::PanicSite;

/// A scoped child, or a deferred cleanup, that forgot how long it borrows.
pub(crate) type Erased<T = ()> = Pin<Box<dyn Future<Output = T> + Send>>;
/// The same for what stays on its thread.
pub(crate) type ErasedLocal = Pin<Box<dyn Future<Output = ()>>>;

/// Forgets how long a future borrows. Goes into a [`Queue`] only.
pub(crate) fn erase<'env, T: 'static>(
    future: Pin<Box<dyn Future<Output = T> + Send + 'env>>,
) -> ManuallyDrop<Erased<T>> {
    // SAFETY: only the lifetime changes, and the future is not dropped with
    // what this returns. See the module: within `'env` alone it is used.
    ManuallyDrop::new(unsafe {
        std::mem::transmute::<Pin<Box<dyn Future<Output = T> + Send + 'env>>, Erased<T>>(future)
    })
}

/// Forgets how long a future borrows. Goes into a [`Queue`] only.
pub(crate) fn erase_local<'env>(
    future: Pin<Box<dyn Future<Output = ()> + 'env>>,
) -> ManuallyDrop<ErasedLocal> {
    // SAFETY: as in `erase`.
    ManuallyDrop::new(unsafe {
        std::mem::transmute::<Pin<Box<dyn Future<Output = ()> + 'env>>, ErasedLocal>(future)
    })
}

/// The way of futures from a group's handles to its own future.
pub(crate) struct Queue<C>(Mutex<Waiting<C>>);

struct Waiting<C> {
    futures: Vec<ManuallyDrop<C>>,
    closed: bool,
}

impl<C> Queue<C> {
    pub(crate) fn new() -> Queue<C> {
        Queue(Mutex::new(Waiting {
            futures: Vec::new(),
            closed: false,
        }))
    }

    /// Hands a future over. When the group has ended, it is returned.
    pub(crate) fn push(&self, future: ManuallyDrop<C>) -> Result<(), C> {
        let mut waiting = self.0.lock();
        if waiting.closed {
            return Err(ManuallyDrop::into_inner(future));
        }
        waiting.futures.push(future);
        Ok(())
    }

    pub(crate) fn take(&self) -> Vec<C> {
        Self::owned(std::mem::take(&mut self.0.lock().futures))
    }

    fn owned(futures: Vec<ManuallyDrop<C>>) -> Vec<C> {
        futures.into_iter().map(ManuallyDrop::into_inner).collect()
    }

    /// The future that came last.
    pub(crate) fn pop(&self) -> Option<C> {
        self.0.lock().futures.pop().map(ManuallyDrop::into_inner)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().futures.is_empty()
    }

    /// Takes no more; what was not taken is given back.
    pub(crate) fn close(&self) -> Vec<C> {
        let mut waiting = self.0.lock();
        waiting.closed = true;
        let futures = std::mem::take(&mut waiting.futures);
        drop(waiting);
        Self::owned(futures)
    }
}

/// For how many children an empty group keeps room.
const SPARE: usize = 1024;

/// The children that a group polls itself, owned by its future.
pub(crate) struct Children<C> {
    slots: Slab<(C, Member)>,
    /// Made for the first one: most groups have none.
    set: Option<WakeSet>,
}

impl<C: Future<Output = ()> + Unpin> Children<C> {
    pub(crate) fn new() -> Self {
        Children {
            slots: Slab::new(),
            set: None,
        }
    }

    /// Takes new children and polls those that were woken.
    ///
    /// What is woken or spawned meanwhile wakes the task and is polled the next
    /// time, so that the task gives way.
    pub(crate) fn poll(&mut self, queue: &Queue<C>, cx: &mut Context<'_>) {
        for child in queue.take() {
            let entry = self.slots.vacant_entry();
            let member = self.set.get_or_insert_default().member(entry.key());
            entry.insert((child, member));
        }
        let Some(set) = self.set.as_ref().filter(|_| !self.slots.is_empty()) else {
            return;
        };
        for index in set.take(cx) {
            self.poll_child(index);
        }
    }

    fn poll_child(&mut self, index: usize) {
        let Some((child, member)) = self.slots.get_mut(index) else {
            return;
        };
        if member.poll(|cx| Pin::new(child).poll(cx)).is_ready() {
            PanicSite::default().discard(self.slots.remove(index));
            if self.slots.is_empty() && self.slots.capacity() > SPARE {
                self.slots = Slab::new();
            }
        }
    }

    /// Gives up those that it has.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = C> + use<C> {
        let slots = std::mem::take(&mut self.slots);
        slots.into_iter().map(|(_, (child, _))| child)
    }
}
