//! The cancel tree: one node for each scope and each task.
//!
//! Invariants
//! 1. Flags are only ever set, never cleared (but for `RETIMED`, a mere hint, and
//!    `ADMITTED` and `STALLED`, which change under the group's lock).
//! 2. `CANCELLED` is set under the node's lock, together with the origin: who
//!    holds the lock sees both or neither.
//! 3. A child is inserted under its parent's lock, where it takes over the
//!    parent's flags. The walk of a cancellation sets a node's flag and reads
//!    its children under that same lock. So a child is either found by the walk
//!    or born cancelled.
//! 4. A waker is noted under the lock, and the flags are read after that. The
//!    walk sets the flag and takes the wakers under the same lock. So either the
//!    walk finds the waker or the poll sees the flag.
//! 5. Wakers are woken, and nodes and wakers dropped, outside of every lock.
//! 6. `pending` counts what must be gone before the boundary may return: child
//!    tasks, and what was adopted from a boundary that was dropped. A node whose
//!    boundary was dropped while something was pending is *orphaned*: it stays
//!    in the tree, counted as pending in its parent, until that is gone.
//!
//! 7. Whoever notes something behind the lock that the end of the boundary has to
//!    look at sets `USED` first, under the lock. A boundary that has never seen it
//!    set closes its node by exchanging the flags, without the lock. Both change
//!    the same atomic: either the exchange sees `USED`, or who sets it sees
//!    `CLOSED`.
//!
//! 8. A node whose boundary has ended stays in the tree for as long as it has children:
//!    boundaries that began in it, and whose futures live on elsewhere. They are reached
//!    by what is cancelled above, and one that is dropped finds the way up to a scope
//!    that adopts what it leaves behind.
//!
//! Lock order: a node's `link`, then a parent's `inner`. Two `inner`s are never
//! held at once. The locks of the roots come last.

