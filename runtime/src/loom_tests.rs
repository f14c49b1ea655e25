//! The protocols of the crate, under every interleaving.
//!
//! `RUSTFLAGS="--cfg taskscope_loom" cargo test -p taskscope --release --lib loom`

use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};

use loom::cell::UnsafeCell;
use loom::thread;

use crate::base::sync::Mutex;
use crate::base::wakeset::WakeSet;
use crate::blocking::blocking::{self, Taken, WorkSlot};
use crate::notes::names::Name;
use crate::poll::beat::{List, Poller, Visible};
use crate::tree::node::{Duties, Node, flag};
use crate::tree::reason::Reason;
use crate::tree::roots;
use crate::tree::table::{RegionId, RegionKind};

#[derive(Default)]
struct WakeCount(AtomicUsize);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn counting() -> (Arc<WakeCount>, Waker) {
    let wakes = Arc::new(WakeCount::default());
    (wakes.clone(), Waker::from(wakes))
}

fn count(wakes: &WakeCount) -> usize {
    wakes.0.load(Ordering::SeqCst)
}

#[track_caller]
fn root() -> Arc<Node> {
    Node::root("root".into(), Location::caller())
}

#[track_caller]
fn child(parent: &Arc<Node>) -> Arc<Node> {
    Node::child(Some((parent, false)), "child".into(), Location::caller())
}

#[track_caller]
fn task(group: &Arc<Node>) -> Result<Arc<Node>, Arc<Node>> {
    let duties = Duties {
        shielded: false,
        background: false,
    };
    let name = Name::Given("task".into());
    let node: Arc<Node> = Node::task(group, duties, name, Location::caller(), ());
    match node.enter_group(group, duties) {
        true => Ok(node),
        false => Err(node),
    }
}

