//! The cancel tree: one node for each scope and each task.
//!
//! Invariants
//! 1. Flags are only ever set, never cleared (but for `RETIMED`, a mere hint, and
//!    `PLACED` and `STALLED`, which change under the group's lock).
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
mod leaves;
pub(crate) mod pending;
mod permits;
mod timing;
#[cfg(feature = "tokio-util")]
mod token;
mod walk;

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use self::permits::PermitStalls;
use self::timing::Limit;
use self::walk::Walk;
use crate::base::clock::Moment;
use crate::base::sync::{AtomicPtr, AtomicU32, AtomicUsize, Mutex, MutexGuard, Ordering};
use crate::base::wakers::{WakerId, Wakers};
use crate::notes::names::Name;
use crate::tree::reason::Origin;
use crate::tree::roots;
use crate::tree::table::{HeldRegion, RegionId, RegionKind, Table, Verdict};

/// Bits of `Node::flags`.
pub(crate) mod flag {
    /// Is to be left in order.
    pub(crate) const CANCELLED: u32 = 1;
    /// The grace period is over: what is still there is dropped where it is.
    pub(crate) const ABORTED: u32 = 1 << 1;
    /// Was asked to finish.
    pub(crate) const STOPPING: u32 = 1 << 2;
    /// The deadline was moved, or the time to drain has begun: the boundary has to look at
    /// its timer.
    pub(crate) const RETIMED: u32 = 1 << 3;
    /// The boundary has returned or was dropped: no more children.
    pub(crate) const CLOSED: u32 = 1 << 4;
    /// Something was cut because it exceeded the grace period.
    pub(crate) const OVERRAN: u32 = 1 << 5;
    /// The node of a task, not of a scope or group inside one.
    pub(crate) const TASK: u32 = 1 << 6;
    /// The code of the task, or of the group's body, has seen a failure, by a handle,
    /// that its own group lists.
    pub(crate) const SAW_FAILURE: u32 = 1 << 7;
    /// The task has been polled.
    pub(crate) const STARTED: u32 = 1 << 8;
    /// The task waits, or has waited, for a permit of its group's limit.
    pub(crate) const QUEUED: u32 = 1 << 9;
    /// The task has a permit of its group's limit.
    pub(crate) const ADMITTED: u32 = 1 << 10;
    /// Since its last poll, the task waits for one that is queued behind it.
    pub(crate) const STALLED: u32 = 1 << 11;
    /// A checkpoint of blocking code has returned `Cancelled`.
    pub(crate) const REFUSED: u32 = 1 << 12;
    /// The node of blocking work, which is no scope of its own to its users.
    pub(crate) const BLOCKING: u32 = 1 << 13;
    /// A watchdog has reported that it is late to leave.
    pub(crate) const LATE: u32 = 1 << 14;
    /// Something behind the lock has to be looked at when the boundary ends: a
    /// waker is noted, or something is or was pending. Set under the lock.
    pub(crate) const USED: u32 = 1 << 15;
    /// The node of a task that its group's cancellation does not reach.
    pub(crate) const SHIELDED: u32 = 1 << 16;
    /// Has, or had, regions: it may have to be left in order. Set under the lock.
    pub(crate) const REGIONS: u32 = 1 << 17;
    /// Failures were attached to it. Set under the lock.
    pub(crate) const FAILURES: u32 = 1 << 18;
    /// Has, or had, orphans below it. Set under the lock.
    pub(crate) const ADOPTED: u32 = 1 << 19;
    /// The node of a task that goes only when the others are gone: a service.
    pub(crate) const BACKGROUND: u32 = 1 << 20;
    /// The code of the task, or of the group's body, has seen a failure, by a handle,
    /// that another group lists.
    pub(crate) const SAW_FOREIGN_FAILURE: u32 = 1 << 21;
    /// Was aborted by a second signal, before the end of its grace period. Set together
    /// with `ABORTED`.
    pub(crate) const CUT: u32 = 1 << 22;
    /// The request to finish came from a signal. Set together with `STOPPING`.
    pub(crate) const SHUTDOWN: u32 = 1 << 24;
    /// The body has ended, and what is pending below is waited for.
    pub(crate) const BODY_ENDED: u32 = 1 << 26;
    /// Has, or had, a deadline, a grace period or a time to drain: its boundary needs a timer.
    pub(crate) const TIMED: u32 = 1 << 25;
}

/// The place of a node in its parent.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) parent: Arc<Node>,
    /// Opened inside a shield or a cleanup: cancellations from above stop here.
    pub(crate) shielded: bool,
}

