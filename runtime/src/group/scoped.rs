//! Futures that a group polls itself, since they may borrow from outside it.
//!
//! # Lifetimes
//!
//! A handle to the group may be `'static` while these futures borrow for `'env`
//! only. So the queue through which they reach the group forgets `'env`. This is
//! sound because the group's own future, which cannot outlive `'env`, alone
//! takes them out and polls or drops them: it closes and empties the queue when
//! it ends or is dropped. If it is leaked instead, what stands in the queue is
//! leaked too.
//!
//! # Scoped children
//!
//! A scoped child is one allocation: its [`Node`], and beside it, as the node's payload, an
//! [`InsideTask`] with the future, the result and the child's place among the others. The same
//! `Arc` is the child's node in the tree, its waker, and its entry in the [`ReadyQueue`]:
//!
//! ```text
//! spawn_scoped ──► ReadyQueue ──► Children::poll ──► polled; owned by `Children` until it ends
//!                      ▲                │ pending
//!                      └──── wake ──────┘
//! ```
//!
//! The memory lives as long as any of these: a `CancelHandle` or a waker may outlive `'env`. What
//! lies in it and borrows does not:
//!
//! 1. The future is polled by the group's own future alone, through `&mut Children`, so by one
//!    thread at a time. It is dropped once: by its [`OwnedTask`] in [`Children`]; or, where
//!    the group's future has ended before it took the child over, by the code that spawned it, which
//!    holds a `Group<'env>`.
//! 2. The result is taken by the handle, `TaskHandle<T>`, which cannot outlive `T`, or dropped by
//!    the task if the handle was dropped before. If the handle is leaked, so is the result.
//! 3. What is not `Send` is spawned by a `LocalGroup` only, which stays on the thread of its group's
//!    future. Other threads that hold the node touch its link only.

use std::cell::UnsafeCell;
use std::future::Future;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use crate::base::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};
use crate::base::wakers::keep_waker;
use crate::group::child::{Start, Task};
use crate::group::shared::{Shared, TaskKind};
use crate::notes::names::Name;
use crate::task::handle::{Core, ResultSlot, TaskHandle};
use crate::task::output::{TaskResult, ValueOf};
use crate::tree::node::{Node, Payload};

/// A deferred cleanup that forgot how long it borrows.
pub(crate) type Erased<T> = Pin<Box<dyn Future<Output = T> + Send>>;

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

/// The way of deferred cleanups from a group's handles to its own future.
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
        futures.into_iter().map(ManuallyDrop::into_inner).collect()
    }
}

/// A scoped child: the payload of its node.
struct InsideTask<C, T> {
    link: InsideLink,
    result: ResultSlot<T>,
    /// Written before the child is queued, and dropped by its [`OwnedTask`].
    task: UnsafeCell<MaybeUninit<C>>,
}

impl<C: Future<Output = ()>, T> InsideTask<C, T> {
    /// Without its task.
    fn new(queue: &Arc<ReadyQueue>) -> InsideTask<C, T> {
        InsideTask {
            link: InsideLink {
                queue: queue.clone(),
                vtable: Node::<Self>::VTABLE,
                queued: AtomicBool::new(true),
                position: AtomicUsize::new(NEW),
                next: UnsafeCell::new(None),
            },
            result: ResultSlot::new(),
            task: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }
}

// SAFETY: other threads use the link. All in it is `Send` and `Sync` but for `next`, which belongs
// to the list that the child stands in. See the module for the others: the task and the result are
// used, and dropped, where the group and the handle may be.
unsafe impl<C, T> Send for InsideTask<C, T> {}
// SAFETY: as above.
unsafe impl<C, T> Sync for InsideTask<C, T> {}

impl<C, T> Payload for InsideTask<C, T> {}

impl<C, T> Drop for InsideTask<C, T> {
    /// A result that is still there is that of a handle that was leaked: what it borrows may
    /// have ended.
    fn drop(&mut self) {
        std::mem::forget(self.result.take());
    }
}

/// What wakers and the group know of a scoped child.
struct InsideLink {
    queue: Arc<ReadyQueue>,
    /// Makes a waker of the address of the node, and a reference to it that the waker owns.
    vtable: &'static RawWakerVTable,
    /// It stands in the queue, or was taken from it and is polled next.
    queued: AtomicBool,
    /// Its index in [`Children`]. Used by the group's future alone.
    position: AtomicUsize,
    /// The next one in the list that the child stands in.
    next: UnsafeCell<Option<InsideRef>>,
}

/// The position of a child that the group's future has not taken over.
const NEW: usize = usize::MAX;
/// The position of a child that was dropped.
const ENDED: usize = usize::MAX - 1;

impl InsideLink {
    fn position(&self) -> usize {
        self.position.load(Ordering::Relaxed)
    }

