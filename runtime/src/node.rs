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
//!    walk sets the flag first and takes the wakers later, under the lock. So
//!    either the walk finds the waker or the poll sees the flag.
//! 5. Wakers are woken, and nodes and wakers dropped, outside of every lock.
//! 6. `pending` counts what must be gone before the boundary may return: child
//!    tasks, and what was adopted from a boundary that was dropped. A node whose
//!    boundary was dropped while something was pending is *orphaned*: it stays
//!    in the tree, counted as pending in its parent, until that is gone.
//!
//! Lock order: a node's `link`, then a parent's `inner`. Two `inner`s are never
//! held at once. The locks of the roots come last.

use std::borrow::Cow;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use slab::Slab;
use tokio::time::Instant;

use crate::clock::Moment;
use crate::observe::note_cancelled;
use crate::reason::{Cancelled, Origin, Reason};
use crate::report::{self, ReportKind};
use crate::roots;
use crate::sync::{AtomicPtr, AtomicU32, Mutex, MutexGuard, Ordering};
use crate::table::Table;

/// Bits of `Node::flags`.
pub(crate) mod flag {
    /// Is to be left in order.
    pub(crate) const CANCELLED: u32 = 1;
    /// The grace period is over: what is still there is dropped where it is.
    pub(crate) const ABORTED: u32 = 1 << 1;
    /// Was asked to finish.
    pub(crate) const STOPPING: u32 = 1 << 2;
    /// The deadline was moved: the owner has to look at its timer.
    pub(crate) const RETIMED: u32 = 1 << 3;
    /// The boundary has returned or was dropped: no more children.
    pub(crate) const CLOSED: u32 = 1 << 4;
    /// Something was cut because it overran the grace period.
    pub(crate) const OVERRAN: u32 = 1 << 5;
    /// The node of a task, not of a scope or group inside one.
    pub(crate) const TASK: u32 = 1 << 6;
    /// The code that runs in the node was told of a task's failure.
    pub(crate) const TOLD: u32 = 1 << 7;
    /// The task has been polled.
    pub(crate) const STARTED: u32 = 1 << 8;
    /// The task waits, or has waited, for a place under its group's limit.
    pub(crate) const QUEUED: u32 = 1 << 9;
    /// The task holds a place under its group's limit.
    pub(crate) const PLACED: u32 = 1 << 10;
    /// Since its last poll, the task waits for one that is queued behind it.
    pub(crate) const STALLED: u32 = 1 << 11;
    /// A checkpoint of blocking code has returned `Cancelled`.
    pub(crate) const REFUSED: u32 = 1 << 12;
    /// The node of blocking work, which is no scope of its own to its users.
    pub(crate) const BLOCKING: u32 = 1 << 13;
    /// A watchdog has reported that it is late to leave.
    pub(crate) const LATE: u32 = 1 << 14;
}

/// The place of a node in its parent.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) parent: Arc<Node>,
    key: usize,
    /// Opened inside a shield or a cleanup: cancellations from above stop here.
    pub(crate) shielded: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Inner {
    pub(crate) name: Cow<'static, str>,
    pub(crate) origin: Option<Arc<Origin>>,
    pub(crate) deadline: Option<Instant>,
    /// This node's own grace period; `None` means its parent's.
    grace: Option<Duration>,
    /// Since when its boundary watches the grace period.
    leaving_since: Option<Instant>,
    /// The waker of the task that polls the boundary.
    waker: Option<Waker>,
    /// Wakers of parked gates, where they are not the task's.
    parked: Vec<Waker>,
    /// Wakers of those who wait for the cancellation.
    watchers: Slab<Waker>,
    children: Slab<Arc<Node>>,
    pub(crate) regions: Table,
    pending: usize,
    /// How many of those go only when the others are gone.
    background: usize,
    /// One of them is no task.
    held: bool,
    orphaned: bool,
    places: Places,
    failures: Vec<String>,
    /// Its key among the roots, if it was ever one.
    root: Option<usize>,
}

/// The places under a group's limit.
#[derive(Debug, Default)]
struct Places {
    limit: usize,
    /// How many of them are held by tasks that are `STALLED`.
    stalled: usize,
    /// That all are is reported once.
    reported: bool,
}