/// A node, seen from its parent.
#[derive(Debug)]
struct Child {
    node: Arc<Node>,
    /// As in the link.
    shielded: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    name: Name,
    pub(crate) origin: Option<Arc<Origin>>,
    pub(crate) deadline: Option<Instant>,
    /// What the deadline was made from, to be told.
    limit: Limit,
    /// The waker of the task that polls the boundary.
    waker: Option<Waker>,
    pending: usize,
    /// How many of those go only when the others are gone.
    background: usize,
    /// One of them stands for the deferred cleanups.
    awaits_deferred: bool,
    /// Services came since they were taken last.
    new_services: bool,
    orphaned: bool,
    /// Kept apart, and made when it is needed: a million tasks that do without
    /// it are to be small.
    rest: Option<Box<Rest>>,
}

/// For how many children an empty node keeps room.
const SPARE: usize = 1024;

/// What a task that has nothing below it and is not left does not need.
#[derive(Debug, Default)]
struct Rest {
    /// Its key among the roots, if it was ever one.
    root: Option<usize>,
    /// The node's own grace period; `None` means its parent's.
    grace: Option<Duration>,
    /// How long it may go on after it was asked to stop; `None` means as long as it likes.
    drain: Option<Duration>,
    /// When it was asked to stop, for the topmost node that the request reached.
    stopped_at: Option<Moment>,
    /// Since when its boundary watches the grace period.
    unwinding_since: Option<Instant>,
    /// Wakers of parked gates, where they are not the task's.
    parked: Wakers,
    /// The futures that wait for a flag of this node.
    watchers: Slab<Watcher>,
    /// Cancelled by one of them.
    #[cfg(feature = "tokio-util")]
    token: Option<tokio_util::sync::CancellationToken>,
    children: Slab<Child>,
    regions: Table,
    stalls: PermitStalls,
    failures: Vec<String>,
}

/// The waker of a future that waits for a flag. It is called when one of these flags is
/// set, `CLOSED` included.
#[derive(Debug)]
struct Watcher {
    bits: u32,
    waker: Waker,
}

impl Inner {
    /// The rest, to be written.
    fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    fn grace(&self) -> Option<Duration> {
        self.rest.as_ref()?.grace
    }

    /// When this node was asked to stop, unless the request came with one to a node above.
    pub(crate) fn stopped_at(&self) -> Option<Moment> {
        self.rest.as_ref()?.stopped_at
    }

    fn children(&self) -> impl Iterator<Item = &Child> {
        let rest = self.rest.iter();
        rest.flat_map(|rest| rest.children.iter().map(|(_, child)| child))
    }

    /// The children from a key on, at most so many places of them, and the key of the
    /// next one: for who must not hold the lock for all.
    fn some_children(
        &self,
        from: usize,
        places: usize,
    ) -> (impl Iterator<Item = &Child>, Option<usize>) {
        let children = self.rest.as_ref().map(|rest| &rest.children);
        let end = children.map_or(0, Slab::capacity);
        let next = from + places;
        let some = children.into_iter();
        let some = some.flat_map(move |all| (from..next.min(end)).filter_map(|key| all.get(key)));
        (some, (next < end).then_some(next))
    }

    fn remove_child(&mut self, key: usize) -> Option<Child> {
        let children = &mut self.rest.as_mut()?.children;
        let removed = children.try_remove(key);
        // A group may live for months, and need room for many once.
        if children.is_empty() && children.capacity() > SPARE {
            *children = Slab::new();
        }
        removed
    }

    fn take_failures(&mut self) -> Vec<String> {
        let rest = self.rest.as_mut();
        rest.map_or_else(Vec::new, |rest| std::mem::take(&mut rest.failures))
    }

    /// The regions, to be changed.
    pub(crate) fn regions(&mut self) -> &mut Table {
        &mut self.rest().regions
    }

    #[cfg(feature = "shutdown")]
    fn is_stop_watched(&self) -> bool {
        let rest = self.rest.as_ref();
        rest.is_some_and(|rest| {
            let mut watchers = rest.watchers.iter();
            watchers.any(|(_, watcher)| watcher.bits & flag::STOPPING != 0)
        })
    }

    /// Whether something is below the node.
    fn has_children(&self) -> bool {
        let rest = self.rest.as_ref();
        rest.is_some_and(|rest| !rest.children.is_empty())
    }