    fn set_position(&self, position: usize) {
        self.position.store(position, Ordering::Relaxed);
    }
}

/// The node of a scoped child, whatever its future.
trait InsideNode: Send + Sync {
    fn link(&self) -> &InsideLink;

    /// # Safety
    ///
    /// Called by the group's future alone, while the child has a place in its [`Children`].
    unsafe fn poll(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// # Safety
    ///
    /// Called once, where the task may be dropped (1 of the module), and not polled afterwards.
    unsafe fn drop_task(&self);
}

impl<C: Future<Output = ()>, T> InsideNode for Node<InsideTask<C, T>> {
    fn link(&self) -> &InsideLink {
        &self.beside().link
    }

    unsafe fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: it was written before the child was queued, and has not been dropped. The
        // caller alone uses it. It stays where it is until it is dropped.
        unsafe { Pin::new_unchecked((*self.beside().task.get()).assume_init_mut()).poll(cx) }
    }

    unsafe fn drop_task(&self) {
        // SAFETY: as in `poll`.
        unsafe { (*self.beside().task.get()).assume_init_drop() };
    }
}

/// A scoped child that forgot how long it borrows. Dropping it drops the memory alone.
type InsideRef = Arc<dyn InsideNode>;

impl<C: Future<Output = ()>, T> Node<InsideTask<C, T>> {
    const VTABLE: &'static RawWakerVTable = &RawWakerVTable::new(
        Self::clone_waker,
        Self::wake_and_drop,
        Self::wake_waker,
        Self::drop_waker,
    );

    /// # Safety
    ///
    /// `data` is the address of a node of this type in an `Arc`, to which the waker has a
    /// reference. So it is in all functions of the table.
    unsafe fn clone_waker(data: *const ()) -> RawWaker {
        // SAFETY: see above.
        unsafe { Arc::increment_strong_count(data.cast::<Self>()) };
        RawWaker::new(data, Self::VTABLE)
    }

    unsafe fn wake_and_drop(data: *const ()) {
        // SAFETY: see `clone_waker`; the waker's reference ends here.
        wake(Self::erased(unsafe { Arc::from_raw(data.cast()) }));
    }

    unsafe fn wake_waker(data: *const ()) {
        // SAFETY: see `clone_waker`; the reference that is added here ends in the second call.
        unsafe {
            Arc::increment_strong_count(data.cast::<Self>());
            Self::wake_and_drop(data);
        }
    }

    unsafe fn drop_waker(data: *const ()) {
        // SAFETY: see `clone_waker`; the waker's reference ends here.
        drop(unsafe { Arc::<Self>::from_raw(data.cast()) });
    }