#[derive(Debug)]
pub(crate) struct Node {
    flags: AtomicU32,
    /// Where the last checkpoint was passed. Written relaxed by the polling
    /// thread, a hint for everyone else.
    last: AtomicPtr<Location<'static>>,
    location: &'static Location<'static>,
    born: Moment,
    link: Mutex<Option<Link>>,
    inner: Mutex<Inner>,
}

/// What a walk does to each node that it reaches.
#[derive(Clone)]
enum Walk {
    Stop,
    Cancel(Arc<Origin>),
    Abort(Arc<Origin>),
}

impl Node {
    /// A node without a parent.
    pub(crate) fn root(name: Cow<'static, str>, location: &'static Location<'static>) -> Arc<Node> {
        Arc::new(Node {
            flags: AtomicU32::new(0),
            last: AtomicPtr::new(ptr::null_mut()),
            location,
            born: Moment::now(),
            link: Mutex::new(None),
            inner: Mutex::new(Inner {
                name,
                ..Inner::default()
            }),
        })
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
        let key = above.children.insert(self.clone());
        let inherited = parent.flags.load(Ordering::Relaxed);
        let origin = above.origin.clone();
        drop(above);
        *link = Some(Link {
            parent: parent.clone(),
            key,
            shielded,
        });
        drop(link);
        // The flags were read under the parent's lock; a walk that starts after
        // it finds this node among the children.
        if inherited & flag::STOPPING != 0 && !shielded {
            self.stop();
        }
        let Some(origin) = origin else { return };
        if inherited & flag::ABORTED != 0 {
            self.walk(&Walk::Abort(origin));
        } else if inherited & flag::CANCELLED != 0 && !shielded {
            self.walk(&Walk::Cancel(origin));
        }
    }