mod failures;
pub(crate) mod flag;
mod inner;
pub(crate) mod lazy;
mod leaves;
mod link;
pub(crate) mod pending;
mod permits;
mod timing;
#[cfg(feature = "tokio-util")]
mod token;
mod walk;
mod watch;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use self::inner::Child;
pub(crate) use self::inner::{Inner, NotedWakers};
pub(crate) use self::link::Link;
use self::walk::Walk;
use crate::base::clock::Moment;
use crate::base::sync::{AtomicPtr, AtomicU32, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::notes::names::Name;
use crate::tree::roots;
use crate::tree::table::{RegionId, RegionKind, Verdict};

/// Extra data stored in the node's own allocation.
pub(crate) trait Payload: Send + Sync {
    /// For a look at its type, where it has one that can be asked for.
    fn as_any(&self) -> Option<&dyn Any> {
        None
    }
}

impl Payload for () {}

/// What a checkpoint touches.
#[derive(Debug)]
pub(crate) struct Pulse {
    flags: AtomicU32,
    last: LastCheckpoint,
}

/// Where the last checkpoint was passed, if any was. Written relaxed by the polling thread, a hint
/// for everyone else.
#[derive(Debug, Default)]
pub(crate) struct LastCheckpoint(AtomicPtr<Location<'static>>);

impl LastCheckpoint {
    #[inline]
    pub(crate) fn get(&self) -> Option<&'static Location<'static>> {
        let last = self.0.load(Ordering::Relaxed);
        // SAFETY: `set` alone writes it, from a `&'static Location`.
        unsafe { last.as_ref() }
    }

    #[inline]
    pub(crate) fn set(&self, location: &'static Location<'static>) {
        self.0
            .store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
    }
}

impl Pulse {
    /// The flags, for a fast look: what is seen may be a moment old.
    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// The flags, together with all that happened before they were set.
    #[inline]
    pub(crate) fn flags_acquire(&self) -> u32 {
        // Acquire: pairs with the Release in `Node::set`.
        self.flags.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn passed(&self, location: &'static Location<'static>) {
        self.last.set(location);
    }
}

pub(crate) struct Node<P: ?Sized = dyn Payload> {
    pub(crate) pulse: Pulse,
    /// The node's index in its parent, where it has one.
    key: AtomicUsize,
    location: &'static Location<'static>,
    born: Moment,
    link: Mutex<Option<Link>>,
    inner: Mutex<Inner>,
    payload: P,
}

/// How a task stands to its group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Duties {
    /// Not reached by the group's cancellation.
    pub(crate) shielded: bool,
    /// Gone only when the others are.
    pub(crate) background: bool,
}

impl<P> Node<P> {
    #[inline]
    fn new(
        name: Name,
        location: &'static Location<'static>,
        flags: u32,
        link: Option<Link>,
        payload: P,
    ) -> Node<P> {
        Node {
            pulse: Pulse {
                flags: AtomicU32::new(flags),
                last: LastCheckpoint::default(),
            },
            key: AtomicUsize::new(0),
            location,
            born: Moment::now(),
            link: Mutex::new(link),
            inner: Mutex::new(Inner {
                name,
                ..Inner::default()
            }),
            payload,
        }
    }

    /// The node of a new task of `group`, which is not below it yet.
    #[inline]
    pub(crate) fn task(
        group: &Arc<Node>,
        duties: Duties,
        name: Name,
        location: &'static Location<'static>,
        payload: P,
    ) -> Arc<Node<P>> {
        let Duties {
            shielded,
            background,
        } = duties;
        let parent = group.clone();
        let link = Some(Link { parent, shielded });
        let flags = flag::TASK | if background { flag::BACKGROUND } else { 0 };
        // Written where it stays: it is large, and `Arc::new` would move it there.
        let mut node = Arc::new_uninit();
        if let Some(place) = Arc::get_mut(&mut node) {
            place.write(Node::new(name, location, flags, link, payload));
        }
        // SAFETY: it was written, since nobody else has it.
        unsafe { node.assume_init() }
    }

    /// What stands beside the node.
    pub(crate) fn beside(&self) -> &P {
        &self.payload
    }

    /// The address of what stands beside the node.
    ///
    /// # Safety
    ///
    /// That of the node is valid.
    pub(crate) unsafe fn beside_at(node: *const Self) -> *const P {
        // SAFETY: the caller sees to it.
        unsafe { &raw const (*node).payload }
    }
}

impl Node {
    /// A node without a parent.
    pub(crate) fn root(name: Cow<'static, str>, location: &'static Location<'static>) -> Arc<Node> {
        Arc::new(Node::new(name.into(), location, 0, None, ()))
    }

    /// Puts the node of a new task below its group. False when the group takes no more tasks, for
    /// it is closed or cancelled: then the node is for the task's handle alone.
    pub(crate) fn enter_group(self: &Arc<Self>, group: &Arc<Node>, duties: Duties) -> bool {
        let mut above = group.lock();
        let inherited = group.flags();
        if !group.add_pending_locked(&mut above, duties.background) {
            drop(above);
            drop(self.link.lock().take());
            return false;
        }
        let key = above.rest().children.insert(Child {
            node: self.clone(),
            shielded: duties.shielded,
        });
        drop(above);
        self.key.store(key, Ordering::Relaxed);
        // Read under the lock; a later walk finds the node (invariant 3).
        if inherited & flag::STOPPING != 0 {
            self.walk(&Walk::Stop(inherited & flag::SHUTDOWN));
        }
        true
    }

    /// What stands beside the node, if it is of this type.
    pub(crate) fn payload<P: Any>(&self) -> Option<&P> {
        self.payload.as_any()?.downcast_ref()
    }

    pub(crate) fn child(
        parent: Option<(&Arc<Node>, bool)>,
        name: Cow<'static, str>,
        location: &'static Location<'static>,
    ) -> Arc<Node> {
        let node = Node::root(name, location);
        if let Some((parent, shielded)) = parent {
            node.attach(parent, shielded);
        }
        node
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// The flags, for a fast look: what is seen may be a moment old.
    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        self.pulse.flags()
    }

    /// The flags, together with all that happened before they were set.
    #[inline]
    pub(crate) fn flags_acquire(&self) -> u32 {
        self.pulse.flags_acquire()
    }

    pub(crate) fn set(&self, bits: u32) -> u32 {
        // Release: pairs with `flags_acquire`. AcqRel so that whoever sets
        // second also sees what the first one did.
        self.pulse.flags.fetch_or(bits, Ordering::AcqRel)
    }

    /// Takes the hint that the deadline was moved.
    #[inline]
    pub(crate) fn take_retimed(&self) -> bool {
        self.flags() & flag::RETIMED != 0
            && self.pulse.flags.fetch_and(!flag::RETIMED, Ordering::AcqRel) & flag::RETIMED != 0
    }

    pub(crate) fn born(&self) -> Moment {
        self.born
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn name(&self) -> Cow<'static, str> {
        self.name_in(&self.lock())
    }

    /// The name, for a caller that has locked the node.
    pub(crate) fn name_in(&self, inner: &Inner) -> Cow<'static, str> {
        inner.name.text(self.location)
    }

    pub(crate) fn set_name(&self, name: Cow<'static, str>) {
        self.lock().name = name.into();
    }

    pub(crate) fn set_grace(&self, grace: Duration) {
        self.lock().rest().grace = Some(grace);
        self.set(flag::TIMED);
    }

    pub(crate) fn set_drain(&self, drain: Duration) {
        let mut inner = self.lock();
        inner.rest().drain = Some(drain);
        self.set(flag::TIMED);
        if self.flags() & flag::STOPPING != 0 {
            self.set(flag::RETIMED);
        }
    }

    /// Opens a region of code that this node runs.
    pub(crate) fn open_region(
        &self,
        within: RegionId,
        kind: RegionKind,
        location: Option<&'static Location<'static>>,
        shielded: bool,
    ) -> RegionId {
        let mut inner = self.lock();
        self.mark_locked(flag::REGIONS);
        inner.regions().open(within, kind, location, shielded)
    }

    /// A pass begins: a poll of what is being left.
    pub(crate) fn begin_pass(&self) {
        if self.flags_acquire() & flag::REGIONS != 0 {
            self.lock().regions().begin_pass();
        }
    }

    /// What the pass has shown.
    pub(crate) fn end_pass(&self, aborting: bool) -> Verdict {
        if self.flags_acquire() & flag::REGIONS == 0 {
            return Verdict::Clear;
        }
        self.lock().regions().end_pass(aborting)
    }

    /// Where the last checkpoint was passed, if any was.
    pub(crate) fn last_checkpoint(&self) -> Option<&'static Location<'static>> {
        self.pulse.last.get()
    }

    /// Where the last checkpoint was passed, or else where it was made.
    pub(crate) fn last_location(&self) -> &'static Location<'static> {
        self.last_checkpoint().unwrap_or(self.location)
    }
}

impl<P: ?Sized> Drop for Node<P> {
    /// A chain of nodes that goes at once would recurse through its parents.
    fn drop(&mut self) {
        let rest = self.inner.get_mut().rest.as_mut();
        if let Some(key) = rest.and_then(|rest| rest.root.take()) {
            roots::remove(ptr::from_ref(self).addr(), key);
        }
        let mut next = self.link.get_mut().take().map(|link| link.parent);
        while let Some(mut node) = next {
            next = Arc::get_mut(&mut node)
                .and_then(|node| node.link.get_mut().take())
                .map(|link| link.parent);
        }
    }
}

impl<P: ?Sized> fmt::Debug for Node<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("flags", &self.pulse.flags)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