/// For models with many locks, which would take minutes: an execution preempts its threads
/// three times at most.
fn with_few_preemptions(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn is_cancelled(node: &Node) -> bool {
    node.flags_acquire() & flag::CANCELLED != 0
}

#[test]
fn a_cancel_is_seen_by_who_registers_or_wakes_it() {
    loom::model(|| {
        let node = root();
        let (wakes, waker) = counting();
        let canceller = thread::spawn({
            let node = node.clone();
            move || assert!(node.cancel(Reason::Requested))
        });
        node.register(&waker);
        let seen = is_cancelled(&node);
        canceller.join().unwrap();
        assert!(seen || count(&wakes) > 0, "the wake was lost");
    });
}

#[test]
fn a_cancel_is_seen_by_who_watches_or_wakes_it() {
    loom::model(|| {
        let node = root();
        let (wakes, waker) = counting();
        let canceller = thread::spawn({
            let node = node.clone();
            move || {
                node.cancel(Reason::Requested);
            }
        });
        let mut key = None;
        node.watch(&mut key, flag::CANCELLED, &waker);
        let seen = is_cancelled(&node);
        canceller.join().unwrap();
        assert!(seen || count(&wakes) > 0, "the wake was lost");
        node.unwatch(&mut key);
        assert_eq!(node.watcher_count(), 0);
    });
}

#[test]
fn a_watch_is_refused_or_woken_by_the_end_of_the_scope() {
    loom::model(|| {
        let node = root();
        let (wakes, waker) = counting();
        let closer = thread::spawn({
            let node = node.clone();
            move || node.try_close().expect("nothing is pending").release()
        });
        let mut key = None;
        let noted = node.watch(&mut key, flag::CANCELLED | flag::CLOSED, &waker);
        closer.join().unwrap();
        assert_eq!(noted, count(&wakes) > 0);
        assert_eq!(node.watcher_count(), 0);
    });
}

#[test]
fn a_region_that_notes_its_waker_sees_the_cancel_or_is_woken() {
    loom::model(|| {
        let node = root();
        let (wakes, waker) = counting();
        let canceller = thread::spawn({
            let node = node.clone();
            move || {
                node.cancel(Reason::Requested);
            }
        });
        let id = node
            .lock()
            .regions()
            .open(RegionId::ROOT, RegionKind::Defer, None, false);
        node.lock().regions().set_waker(id, &waker);
        let seen = is_cancelled(&node);
        canceller.join().unwrap();
        assert!(seen || count(&wakes) > 0, "the wake was lost");
    });
}

#[test]
fn a_child_made_while_the_parent_is_cancelled_is_cancelled_for_its_reason() {
    loom::model(|| {
        let parent = root();
        let canceller = thread::spawn({
            let parent = parent.clone();
            move || {
                parent.cancel(Reason::Deadline);
            }
        });
        let child = child(&parent);
        canceller.join().unwrap();
        assert!(is_cancelled(&child));
        assert!(matches!(child.origin().unwrap().reason, Reason::Deadline));
        child.finish();
    });
}

#[test]
fn a_walk_reaches_children_that_come_and_go_while_it_reads_them() {
    loom::model(|| {
        let parent = root();
        let (first, second) = (child(&parent), child(&parent));
        let canceller = thread::spawn({
            let parent = parent.clone();
            move || {
                parent.cancel(Reason::Requested);
            }
        });
        // The walk may have read its place already: the next child takes it.
        first.finish();
        let third = child(&parent);
        canceller.join().unwrap();
        assert!(is_cancelled(&second), "it was there all the while");
        assert!(is_cancelled(&third), "found by the walk, or born cancelled");
        second.finish();
        third.finish();
        assert_eq!(parent.child_count(), 0);
    });
}

#[test]
fn a_shielded_child_is_reached_by_an_abort_alone() {
    loom::model(|| {
        let parent = root();
        let aborter = thread::spawn({
            let parent = parent.clone();
            move || {
                parent.cancel(Reason::Requested);
                parent.abort();
            }
        });
        let child = Node::child(Some((&parent, true)), "child".into(), Location::caller());
        let flags = child.flags_acquire();
        assert!(flags & flag::CANCELLED == 0 || flags & flag::ABORTED != 0);
        aborter.join().unwrap();
        assert!(child.flags_acquire() & flag::ABORTED != 0);
        child.finish();
    });
}

#[test]
fn parent_and_child_cancelled_at_once_keep_one_reason_each() {
    loom::model(|| {
        let parent = root();
        let child = child(&parent);
        let canceller = thread::spawn({
            let parent = parent.clone();
            move || {
                parent.cancel(Reason::Deadline);
            }
        });
        child.cancel(Reason::Shutdown);
        let first = child.origin().unwrap();
        canceller.join().unwrap();
        assert!(is_cancelled(&parent) && is_cancelled(&child));
        assert!(
            Arc::ptr_eq(&first, &child.origin().unwrap()),
            "the first reason stays"
        );
        assert!(matches!(parent.origin().unwrap().reason, Reason::Deadline));
        child.finish();
    });
}

#[test]
fn a_cancelled_flag_never_stands_without_its_reason() {
    loom::model(|| {
        let node = root();
        let canceller = thread::spawn({
            let node = node.clone();
            move || {
                node.cancel(Reason::Deadline);
            }
        });
        if is_cancelled(&node) {
            assert!(node.origin().is_some());
        }
        canceller.join().unwrap();
    });
}

#[test]
fn a_child_that_finishes_while_the_parent_is_cancelled_leaves_nothing_behind() {
    loom::model(|| {
        let parent = root();
        assert!(parent.add_pending(false));
        let node = child(&parent);
        let (wakes, waker) = counting();
        parent.register(&waker);
        let finisher = thread::spawn({
            let parent = parent.clone();
            move || {
                node.finish();
                parent.remove_pending();
            }
        });
        parent.cancel(Reason::Requested);
        finisher.join().unwrap();
        assert!(count(&wakes) > 0);
        assert!(parent.try_close().is_some());
        assert_eq!(parent.child_count(), 0);
    });
}

#[test]
fn a_child_is_expected_before_the_group_closes_or_refused() {
    loom::model(|| {
        let group = root();
        let spawner = thread::spawn({
            let group = group.clone();
            move || group.add_pending(false)
        });
        let closed = group.try_close().is_some();
        let expected = spawner.join().unwrap();
        assert!(closed != expected, "closed: {closed}, expected: {expected}");
    });
}

#[test]
fn a_task_stands_in_the_tree_before_the_group_closes_or_is_refused() {
    loom::model(|| {
        let group = root();
        let spawner = thread::spawn({
            let group = group.clone();
            move || task(&group)
        });
        let closed = group.try_close().is_some();
        let spawned = spawner.join().unwrap();
        assert!(closed != spawned.is_ok());
        if let Ok(task) = spawned {
            // Nothing was ever behind its lock.
            assert!(task.try_close().is_some());
            group.task_ended(&task, false);
            assert_eq!(group.child_count(), 0);
            assert!(group.try_close().is_some());
        }
    });
}

#[test]
fn a_task_spawned_while_the_group_is_cancelled_is_refused_or_cancelled() {
    loom::model(|| {
        let group = root();
        let canceller = thread::spawn({
            let group = group.clone();
            move || {
                group.cancel(Reason::Deadline);
            }
        });
        let spawned = task(&group);
        canceller.join().unwrap();
        if let Ok(task) = spawned {
            assert!(is_cancelled(&task));
            assert!(matches!(task.origin().unwrap().reason, Reason::Deadline));
            group.task_ended(&task, false);
        }
        assert_eq!(group.pending(), 0);
    });
}

#[test]
fn a_task_that_closes_without_its_lock_is_cancelled_before_or_not_at_all() {
    loom::model(|| {
        let group = root();
        let task = task(&group).unwrap();
        let canceller = thread::spawn({
            let group = group.clone();
            move || {
                group.cancel(Reason::Requested);
            }
        });
        assert!(task.try_close().is_some(), "nothing is pending below it");
        group.task_ended(&task, false);
        canceller.join().unwrap();
        assert!(task.flags_acquire() & flag::CLOSED != 0);
        assert_eq!((group.pending(), group.child_count()), (0, 0));
    });
}

#[test]
fn what_is_pending_below_a_dropped_boundary_is_counted_by_its_parent() {
    loom::model(|| {
        let scope = root();
        let group = child(&scope);
        assert!(group.add_pending(false));
        let task = thread::spawn({
            let group = group.clone();
            move || group.remove_pending()
        });
        group.orphan();
        task.join().unwrap();
        assert_eq!(scope.pending(), 0);
        assert_eq!(scope.child_count(), 0);
    });
}

#[test]
fn orphans_of_orphans_run_empty_up_to_the_top() {
    with_few_preemptions(|| {
        let top = root();
        let outer = child(&top);
        let inner = child(&outer);
        assert!(inner.add_pending(false));
        let task = thread::spawn({
            let inner = inner.clone();
            move || inner.remove_pending()
        });
        inner.orphan();
        outer.orphan();
        task.join().unwrap();
        assert_eq!(top.pending(), 0);
        assert_eq!(top.child_count(), 0);
    });
}

#[test]
fn a_task_that_is_dropped_with_something_pending_is_counted_until_that_has_ended() {
    with_few_preemptions(|| {
        let group = root();
        let task = task(&group).unwrap();
        let scope = child(&task);
        assert!(scope.add_pending(false));
        scope.orphan();
        let below = thread::spawn({
            let scope = scope.clone();
            move || scope.remove_pending()
        });
        task.orphan();
        group.task_ended(&task, false);
        below.join().unwrap();
        assert_eq!(group.pending(), 0);
        assert_eq!(group.child_count(), 0);
    });
}

#[test]
fn who_owns_a_set_finds_each_member_that_was_woken_or_is_woken() {
    loom::model(|| {
        let set = WakeSet::default();
        let members = [set.member(0), set.member(1)];
        let (wakes, waker) = counting();
        let mut cx = Context::from_waker(&waker);
        // Each is polled once, and gives its waker away.
        assert_eq!(set.take(&mut cx).len(), 2);
        let wakers = members.each_ref().map(|member| {
            let waker = member.poll(|cx| cx.waker().clone());
            thread::spawn(move || waker.wake())
        });
        let mut found = set.take(&mut cx);
        for waker in wakers {
            waker.join().unwrap();
        }
        if found.len() < 2 {
            assert!(count(&wakes) > 0, "the wake was lost");
            found.extend(set.take(&mut cx));
        }
        found.sort_unstable();
        assert_eq!(found, [0, 1]);
    });
}

#[test]
fn a_poll_sees_what_was_done_before_a_wake_that_found_its_member_queued() {
    loom::model(|| {
        let set = WakeSet::default();
        let member = set.member(0);
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(set.take(&mut cx).len(), 1);
        let waker = member.poll(|cx| cx.waker().clone());
        waker.wake_by_ref();
        assert_eq!(set.take(&mut cx).len(), 1);
        let done = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let other = thread::spawn({
            let done = done.clone();
            move || {
                done.store(1, Ordering::Relaxed);
                waker.wake();
            }
        });
        let seen = member.poll(|_| done.load(Ordering::Relaxed));
        other.join().unwrap();
        assert!(
            seen == 1 || set.take(&mut cx).len() == 1,
            "it is not polled again"
        );
    });
}

#[test]
fn a_root_that_goes_while_all_are_listed_is_found_whole_or_not_at_all() {
    let outlived = Arc::new(AtomicUsize::new(0));
    let seen = outlived.clone();
    loom::model(move || {
        let node = root();
        node.stand_alone();
        let dropper = thread::spawn(move || {
            // Loom does not see owners come and go, but it stops at this lock.
            assert_eq!(node.name(), "root");
            drop(node);
        });
        let found = roots::all();
        for node in found {
            assert_eq!(node.name(), "root");
            // Dropped here, it may be the last.
            seen.fetch_add(usize::from(Arc::strong_count(&node) == 1), Ordering::SeqCst);
        }
        dropper.join().unwrap();
        assert_eq!(roots::entries(), 0);
    });
    assert!(outlived.load(Ordering::SeqCst) > 0);
}

#[test]
fn roots_that_come_and_go_at_once_take_out_none_but_themselves() {
    let enter = || {
        let node = root();
        node.stand_alone();
        node
    };
    loom::model(move || {
        let (first, goes) = (enter(), enter());
        let other = thread::spawn(move || {
            drop(goes);
            enter()
        });
        let second = enter();
        let third = other.join().unwrap();
        drop(second);
        let left = roots::all();
        assert_eq!(left.len(), 2);
        for node in [first, third] {
            assert!(left.iter().any(|left| Arc::ptr_eq(left, &node)));
        }
        drop(left);
        assert_eq!(roots::entries(), 0);
    });
}

/// Storage of a thread. Loom finds who reads it while it is freed.
struct Storage(UnsafeCell<Option<u32>>);

// SAFETY: loom checks each access.
unsafe impl Sync for Storage {}

impl Visible for Storage {
    type Look = u32;

    fn look(&self) -> u32 {
        // SAFETY: loom's pointer is valid; whether there is anything is asserted.
        let seen = self.0.with(|shown| unsafe { *shown });
        seen.expect("looked at what is gone")
    }
}

impl Storage {
    fn new(shown: u32) -> Arc<Storage> {
        Arc::new(Storage(UnsafeCell::new(Some(shown))))
    }

    /// Its thread ends.
    fn free(&self) {
        // SAFETY: loom checks that nobody else is there.
        self.0.with_mut(|shown| unsafe { *shown = None });
    }
}

#[test]
fn a_thread_that_ends_is_not_looked_at_any_more() {
    loom::model(|| {
        let list = Arc::new(List::<Storage>::new());
        let ending = thread::spawn({
            let list = list.clone();
            move || {
                let storage = Storage::new(7);
                // SAFETY: taken out before it is freed.
                let key = unsafe { list.enlist(&raw const *storage, Poller::current()) };
                list.remove(key);
                storage.free();
            }
        });
        for (key, look) in list.look_at_all() {
            assert_eq!(look, 7);
            list.claim(key, look);
        }
        ending.join().unwrap();
        assert!(list.look_at_all().is_empty());
    });
}

#[test]
fn a_key_that_is_used_again_claims_no_other_thread() {
    loom::model(|| {
        let list = Arc::new(List::<Storage>::new());
        let enlist = |storage: &Arc<Storage>| {
            // SAFETY: `storage` outlives the list.
            unsafe { list.enlist(&raw const **storage, Poller::current()) }
        };
        let (first, second) = (Storage::new(1), Storage::new(2));
        let key = enlist(&first);
        let watchdog = thread::spawn({
            let list = list.clone();
            move || {
                let looks = list.look_at_all();
                let claims = looks
                    .into_iter()
                    .map(|(key, look)| (look, list.claim(key, look)));
                claims.filter(|(_, poller)| poller.is_some()).count()
            }
        });
        list.remove(key);
        first.free();
        let key = enlist(&second);
        let claimed = list.claim(key, 2).is_some();
        let other = watchdog.join().unwrap();
        assert!(claimed || other > 0, "nobody reports the second");
        assert!(list.claim(key, 2).is_none());
        list.remove(key);
    });
}

#[test]
fn of_two_watchdogs_one_alone_reports() {
    loom::model(|| {
        let list = Arc::new(List::<Storage>::new());
        let storage = Storage::new(7);
        // SAFETY: taken out before it is freed.
        let key = unsafe { list.enlist(&raw const *storage, Poller::current()) };
        let watch = |list: &List<Storage>| {
            let looks = list.look_at_all();
            let claims = looks.iter().map(|&(key, look)| list.claim(key, look));
            claims.flatten().count()
        };
        let other = thread::spawn({
            let list = list.clone();
            move || watch(&list)
        });
        let reports = watch(&list) + other.join().unwrap();
        assert_eq!(reports, 1);
        list.remove(key);
        storage.free();
    });
}

/// A closure that is counted when it runs, and when it is dropped.
#[derive(Default)]
struct Work {
    ran: Arc<AtomicUsize>,
    gone: Arc<AtomicUsize>,
}

impl Drop for Work {
    fn drop(&mut self) {
        self.gone.fetch_add(1, Ordering::SeqCst);
    }
}

/// What became of a closure that a thread was to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TaskFate {
    Ran,
    Refused,
    Withdrawn,
}