    fn erased<'env>(self: Arc<Self>) -> InsideRef
    where
        Self: 'env,
    {
        // SAFETY: only the lifetime changes. See the module: what borrows is used within `'env`,
        // and not dropped with the memory.
        unsafe { std::mem::transmute::<Arc<dyn InsideNode + 'env>, InsideRef>(self) }
    }

    fn erased_node<'env>(self: Arc<Self>) -> Arc<Node>
    where
        Self: 'env,
    {
        // SAFETY: as in `erased`.
        unsafe { std::mem::transmute::<Arc<Node<dyn Payload + 'env>>, Arc<Node>>(self) }
    }

    /// The result of a child of this type.
    fn result_of(node: &Node) -> &ResultSlot<T> {
        let node = std::ptr::from_ref(node).cast::<Self>();
        // SAFETY: `spawn_inside` alone refers to this function, for the node that it has made.
        unsafe { &(*Self::beside_at(node)).result }
    }
}

/// A list of children, last in first out, linked through the children themselves.
///
/// A child stands in one list at most. It is pushed by the code that has set `queued`, and that is
/// cleared by the group's future alone, which has popped the child before.
#[derive(Default)]
struct ReadyList(Option<InsideRef>);

impl ReadyList {
    #[inline]
    fn push(&mut self, child: InsideRef) {
        let next = child.link().next.get();
        let below = self.0.replace(child);
        // SAFETY: it stands in no list, so the caller alone uses its link, which is empty.
        unsafe { next.write(below) };
    }

    #[inline]
    fn pop(&mut self) -> Option<InsideRef> {
        let child = self.0.take()?;
        // SAFETY: it stands in this list, which is borrowed here.
        self.0 = unsafe { (*child.link().next.get()).take() };
        Some(child)
    }
}

impl Drop for ReadyList {
    /// One by one: dropping the first one would recurse through all.
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

fn wake(child: InsideRef) {
    let link = child.link();
    // AcqRel: pairs with the swap in `Children::poll_child`, so that what was done
    // before a wake is seen by the poll that it leads to.
    if link.queued.swap(true, Ordering::AcqRel) {
        return;
    }
    let queue = link.queue.clone();
    if let Ok(true) = queue.push(child) {
        queue.wake_owner();
    }
}

/// The scoped children of a group that are to be polled.
#[derive(Default)]
pub(crate) struct ReadyQueue(Mutex<Ready>);

#[derive(Default)]
struct Ready {
    children: ReadyList,
    /// The waker of the group's future.
    owner: Option<Waker>,
    closed: bool,
}

impl ReadyQueue {
    /// Adds a child, and returns whether it is the only one: where some stand already, the owner
    /// is awake, or was woken for them. When the group's future has ended, the child is returned.
    #[inline]
    fn push(&self, child: InsideRef) -> Result<bool, InsideRef> {
        let mut ready = self.0.lock();
        if ready.closed {
            return Err(child);
        }
        let is_first = ready.children.0.is_none();
        ready.children.push(child);
        Ok(is_first)
    }

    fn wake_owner(&self) {
        let owner = self.0.lock().owner.clone();
        if let Some(owner) = owner {
            owner.wake();
        }
    }

    /// Takes the children; later wakes go to this context's task.
    fn take(&self, cx: &mut Context<'_>) -> ReadyList {
        let mut ready = self.0.lock();
        let children = std::mem::take(&mut ready.children);
        let former = keep_waker(&mut ready.owner, cx.waker());
        drop(ready);
        drop(former);
        children
    }

    fn close(&self) -> ReadyList {
        let mut ready = self.0.lock();
        ready.closed = true;
        let (children, owner) = (std::mem::take(&mut ready.children), ready.owner.take());
        drop(ready);
        drop(owner);
        children
    }
}

/// A scoped child whose task is dropped with it.
pub(crate) struct OwnedTask(InsideRef);

impl Drop for OwnedTask {
    fn drop(&mut self) {
        self.0.link().set_position(ENDED);
        // SAFETY: it is made once for each child, of a task that was written, by the code that
        // may drop it (1 of the module). The position keeps it from being polled again.
        unsafe { self.0.drop_task() };
    }
}

/// For how many children an empty group keeps room.
const SPARE: usize = 1024;

/// The children that a group polls itself, owned by its future.
#[derive(Default)]
pub(crate) struct Children {
    owned: Vec<OwnedTask>,
    /// To be polled, the first one first. Empty between two polls, unless the last one panicked.
    ready: ReadyList,
}

impl Children {
    /// Takes new children over and polls those that were woken.
    ///
    /// What is woken or spawned meanwhile wakes the task and is polled the next
    /// time, so that the task gives way.
    pub(crate) fn poll(&mut self, queue: &ReadyQueue, cx: &mut Context<'_>) {
        let woken = queue.take(cx);
        self.expect(woken);
        while let Some(child) = self.ready.pop() {
            self.poll_child(&child);
        }
        if self.owned.is_empty() && self.owned.capacity() > SPARE {
            self.owned = Vec::new();
        }
    }

    /// Adds children to those that are to be polled, in the order in which they were queued.
    fn expect(&mut self, mut children: ReadyList) {
        while let Some(child) = children.pop() {
            self.ready.push(child);
        }
    }

    fn take_over(&mut self, child: &InsideRef, link: &InsideLink) {
        if link.position() == NEW {
            link.set_position(self.owned.len());
            self.owned.push(OwnedTask(child.clone()));
        }
    }

    fn poll_child(&mut self, child: &InsideRef) {
        let link = child.link();
        self.take_over(child, link);
        let position = link.position();
        if position == ENDED {
            return;
        }
        // AcqRel: see `wake`. From here on, a wake queues the child again.
        link.queued.swap(false, Ordering::AcqRel);
        let waker = RawWaker::new(Arc::as_ptr(child).cast(), link.vtable);
        // SAFETY: the table is for this type of node. Its reference is that of `child`, which lives
        // longer, so it is not dropped here.
        let waker = ManuallyDrop::new(unsafe { Waker::from_raw(waker) });
        // SAFETY: it has a place in `self`.
        let polled = unsafe { child.poll(&mut Context::from_waker(&waker)) };
        if polled.is_ready() {
            // Nothing of the user's is left in it: a task drops its body, and gives up result and
            // span, before it is ready.
            drop(self.owned.swap_remove(position));
            if let Some(moved) = self.owned.get(position) {
                moved.0.link().set_position(position);
            }
        }
    }

    /// Gives up those that it has, and those that were on their way.
    pub(crate) fn close(&mut self, queue: &ReadyQueue) -> Vec<OwnedTask> {
        self.expect(queue.close());
        while let Some(child) = self.ready.pop() {
            self.take_over(&child, child.link());
        }
        std::mem::take(&mut self.owned)
    }
}

impl<E: Send + 'static> Shared<E> {
    /// Spawns a task that the group's own future polls. The caller sees to it that what the future
    /// and its output borrow outlives the group's future, and that they are `Send` or stay on the
    /// thread of the group's future.
    pub(crate) fn spawn_inside<F>(
        self: &Arc<Self>,
        location: &'static Location<'static>,
        future: F,
    ) -> TaskHandle<ValueOf<F>>
    where
        F: Future,
        F::Output: TaskResult<E>,
    {
        type Inside<F, E> = Node<InsideTask<Task<F, ValueOf<F>, E>, ValueOf<F>>>;
        let queue = self.inside();
        let name = Name::of_future::<F>();
        let child: Arc<Inside<F, E>> =
            self.task_node(TaskKind::Plain, name, location, InsideTask::new(queue));
        let core = Core::new(child.clone().erased_node(), Inside::<F, E>::result_of);
        if !self.expect(TaskKind::Plain, &core.node) {
            return TaskHandle::refused(core, self.refusal());
        }
        let (task, handle) = Task::new(self, core, Start::default(), future);
        // SAFETY: nobody else uses the task before it is queued.
        unsafe { (*child.beside().task.get()).write(task) };
        match queue.push(child.erased()) {
            Ok(true) => self.node().wake(),
            Ok(false) => {}
            // Its task ends as one that was dropped by its runtime.
            Err(refused) => drop(OwnedTask(refused)),
        }
        handle
    }
}

#[cfg(all(test, not(taskscope_loom)))]
mod tests {
    use std::cell::Cell;
    use std::pin::pin;
    use std::rc::Rc;
    use std::task::Wake;
    use std::thread;

    use super::*;
    use crate::group::builder::TaskGroup;
    use crate::task::error::BoxError;
    use crate::task::output::Value;

    struct Quiet;

    impl Wake for Quiet {
        fn wake(self: Arc<Self>) {}
    }

    /// Pending until it was polled so often. Leaves a clone of its waker.
    fn polled<'a>(times: usize, wakers: &'a Mutex<Vec<Waker>>) -> impl Future<Output = ()> + 'a {
        let mut left = times;
        std::future::poll_fn(move |cx| {
            wakers.lock().push(cx.waker().clone());
            left -= 1;
            if left == 0 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    fn wake_elsewhere(wakers: &Mutex<Vec<Waker>>) {
        let all = std::mem::take(&mut *wakers.lock());
        thread::spawn(move || all.into_iter().for_each(Waker::wake))
            .join()
            .unwrap();
    }

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::new(Quiet))))
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
    }

    #[test]
    fn what_outlives_the_group_holds_memory_and_nothing_that_borrows() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let wakers = Mutex::new(Vec::new());
        let kept = {
            let text = String::from("borrowed");
            let (text, wakers) = (&text, &wakers);
            let mut group = pin!(TaskGroup::<BoxError>::new().run(async move |g| {
                let children = [1, 2, 3].map(|times| {
                    g.spawn_scoped(async move {
                        polled(times, wakers).await;
                        Value(text)
                    })
                });
                let cancel = children.each_ref().map(TaskHandle::handle);
                let [first, second, _third] = children;
                drop(first);
                assert_eq!(second.await?, "borrowed");
                Ok(cancel)
            }));
            let mut ended = poll(group.as_mut());
            while ended.is_pending() {
                wake_elsewhere(wakers);
                ended = poll(group.as_mut());
            }
            let Poll::Ready(Ok(kept)) = ended else {
                panic!("no child fails");
            };
            kept
        };
        assert!(kept.iter().all(|handle| !handle.cancel()));
        wake_elsewhere(&wakers);
    }

    #[test]
    fn a_group_that_is_dropped_drops_its_children() {
        let runtime = runtime();
        let _entered = runtime.enter();
        let wakers = Mutex::new(Vec::new());
        let count = Rc::new(Cell::new(0));
        {
            let mut group = Box::pin(TaskGroup::<BoxError>::new().run_local(async |g| {
                for times in 1..4 {
                    let count = count.clone();
                    let wakers = &wakers;
                    g.spawn_local(async move {
                        polled(times, wakers).await;
                        count.set(count.get() + 1);
                    });
                }
                std::future::pending().await
            }));
            let polled: Poll<Result<(), _>> = poll(group.as_mut());
            assert!(polled.is_pending());
            assert_eq!((count.get(), Rc::strong_count(&count)), (1, 3));
        }
        assert_eq!((count.get(), Rc::strong_count(&count)), (1, 1));
        wake_elsewhere(&wakers);
    }
}