    fn take_noted(&mut self) -> NotedWakers {
        let has_children = self.has_children();
        let rest = self.rest.as_mut();
        let (waiting, others) = rest.map(|rest| rest.take_waiting()).unwrap_or_default();
        NotedWakers {
            has_children,
            waker: self.waker.take(),
            waiting,
            others,
        }
    }

    /// How many regions directly inside this one count.
    pub(crate) fn live(&self, region: RegionId) -> u32 {
        let rest = self.rest.as_ref();
        rest.map_or(0, |rest| rest.regions.live(region))
    }

    /// The innermost open regions, each with those around it; the root alone if there are
    /// none.
    pub(crate) fn innermost(&self) -> Vec<(RegionKind, Vec<RegionId>)> {
        let regions = self.rest.as_ref().map(|rest| rest.regions.innermost());
        let regions = regions.filter(|regions| !regions.is_empty());
        regions.unwrap_or_else(|| vec![(RegionKind::Branch, vec![RegionId::ROOT])])
    }

    /// The regions that hold, the innermost first.
    pub(crate) fn held(&self) -> Vec<HeldRegion> {
        let rest = self.rest.as_ref();
        rest.map_or_else(Vec::new, |rest| rest.regions.held())
    }
}

impl Rest {
    /// What the end of the boundary wakes, and the wakers that it drops.
    fn take_waiting(&mut self) -> (Wakers, Vec<Waker>) {
        let mut waiting = std::mem::take(&mut self.parked);
        let mut others = Vec::new();
        for (_, Watcher { bits, waker }) in std::mem::take(&mut self.watchers) {
            match bits & flag::CLOSED != 0 {
                true => waiting.insert(waker),
                false => others.push(waker),
            }
        }
        (waiting, others)
    }
}

/// The wakers that were noted for a boundary that has ended.
#[derive(Debug, Default)]
#[must_use = "futures that wait must be woken"]
pub(crate) struct NotedWakers {
    /// The node had children when it ended (invariant 8).
    has_children: bool,
    waker: Option<Waker>,
    waiting: Wakers,
    others: Vec<Waker>,
}

impl NotedWakers {
    /// Drops the boundary's waker and wakes the futures that wait: a parked gate may go on
    /// outside, and a watcher may go on with the scope around this one.
    pub(crate) fn release(self) {
        drop((self.waker, self.others));
        self.waiting.wake_all();
    }
}

/// What stands beside a node in the same allocation.
pub(crate) type Payload = dyn Any + Send + Sync;

/// What a checkpoint touches.
#[derive(Debug)]
pub(crate) struct Pulse {
    flags: AtomicU32,
    /// Where the last checkpoint was passed. Written relaxed by the polling
    /// thread, a hint for everyone else.
    last: AtomicPtr<Location<'static>>,
}

impl Pulse {
    /// The flags, for a fast look: what is seen may be a moment old.
    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn passed(&self, location: &'static Location<'static>) {
        self.last
            .store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
    }
}

pub(crate) struct Node<P: ?Sized = Payload> {
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
                last: AtomicPtr::new(ptr::null_mut()),
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
}

impl Node {
    /// A node without a parent.
    pub(crate) fn root(name: Cow<'static, str>, location: &'static Location<'static>) -> Arc<Node> {
        Arc::new(Node::new(name.into(), location, 0, None, ()))
    }

    /// The node of a new task of `group`. The group takes no more tasks when it is
    /// closed or cancelled: then the node is for the task's handle alone.
    pub(crate) fn task<P: Any + Send + Sync>(
        group: &Arc<Node>,
        Duties {
            shielded,
            background,
        }: Duties,
        name: Name,
        location: &'static Location<'static>,
        payload: P,
    ) -> Result<Arc<Node>, Arc<Node>> {
        let parent = group.clone();
        let link = Some(Link { parent, shielded });
        let flags = flag::TASK | if background { flag::BACKGROUND } else { 0 };
        let node: Arc<Node> = Arc::new(Node::new(name, location, flags, link, payload));
        let mut above = group.lock();
        let inherited = group.flags();
        if !group.add_pending_locked(&mut above, background) {
            drop(above);
            drop(node.link.lock().take());
            return Err(node);
        }
        let key = above.rest().children.insert(Child {
            node: node.clone(),
            shielded,
        });
        drop(above);
        node.key.store(key, Ordering::Relaxed);
        // Read under the lock; a later walk finds the node (invariant 3).
        if inherited & flag::STOPPING != 0 {
            node.walk(&Walk::Stop(inherited & flag::SHUTDOWN));
        }
        Ok(node)
    }