/// On the thread: as in `blocking::run`.
fn take(node: &Node, slot: &WorkSlot<Work>) -> TaskFate {
    match blocking::take(node, slot) {
        Taken::Run(work) => {
            work.ran.fetch_add(1, Ordering::SeqCst);
            TaskFate::Ran
        }
        Taken::Refuse(_) => TaskFate::Refused,
        Taken::Withdrawn => TaskFate::Withdrawn,
    }
}

/// Lets a thread take the closure while `meanwhile` happens here; gives what was
/// made of it, and asserts that it was made of it once.
fn blocking_work<R: 'static>(
    meanwhile: impl Fn(&Arc<Node>, &WorkSlot<Work>) -> R + Sync + Send + 'static,
    check: impl Fn(TaskFate, &Node, R) + Sync + Send + 'static,
) {
    loom::model(move || {
        let node = root();
        let work = Work::default();
        let (ran, gone) = (work.ran.clone(), work.gone.clone());
        let slot = Arc::new(Mutex::new(Some(work)));
        let thread = thread::spawn({
            let (node, slot) = (node.clone(), slot.clone());
            move || take(&node, &slot)
        });
        let result = meanwhile(&node, &slot);
        let fate = thread.join().unwrap();
        assert_eq!(
            ran.load(Ordering::SeqCst),
            usize::from(fate == TaskFate::Ran)
        );
        assert_eq!(gone.load(Ordering::SeqCst), 1);
        check(fate, &node, result);
    });
}

