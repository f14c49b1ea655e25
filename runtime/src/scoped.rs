//! Children that the group polls itself, since they may borrow from outside.
//!
//! A handle to the group may be `'static` while the children borrow for
//! `'env` only. So the queue through which they reach the group forgets `'env`:
//! this is sound because only the group's own future, which cannot outlive
//! `'env`, takes children out of the queue and polls or drops them. It closes and
//! empties the queue when it ends or is dropped; if it is leaked instead, what
//! stands in the queue is leaked too.

use std::future::Future;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use slab::Slab;

use crate::sync::Mutex;

type Child<'env> = Pin<Box<dyn Future<Output = ()> + Send + 'env>>;

/// The way of scoped children from a group's handles to its future.
pub(crate) struct Queue(Mutex<Waiting>);

struct Waiting {
    children: Vec<ManuallyDrop<Child<'static>>>,
    closed: bool,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue(Mutex::new(Waiting {
            children: Vec::new(),
            closed: false,
        }))
    }

    /// Hands a child over; dropped at once when the group has ended.
    pub(crate) fn push<'env>(&self, child: Child<'env>) {
        let mut waiting = self.0.lock();
        if waiting.closed {
            drop(waiting);
            return;
        }
        // SAFETY: only the lifetime changes. See the module: the child is
        // polled and dropped by the group's future alone, within `'env`.
        let child = unsafe { std::mem::transmute::<Child<'env>, Child<'static>>(child) };
        waiting.children.push(ManuallyDrop::new(child));
    }
}

/// The scoped children of one group, owned by its future.
pub(crate) struct Children<'env> {
    slots: Slab<Slot>,
    ready: Arc<Ready>,
    env: PhantomData<fn(&'env ()) -> &'env ()>,
}

struct Slot {
    child: Child<'static>,
    flag: Arc<ChildWaker>,
    waker: Waker,
}

/// Which children were woken.
struct Ready {
    queue: Mutex<Vec<usize>>,
    owner: Mutex<Option<Waker>>,
}

struct ChildWaker {
    index: usize,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.ready.push(self);
        }
    }
}

impl Ready {
    fn push(&self, child: &Arc<ChildWaker>) {
        self.queue.lock().push(child.index);
        let owner = self.owner.lock().clone();
        if let Some(owner) = owner {
            owner.wake();
        }
    }
}

impl Children<'_> {
    pub(crate) fn new() -> Self {
        let ready = Ready {
            queue: Mutex::new(Vec::new()),
            owner: Mutex::new(None),
        };
        Children {
            slots: Slab::new(),
            ready: Arc::new(ready),
            env: PhantomData,
        }
    }

    /// Takes new children and polls those that were woken.
    ///
    /// What is woken or spawned meanwhile wakes the task and is polled the next
    /// time, so that the task gives way.
    pub(crate) fn poll(&mut self, queue: &Queue, cx: &mut Context<'_>) {
        self.take(queue);
        if self.slots.is_empty() {
            return;
        }
        let mut owner = self.ready.owner.lock();
        if !owner
            .as_ref()
            .is_some_and(|owner| owner.will_wake(cx.waker()))
        {
            *owner = Some(cx.waker().clone());
        }
        drop(owner);
        let woken = std::mem::take(&mut *self.ready.queue.lock());
        for index in woken {
            self.poll_child(index);
        }
    }

    fn take(&mut self, queue: &Queue) {
        let new = std::mem::take(&mut queue.0.lock().children);
        for child in new {
            let entry = self.slots.vacant_entry();
            let index = entry.key();
            let queued = AtomicBool::new(true);
            let flag = Arc::new(ChildWaker {
                index,
                queued,
                ready: self.ready.clone(),
            });
            let waker = Waker::from(flag.clone());
            entry.insert(Slot {
                child: ManuallyDrop::into_inner(child),
                flag,
                waker,
            });
            self.ready.queue.lock().push(index);
        }
    }

    fn poll_child(&mut self, index: usize) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        // From before the poll on, a wake queues it again.
        slot.flag.queued.store(false, Ordering::Release);
        if slot
            .child
            .as_mut()
            .poll(&mut Context::from_waker(&slot.waker))
            .is_ready()
        {
            drop(self.slots.remove(index));
        }
    }

    /// Drops every child, and closes the queue.
    pub(crate) fn close(&mut self, queue: &Queue) {
        let mut waiting = queue.0.lock();
        waiting.closed = true;
        let unstarted = std::mem::take(&mut waiting.children);
        drop(waiting);
        drop(
            unstarted
                .into_iter()
                .map(ManuallyDrop::into_inner)
                .collect::<Vec<_>>(),
        );
        drop(std::mem::take(&mut self.slots));
    }
}