    /// Takes the node out of its parent; the first call alone does something.
    pub(crate) fn detach(&self) {
        let mut slot = self.link.lock();
        let Some(link) = slot.take() else { return };
        let removed = link.parent.inner.lock().children.try_remove(link.key);
        drop(slot);
        drop(removed);
        drop(link);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// The flags, for a fast look: what is seen may be a moment old.
    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    /// The flags, together with all that happened before they were set.
    pub(crate) fn flags_acquire(&self) -> u32 {
        // Acquire: pairs with the Release in `set`.
        self.flags.load(Ordering::Acquire)
    }

    pub(crate) fn set(&self, bits: u32) -> u32 {
        // Release: pairs with `flags_acquire`. AcqRel so that whoever sets
        // second also sees what the first one did.
        self.flags.fetch_or(bits, Ordering::AcqRel)
    }

    /// Takes the hint that the deadline was moved.
    pub(crate) fn take_retimed(&self) -> bool {
        self.flags() & flag::RETIMED != 0
            && self.flags.fetch_and(!flag::RETIMED, Ordering::AcqRel) & flag::RETIMED != 0
    }

    #[inline]
    pub(crate) fn passed(&self, location: &'static Location<'static>) {
        self.last
            .store(ptr::from_ref(location).cast_mut(), Ordering::Relaxed);
    }

    pub(crate) fn born(&self) -> Moment {
        self.born
    }

    /// Enters a node that is polled outside of every scope among the roots.
    pub(crate) fn stand_alone(self: &Arc<Self>) {
        let mut inner = self.lock();
        if inner.root.is_none() {
            inner.root = Some(roots::add(self));
        }
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    pub(crate) fn name(&self) -> Cow<'static, str> {
        self.lock().name.clone()
    }

    pub(crate) fn set_name(&self, name: Cow<'static, str>) {
        self.lock().name = name;
    }

    pub(crate) fn set_grace(&self, grace: Duration) {
        self.lock().grace = Some(grace);
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

    /// The grace period that this node's own boundary has to watch: its own,
    /// or the inherited one where the cancellation began here. Elsewhere the
    /// boundary above aborts this node together with its own.
    pub(crate) fn grace_to_watch(&self) -> Option<Duration> {
        let own = self.lock().grace;
        if own.is_some() {
            return own;
        }
        if self
            .unshielded_parent()
            .is_some_and(|parent| parent.flags() & flag::CANCELLED != 0)
        {
            return None;
        }
        let mut at = self.parent();
        while let Some((node, _)) = at {
            let grace = node.lock().grace;
            if grace.is_some() {
                return grace;
            }
            at = node.parent();
        }
        None
    }

    /// The earliest deadline that will reach this node.
    pub(crate) fn effective_deadline(self: &Arc<Self>) -> Option<Instant> {
        let mut earliest = None;
        let mut at = Some(self.clone());
        while let Some(node) = at {
            let own = node.lock().deadline;
            earliest = match (earliest, own) {
                (Some(a), Some(b)) => Some(std::cmp::min::<Instant>(a, b)),
                (a, b) => a.or(b),
            };
            at = node.unshielded_parent();
        }
        earliest
    }

    /// Cancels because the deadline passed: the outermost scope that is due, so
    /// that of two equal deadlines the outer one is reported.
    pub(crate) fn expire(self: &Arc<Self>, now: Instant) {
        let mut due = self.clone();
        let mut at = self.unshielded_parent();
        while let Some(node) = at {
            if node.lock().deadline.is_some_and(|deadline| deadline <= now) {
                due = node.clone();
            }
            at = node.unshielded_parent();
        }
        due.cancel(Reason::Deadline);
    }

    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        let mut inner = self.lock();
        inner.deadline = deadline;
        let waker = inner.waker.clone();
        self.set(flag::RETIMED);
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn stop(self: &Arc<Self>) {
        self.walk(&Walk::Stop);
    }

    /// Cancels this node and all below it; false if it was cancelled before.
    pub(crate) fn cancel(self: &Arc<Self>, reason: Reason) -> bool {
        let scope = self.name();
        let reached = self.walk(&Walk::Cancel(Arc::new(Origin::new(reason, scope))));
        if reached {
            note_cancelled(self);
        }
        reached
    }

    /// Ends the grace period of this node and all below it, shielded or not.
    pub(crate) fn abort(self: &Arc<Self>) {
        self.walk(&Walk::Abort(self.origin_or_request()));
    }

    /// Visits the nodes below, iteratively: all flags first, then all wakes.
    fn walk(self: &Arc<Self>, walk: &Walk) -> bool {
        let mut stack = vec![self.clone()];
        let mut reached = Vec::new();
        while let Some(node) = stack.pop() {
            if node.visit(walk, &mut stack) {
                reached.push(node);
            }
        }
        for node in &reached {
            node.wake_all();
        }
        !reached.is_empty()
    }

    /// Sets the flag and notes the children (invariants 2 and 3).
    fn visit(&self, walk: &Walk, stack: &mut Vec<Arc<Node>>) -> bool {
        let mut inner = self.lock();
        let (bits, through_shields) = match walk {
            Walk::Stop => (flag::STOPPING, false),
            Walk::Cancel(_) => (flag::CANCELLED, false),
            Walk::Abort(_) => (flag::CANCELLED | flag::ABORTED, true),
        };
        if self.flags() & bits == bits {
            return false;
        }
        if let Walk::Cancel(origin) | Walk::Abort(origin) = walk {
            inner.origin.get_or_insert_with(|| origin.clone());
        }
        self.set(bits);
        let children = inner.children.iter().map(|(_, child)| child);
        let from = stack.len();
        stack.extend(children.cloned());
        drop(inner);
        // A child's link is locked only now: `attach` and `detach` lock the
        // link before the parent.
        if !through_shields {
            let mut at = from;
            while at < stack.len() {
                if stack[at].with_link(|link| link.shielded).unwrap_or(false) {
                    stack.swap_remove(at);
                } else {
                    at += 1;
                }
            }
        }
        true
    }

    /// Wakes all who have to look at the flags (invariants 4 and 5).
    fn wake_all(&self) {
        let inner = self.lock();
        let wakers: Vec<Waker> = inner
            .waker
            .iter()
            .chain(inner.regions.wakers())
            .chain(inner.watchers.iter().map(|(_, waker)| waker))
            .cloned()
            .collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn wake(&self) {
        let waker = self.lock().waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn register(&self, waker: &Waker) {
        let old = self.lock().waker.replace(waker.clone());
        drop(old);
    }

    /// Notes the waker of a parked gate. Bounded: a waker is noted once.
    pub(crate) fn park(&self, waker: &Waker) {
        let mut inner = self.lock();
        if !inner.parked.iter().any(|parked| parked.will_wake(waker)) {
            inner.parked.push(waker.clone());
        }
    }

    /// Notes a waker of someone who waits for a flag, or renews it.
    pub(crate) fn watch(&self, key: &mut Option<usize>, waker: &Waker) {
        let mut inner = self.lock();
        let old = match key.and_then(|key| inner.watchers.get_mut(key)) {
            Some(slot) if slot.will_wake(waker) => None,
            Some(slot) => Some(std::mem::replace(slot, waker.clone())),
            None => {
                *key = Some(inner.watchers.insert(waker.clone()));
                None
            }
        };
        drop(inner);
        drop(old);
    }

    pub(crate) fn unwatch(&self, key: &mut Option<usize>) {
        let Some(key) = key.take() else { return };
        let old = self.lock().watchers.try_remove(key);
        drop(old);
    }

    /// How many wait for this node; for tests of leaks.
    #[cfg(all(test, taskscope_loom))]
    pub(crate) fn watcher_count(&self) -> usize {
        self.lock().watchers.len()
    }

    /// How many nodes are below this one; for tests of leaks.
    #[cfg(all(test, taskscope_loom))]
    pub(crate) fn child_count(&self) -> usize {
        self.lock().children.len()
    }

    /// The children at this moment, or nearly: the lock is held for a few of them
    /// at a time, so as not to hold up who spawns and who ends.
    pub(crate) fn children(&self) -> Vec<Arc<Node>> {
        const AT_ONCE: usize = 256;
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let inner = self.lock();
            let end = inner.children.capacity();
            let next = from + AT_ONCE;
            found.extend((from..next.min(end)).filter_map(|key| inner.children.get(key).cloned()));
            if next >= end {
                return found;
            }
            from = next;
        }
    }

    pub(crate) fn is_childless(&self) -> bool {
        self.lock().children.is_empty()
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

    /// What was reported as cancelled: the origin and the failures so far.
    pub(crate) fn take_cancelled(&self) -> Cancelled {
        let failures = std::mem::take(&mut self.lock().failures);
        Cancelled::new(self.origin_or_request(), failures)
    }

    /// What a checkpoint of blocking code returns.
    pub(crate) fn cancelled(&self) -> Cancelled {
        Cancelled::new(self.origin_or_request(), Vec::new())
    }

    fn origin_or_request(&self) -> Arc<Origin> {
        self.origin()
            .unwrap_or_else(|| Arc::new(Origin::new(Reason::Requested, self.name())))
    }

    pub(crate) fn origin(&self) -> Option<Arc<Origin>> {
        self.lock().origin.clone()
    }

    /// Attaches a failure to the outermost boundary that is being left: the one
    /// whose `Cancelled` will be seen by somebody.
    pub(crate) fn attach_failure(self: &Arc<Self>, failure: String) {
        let mut at = self.clone();
        while let Some(parent) = at.unshielded_parent() {
            if parent.flags_acquire() & flag::CANCELLED == 0 {
                break;
            }
            at = parent;
        }
        at.lock().failures.push(failure);
    }

    pub(crate) fn take_failures(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().failures)
    }

    /// Reports that something was dropped at the end of the grace period.
    pub(crate) fn overran(self: &Arc<Self>, what: &str, location: &'static Location<'static>) {
        self.overran_and(what, "was dropped", location);
    }

    /// Reports what became of something that did not end within the grace period.
    pub(crate) fn overran_and(
        self: &Arc<Self>,
        what: &str,
        fate: &str,
        location: &'static Location<'static>,
    ) {
        self.mark_up(flag::OVERRAN);
        let since = self
            .leaving_since()
            .map(|since| since.elapsed())
            .unwrap_or_default();
        let message = format!("{what} overran the grace period and {fate} after {since:.1?}");
        let text = report::report(ReportKind::Overrun, &self.name(), message, location);
        self.attach_failure(text);
    }

    /// Notes that the grace period begins now.
    pub(crate) fn begin_grace(&self) {
        self.lock().leaving_since = Some(Instant::now());
    }

    /// Since when the boundary that watches the grace period of this node does.
    fn leaving_since(self: &Arc<Self>) -> Option<Instant> {
        let mut at = Some(self.clone());
        while let Some(node) = at {
            let since = node.lock().leaving_since;
            if since.is_some() {
                return since;
            }
            at = node.parent().map(|(parent, _)| parent);
        }
        None
    }

    /// Sets bits on this node and those above it, up to the task it is in.
    pub(crate) fn mark_up(self: &Arc<Self>, bits: u32) {
        let mut at = self.clone();
        while at.set(bits) & flag::TASK == 0 {
            let Some((parent, _)) = at.parent() else {
                return;
            };
            at = parent;
        }
    }

    /// One more thing must be gone before the boundary returns; false when the
    /// node takes no more (closed or cancelled).
    pub(crate) fn expect(&self, background: bool) -> bool {
        let mut inner = self.lock();
        if self.flags() & (flag::CLOSED | flag::CANCELLED) != 0 {
            return false;
        }
        inner.pending += 1;
        inner.background += usize::from(background);
        true
    }

    /// Expects something in the background that is no task; false when the node
    /// is closed.
    pub(crate) fn hold(&self) -> bool {
        let mut inner = self.lock();
        let open = self.flags() & flag::CLOSED == 0;
        inner.pending += usize::from(open);
        inner.background += usize::from(open);
        inner.held = open;
        open
    }

    /// How many tasks are pending.
    pub(crate) fn tasks(&self) -> usize {
        let inner = self.lock();
        inner.pending.saturating_sub(usize::from(inner.held))
    }

    /// How much is pending in the background, if nothing else is.
    pub(crate) fn only_background(&self) -> Option<usize> {
        let inner = self.lock();
        (inner.pending == inner.background).then_some(inner.background)
    }

    #[cfg(all(test, taskscope_loom))]
    pub(crate) fn pending(&self) -> usize {
        self.lock().pending
    }

    pub(crate) fn set_limit(&self, limit: usize) {
        self.lock().places.limit = limit;
    }

    /// This task is polled: whether it still waits for a queued one will show.
    #[inline]
    pub(crate) fn unstall(&self, group: &Node) {
        if self.flags() & flag::STALLED != 0 {
            self.clear_stalled(group, flag::STALLED);
        }
    }

    /// This task is gone, and its place is free.
    pub(crate) fn free_place(&self, group: &Node) {
        if self.flags() & flag::PLACED != 0 {
            self.clear_stalled(group, flag::PLACED | flag::STALLED);
        }
    }

    fn clear_stalled(&self, group: &Node, bits: u32) {
        let mut above = group.lock();
        let before = self.flags.fetch_and(!bits, Ordering::AcqRel);
        above.places.stalled -= usize::from(before & flag::STALLED != 0);
    }

    /// Code that runs in this node waits for something that is queued for a
    /// place in `group`. Reports when all who have a place wait like that: then
    /// none becomes free, unless one of them goes on for another reason.
    #[cold]
    pub(crate) fn stall(self: &Arc<Self>, group: &Arc<Node>, waits_for: &str) {
        let Some(holder) = self.holder_in(group) else {
            return;
        };
        let mut inner = group.lock();
        let places = &mut inner.places;
        if holder.flags() & flag::PLACED != 0 && holder.set(flag::STALLED) & flag::STALLED == 0 {
            places.stalled += 1;
        }
        let limit = places.limit;
        if places.reported || places.stalled < limit {
            return;
        }
        places.reported = true;
        drop(inner);
        let message = format!(
            "stalled: task `{}` waits for {waits_for}, which waits for a place under the limit \
             of the group; all {limit} places are held by tasks that wait like this",
            holder.name(),
        );
        report::report(
            ReportKind::Stalled,
            &group.name(),
            message,
            holder.last_location(),
        );
    }

    /// The task of `group` that holds a place and in which this node is.
    fn holder_in(self: &Arc<Self>, group: &Arc<Node>) -> Option<Arc<Node>> {
        let mut at = self.clone();
        loop {
            let (parent, _) = at.parent()?;
            if Arc::ptr_eq(&parent, group) {
                return (at.flags() & flag::PLACED != 0).then_some(at);
            }
            at = parent;
        }
    }

    /// Where the last checkpoint was passed, if any was.
    pub(crate) fn last_checkpoint(&self) -> Option<&'static Location<'static>> {
        let last = self.last.load(Ordering::Relaxed);
        // SAFETY: `passed` alone writes it, from a `&'static Location`.
        unsafe { last.as_ref() }
    }

    /// Where the last checkpoint was passed, or else where it was made.
    pub(crate) fn last_location(&self) -> &'static Location<'static> {
        self.last_checkpoint().unwrap_or(self.location)
    }

    /// A child is gone (invariant 6). Walks up while orphans run empty.
    pub(crate) fn gone(self: &Arc<Self>, background: bool) {
        self.lock().background -= usize::from(background);
        let mut at = self.clone();
        loop {
            let mut inner = at.lock();
            inner.pending -= 1;
            if inner.pending > inner.background {
                return;
            }
            let orphaned = inner.orphaned;
            if orphaned && inner.pending > 0 {
                return;
            }
            let waker = inner.waker.clone();
            drop(inner);
            if !orphaned {
                if let Some(waker) = waker {
                    waker.wake();
                }
                return;
            }
            let Some((parent, _)) = at.parent() else {
                return;
            };
            at.detach();
            at = parent;
        }
    }

    /// Whether something below was left behind by a boundary that was dropped.
    pub(crate) fn has_orphans(&self) -> bool {
        !self.orphans().is_empty()
    }

    /// Ends the grace period of what was left behind, and of nothing else.
    pub(crate) fn abort_orphans(&self) {
        for orphan in self.orphans() {
            orphan.abort();
        }
    }

    fn orphans(&self) -> Vec<Arc<Node>> {
        let inner = self.lock();
        if inner.pending == 0 {
            return Vec::new();
        }
        let children: Vec<_> = inner
            .children
            .iter()
            .map(|(_, child)| child.clone())
            .collect();
        drop(inner);
        children
            .into_iter()
            .filter(|child| child.lock().orphaned)
            .collect()
    }

    /// Takes no more children, if nothing is pending.
    pub(crate) fn try_close(&self) -> bool {
        let inner = self.lock();
        let closed = inner.pending == 0;
        if closed {
            self.set(flag::CLOSED);
        }
        closed
    }

    /// The boundary has ended and nothing is pending: the node leaves the tree.
    pub(crate) fn finish(&self) {
        let mut inner = self.lock();
        self.set(flag::CLOSED);
        let parked = std::mem::take(&mut inner.parked);
        let waker = inner.waker.take();
        drop(inner);
        drop(waker);
        self.detach();
        parked.into_iter().for_each(Waker::wake);
    }

    /// The boundary was dropped before it ended: what is pending is cancelled
    /// and adopted by the parent (invariant 6).
    pub(crate) fn orphan(self: &Arc<Self>) {
        if self.try_close() {
            return self.finish();
        }
        // Counted in the parent before this node can run empty.
        let parent = self.parent().map(|(parent, _)| parent);
        if let Some(parent) = &parent {
            parent.lock().pending += 1;
        }
        let mut inner = self.lock();
        self.set(flag::CLOSED);
        inner.orphaned = inner.pending > 0;
        let (orphaned, waker) = (inner.orphaned, inner.waker.take());
        drop(inner);
        drop(waker);
        if orphaned {
            self.cancel(Reason::Dropped);
            return;
        }
        self.finish();
        if let Some(parent) = parent {
            parent.gone(false);
        }
    }
}

/// Something that has not ended, and has nothing below it.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// The names from the root on, separated by ` > `.
    pub(crate) path: String,
    pub(crate) location: &'static Location<'static>,
    /// Where the last checkpoint was passed.
    pub(crate) last: &'static Location<'static>,
}

impl Node {
    /// The innermost of what has not ended, this node itself if it is alone.
    pub(crate) fn leaves(self: &Arc<Self>, most: usize) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        let mut stack = vec![(self.clone(), String::new())];
        while let Some((node, above)) = stack.pop() {
            let inner = node.lock();
            let path = format!("{above}{}", inner.name);
            let children = inner.children.iter().map(|(_, child)| child.clone());
            let before = stack.len();
            stack.extend(children.map(|child| (child, format!("{path} > "))));
            drop(inner);
            if stack.len() == before {
                leaves.push(Leaf {
                    path,
                    location: node.location,
                    last: node.last_location(),
                });
            }
            if leaves.len() == most {
                break;
            }
        }
        leaves
    }

    /// The same without this node.
    pub(crate) fn leaves_below(self: &Arc<Self>, most: usize) -> Vec<Leaf> {
        let alone = self.lock().children.is_empty();
        if alone { Vec::new() } else { self.leaves(most) }
    }
}

impl Drop for Node {
    /// A chain of nodes that goes at once would recurse through its parents.
    fn drop(&mut self) {
        let key = self.lock().root.take();
        if let Some(key) = key {
            roots::remove(self, key);
        }
        let mut next = self.link.lock().take().map(|link| link.parent);
        while let Some(mut node) = next {
            next = Arc::get_mut(&mut node)
                .and_then(|node| node.link.lock().take())
                .map(|link| link.parent);
        }
    }
}