#[test]
fn blocking_work_runs_or_is_withdrawn() {
    blocking_work(
        |_, slot| blocking::withdraw(slot),
        |fate, _, withdrawn| assert_eq!(withdrawn, fate == TaskFate::Withdrawn, "{fate:?}"),
    );
}

#[test]
fn blocking_work_that_cannot_be_withdrawn_tells_whether_it_runs() {
    blocking_work(
        |node, slot| {
            node.cancel(Reason::Dropped);
            (!blocking::withdraw(slot)).then(|| blocking::has_begun(node))
        },
        |fate, _, begun| match begun {
            None => assert_eq!(fate, TaskFate::Withdrawn),
            Some(begun) => assert_eq!(begun, fate == TaskFate::Ran, "{fate:?}"),
        },
    );
}

#[test]
fn blocking_work_cancelled_before_it_starts_never_runs() {
    loom::model(|| {
        let (node, slot) = (root(), Arc::new(Mutex::new(Some(Work::default()))));
        let cancelled = Arc::new(Mutex::new(false));
        let thread = thread::spawn({
            let (node, slot, cancelled) = (node.clone(), slot.clone(), cancelled.clone());
            move || {
                let before = *cancelled.lock();
                (before, take(&node, &slot))
            }
        });
        node.cancel(Reason::Requested);
        *cancelled.lock() = true;
        let (before, fate) = thread.join().unwrap();
        assert!(!before || fate == TaskFate::Refused, "{fate:?}");
    });
}