#[cfg(all(test, taskscope_loom))]
mod loom_tests {
    use loom::thread;

    use super::*;
    use crate::tree::node::Duties;

    /// Hands a child over whose task is this future.
    #[track_caller]
    fn push(queue: &Arc<ReadyQueue>, task: impl Future<Output = ()>) {
        let location = Location::caller();
        let duties = Duties {
            shielded: false,
            background: false,
        };
        let name = Name::Given("child".into());
        let group = Node::root("group".into(), location);
        let child: Arc<Node<InsideTask<_, ()>>> =
            Node::task(&group, duties, name, location, InsideTask::new(queue));
        // SAFETY: nobody else uses the task before it is queued.
        unsafe { (*child.beside().task.get()).write(task) };
        assert!(queue.push(child.erased()).is_ok());
    }

    #[test]
    fn children_that_are_woken_while_others_are_polled_are_polled_again() {
        loom::model(|| {
            let queue = Arc::new(ReadyQueue::default());
            let mut children = Children::default();
            let mut cx = Context::from_waker(Waker::noop());
            let done = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
            let wakers = Arc::new(Mutex::new(Vec::new()));
            for index in [0, 1] {
                let (done, wakers) = (done.clone(), wakers.clone());
                let task = std::future::poll_fn(move |cx| {
                    if done[index].load(Ordering::Relaxed) == 1 {
                        return Poll::Ready(());
                    }
                    wakers.lock().push(cx.waker().clone());
                    Poll::Pending
                });
                push(&queue, task);
            }
            children.poll(&queue, &mut cx);
            let given: Vec<Waker> = std::mem::take(&mut *wakers.lock());
            let mut given = given.into_iter();
            // Queued already when the other thread wakes it.
            let first = given.next().unwrap();
            first.wake_by_ref();
            let others = [first, given.next().unwrap()].into_iter().enumerate();
            let others = others.map(|(index, waker)| {
                let done = done.clone();
                thread::spawn(move || {
                    done[index].store(1, Ordering::Relaxed);
                    waker.wake();
                })
            });
            let others: Vec<_> = others.collect();
            children.poll(&queue, &mut cx);
            for other in others {
                other.join().unwrap();
            }
            children.poll(&queue, &mut cx);
            assert!(children.owned.is_empty(), "one is not polled again");
            drop(children.close(&queue));
        });
    }
}