    /// What stands beside the node.
    pub(crate) fn payload<P: Any>(&self) -> Option<&P> {
        let payload: &dyn Any = &self.payload;
        payload.downcast_ref()
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

    /// Puts a node that has no parent below `parent` (invariant 3).
    pub(crate) fn attach(self: &Arc<Self>, parent: &Arc<Node>, shielded: bool) {
        let mut link = self.link.lock();
        debug_assert!(link.is_none());
        let mut above = parent.inner.lock();
        // The end of the parent has to look whether the child is still there.
        parent.use_locked();
        let key = above.rest().children.insert(Child {
            node: self.clone(),
            shielded,
        });
        let inherited = parent.flags();
        let origin = above.origin.clone();
        drop(above);
        self.key.store(key, Ordering::Relaxed);
        *link = Some(Link {
            parent: parent.clone(),
            shielded,
        });
        drop(link);
        // The flags were read under the parent's lock; a walk that starts after
        // it finds this node among the children.
        if inherited & flag::STOPPING != 0 {
            self.walk(&Walk::Stop(inherited & flag::SHUTDOWN));
        }
        let Some(origin) = origin else { return };
        if inherited & flag::CUT != 0 {
            self.walk(&Walk::Cut(origin));
        } else if inherited & flag::ABORTED != 0 {
            self.walk(&Walk::Abort(origin));
        } else if inherited & flag::CANCELLED != 0 && !shielded {
            self.walk(&Walk::Cancel(origin));
        }
    }

    /// Takes the node out of its parent; the first call alone does something. An ended
    /// parent leaves the tree with the last of its children (invariant 8).
    pub(crate) fn detach(&self) {
        let mut parent = self.unlink();
        while let Some(ended) = parent.filter(|parent| parent.is_spent()) {
            parent = ended.unlink();
        }
    }

    /// The boundary has ended: the node leaves the tree, unless it has children.
    pub(crate) fn detach_ended(&self, noted: &NotedWakers) {
        if !noted.has_children {
            self.detach();
        }
    }

    /// Takes the node out of its parent, which is returned.
    fn unlink(&self) -> Option<Arc<Node>> {
        let mut slot = self.link.lock();
        let link = slot.take()?;
        let key = self.key.load(Ordering::Relaxed);
        let removed = link.parent.lock().remove_child(key);
        drop(slot);
        drop(removed);
        Some(link.parent)
    }

    /// Has ended, and nothing needs it as the way up any more.
    fn is_spent(&self) -> bool {
        if self.flags() & flag::CLOSED == 0 {
            return false;
        }
        let inner = self.lock();
        !inner.orphaned && !inner.has_children()
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
        // Acquire: pairs with the Release in `set`.
        self.pulse.flags.load(Ordering::Acquire)
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

    /// Enters a node that is polled outside of every scope among the roots.
    pub(crate) fn stand_alone(self: &Arc<Self>) {
        let mut inner = self.lock();
        let root = &mut inner.rest().root;
        if root.is_none() {
            *root = Some(roots::add(self));
        }
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

    /// Runs `f` on the parent, if there is one.
    pub(crate) fn with_link<R>(&self, f: impl FnOnce(&Link) -> R) -> Option<R> {
        self.link.lock().as_ref().map(f)
    }

    /// The parent, and whether this node is shielded from its cancellation.
    pub(crate) fn parent(&self) -> Option<(Arc<Node>, bool)> {
        self.with_link(|link| (link.parent.clone(), link.shielded))
    }

    /// The scope that users know: for blocking work, the one that awaits it.
    pub(crate) fn scope(self: &Arc<Self>) -> Arc<Node> {
        let parent = self.parent().filter(|_| self.flags() & flag::BLOCKING != 0);
        parent.map_or_else(|| self.clone(), |(parent, _)| parent)
    }

    /// The parent whose cancellation reaches this node.
    fn unshielded_parent(&self) -> Option<Arc<Node>> {
        self.parent()
            .and_then(|(parent, shielded)| (!shielded).then_some(parent))
    }

    pub(crate) fn wake(&self) {
        let waker = self.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Keeps a clone of the waker that the boundary is polled with. Returns that
    /// clone's identity, and the deadline.
    pub(crate) fn register(&self, waker: &Waker) -> (WakerId, Option<Instant>) {
        let waker = waker.clone();
        let known = WakerId::of(&waker);
        let mut inner = self.lock();
        self.use_locked();
        let old = inner.waker.replace(waker);
        let deadline = inner.deadline;
        drop(inner);
        drop(old);
        (known, deadline)
    }

    /// Notes, under the lock, that the end of the boundary has to look behind it.
    fn use_locked(&self) {
        self.mark_locked(flag::USED);
    }

    /// Sets a flag, under the lock, that is mostly set already.
    fn mark_locked(&self, bit: u32) {
        if self.flags() & bit == 0 {
            self.set(bit);
        }
    }

    /// Keeps the waker of a future that is parked in this node, and wakes it when
    /// the boundary has ended: the future may lie in a collection that is polled
    /// on outside.
    pub(crate) fn park(self: &Arc<Self>, waker: &Waker) {
        let mut inner = self.lock();
        self.use_locked();
        if inner.rest().parked.contains(waker) {
            return;
        }
        drop(inner);
        // Code of the waker's owner: not under the lock.
        let waker = waker.clone();
        self.lock().rest().parked.insert(waker);
    }

    /// Keeps the waker of a future that waits for some of these flags. Returns false if
    /// the node is closed, and nothing will set them any more.
    pub(crate) fn watch(&self, key: &mut Option<usize>, bits: u32, waker: &Waker) -> bool {
        if self.is_watched_by(*key, waker) {
            return true;
        }
        // Code of the waker's owner: not under the lock.
        let waker = waker.clone();
        let mut inner = self.lock();
        // Before the look at `CLOSED` (invariant 7).
        self.use_locked();
        if self.flags() & flag::CLOSED != 0 {
            return false;
        }
        let watchers = &mut inner.rest().watchers;
        let old = match key.and_then(|key| watchers.get_mut(key)) {
            Some(watcher) => Some(std::mem::replace(&mut watcher.waker, waker)),
            None => {
                *key = Some(watchers.insert(Watcher { bits, waker }));
                None
            }
        };
        drop(inner);
        drop(old);
        true
    }

    fn is_watched_by(&self, key: Option<usize>, waker: &Waker) -> bool {
        let Some(key) = key else { return false };
        let inner = self.lock();
        let watchers = inner.rest.as_ref().map(|rest| &rest.watchers);
        let kept = watchers.and_then(|watchers| watchers.get(key));
        kept.is_some_and(|kept| kept.waker.will_wake(waker))
    }

    /// Whether a future waits for the request to stop, here or in any scope below.
    #[cfg(feature = "shutdown")]
    pub(crate) fn is_stop_awaited(self: &Arc<Self>) -> bool {
        let mut unseen = vec![self.clone()];
        while let Some(node) = unseen.pop() {
            if node.lock().is_stop_watched() {
                return true;
            }
            unseen.extend(node.children());
        }
        false
    }

    pub(crate) fn unwatch(&self, key: &mut Option<usize>) {
        let Some(key) = key.take() else { return };
        let old = self.lock().rest().watchers.try_remove(key);
        drop(old);
    }

    /// How many wait for this node; for tests of leaks.
    #[cfg(all(test, taskscope_loom))]
    pub(crate) fn watcher_count(&self) -> usize {
        self.lock().rest().watchers.len()
    }

    /// How many nodes are below this one; for tests of leaks.
    #[cfg(all(test, taskscope_loom))]
    pub(crate) fn child_count(&self) -> usize {
        self.lock().rest().children.len()
    }

    /// The children at this moment, or nearly: the lock is held for a few of them
    /// at a time, so as not to hold up who spawns and who ends.
    pub(crate) fn children(&self) -> Vec<Arc<Node>> {
        const AT_ONCE: usize = 256;
        let mut found = Vec::new();
        let mut from = Some(0);
        while let Some(key) = from {
            let inner = self.lock();
            let (some, next) = inner.some_children(key, AT_ONCE);
            found.extend(some.map(|child| child.node.clone()));
            from = next;
        }
        found
    }

    pub(crate) fn is_childless(&self) -> bool {
        self.lock().children().next().is_none()
    }

    /// The names from the root down to this node.
    pub(crate) fn path(self: &Arc<Self>) -> String {
        let mut names = Vec::new();
        let mut at = Some(self.clone());
        while let Some(node) = at {
            names.push(node.name());
            at = node.parent().map(|(parent, _)| parent);
        }
        names.reverse();
        names.join(" > ")
    }

    /// Where the last checkpoint was passed, if any was.
    pub(crate) fn last_checkpoint(&self) -> Option<&'static Location<'static>> {
        let last = self.pulse.last.load(Ordering::Relaxed);
        // SAFETY: `passed` alone writes it, from a `&'static Location`.
        unsafe { last.as_ref() }
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