#[test]
fn a_boundary_that_is_dropped_while_the_one_it_began_in_ends_is_counted_above() {
    loom::model(|| {
        let top = root();
        let ended = child(&top);
        let moved = child(&ended);
        assert!(moved.add_pending(false));
        let end = thread::spawn({
            let ended = ended.clone();
            move || {
                if let Some(noted) = ended.try_close() {
                    ended.detach_ended(&noted);
                    noted.release();
                } else {
                    ended.orphan();
                }
            }
        });
        moved.orphan();
        end.join().unwrap();
        assert_eq!(top.pending(), 1);
        moved.remove_pending();
        assert_eq!(top.pending(), 0);
        assert_eq!(top.child_count(), 0);
    });
}

#[test]
fn an_orphan_that_runs_empty_adopts_nothing_any_more() {
    loom::model(|| {
        let top = root();
        let orphan = child(&top);
        assert!(orphan.add_pending(false));
        let moved = child(&orphan);
        assert!(moved.add_pending(false));
        orphan.orphan();
        let end = thread::spawn({
            let orphan = orphan.clone();
            move || orphan.remove_pending()
        });
        moved.orphan();
        end.join().unwrap();
        assert_eq!(top.pending(), 1);
        moved.remove_pending();
        assert_eq!(top.pending(), 0);
        assert_eq!(top.child_count(), 0);
    });
}
