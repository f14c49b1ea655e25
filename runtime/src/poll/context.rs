//! What the current poll runs in: the thread-local that checkpoints read.
//!
//! A boundary polls its future inside [`enter`], which puts a [`Frame`] on the
//! stack and its address in the thread-local, and restores what was there
//! before on the way out, also when unwinding. So a frame is visible exactly as
//! long as the poll that made it.
//!
//! Another task may be polled inside ours (a `LocalSet`, a nested runtime). It
//! is not part of ours: the slow paths compare tokio's task id, which the frame
//! notes.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::task::Id;

use crate::base::caught::{Panic, catch};
use crate::poll::beat::{self, Beat};
use crate::poll::probe;
use crate::tree::node::{Node, Pulse, flag};
use crate::tree::table::{RegionId, RegionKind};

/// Checkpoints that a task passes in one poll before it lets others run.
pub(crate) const BUDGET: u32 = 1024;

/// After so many the clock is read, and after as many again it is compared: a
/// loop whose rounds take long lets others run then.
const SAMPLE: u32 = 32;

/// How long a sample may take.
const QUICK: Duration = Duration::from_micros(10);

/// How far the budget of a poll is spent.
#[derive(Clone, Copy)]
enum Spent {
    Nothing,
    /// One sample, by then.
    Sample(Instant),
    /// All that is left is given.
    Rest,
}

/// What the current poll runs in.
pub(crate) struct Frame<'a> {
    pub(crate) node: &'a Arc<Node>,
    /// The region that what is opened now lies in, once that is open.
    region: Cell<Option<RegionId>>,
    /// What to open then.
    unopened: Option<Unopened<'a>>,
    /// The frame that was current when this one was entered.
    below: Cell<*const Frame<'static>>,
    /// Inside a shield or a cleanup.
    pub(crate) shielded: bool,
    /// On a thread that may block: nothing is left here, code asks for itself.
    blocking: bool,
    /// The waker that polls the node's future.
    pub(crate) waker: &'a Waker,
    /// The tokio task, `None` under `Runtime::block_on`.
    task: Option<Id>,
}

/// A region that is opened when something has to find it: a future that is ready
/// at once needs none.
struct Unopened<'a> {
    outer: &'a Frame<'a>,
    kind: RegionKind,
    location: Option<&'static Location<'static>>,
}

impl<'a> Frame<'a> {
    /// The frame of a node's own future.
    pub(crate) fn of(node: &'a Arc<Node>, waker: &'a Waker) -> Self {
        let task = tokio::task::try_id();
        Frame {
            node,
            region: Cell::new(Some(RegionId::ROOT)),
            unopened: None,
            below: Cell::new(ptr::null()),
            shielded: false,
            blocking: false,
            waker,
            task,
        }
    }

    /// The frame of code that blocks its thread.
    pub(crate) fn blocking(node: &'a Arc<Node>, shielded: bool) -> Self {
        Frame {
            shielded,
            blocking: true,
            ..Frame::of(node, Waker::noop())
        }
    }

    /// The frame of a region inside this one, open or not.
    pub(crate) fn inside(
        &'a self,
        region: Option<RegionId>,
        kind: RegionKind,
        location: Option<&'static Location<'static>>,
        shielded: bool,
    ) -> Frame<'a> {
        Frame {
            node: self.node,
            region: Cell::new(region),
            unopened: Some(Unopened {
                outer: self,
                kind,
                location,
            }),
            below: Cell::new(ptr::null()),
            shielded: self.shielded || shielded,
            blocking: self.blocking,
            waker: self.waker,
            task: self.task,
        }
    }

    /// The region of this frame, opened now if it was not.
    pub(crate) fn region(&self) -> RegionId {
        self.opened().unwrap_or_else(|| self.open())
    }

    /// The region of this frame, if it is open.
    #[inline]
    pub(crate) fn opened(&self) -> Option<RegionId> {
        self.region.get()
    }

    fn open(&self) -> RegionId {
        let id = match &self.unopened {
            None => RegionId::ROOT,
            Some(unopened) => {
                let Unopened {
                    outer,
                    kind,
                    location,
                } = unopened;
                let within = outer.region();
                self.node
                    .open_region(within, *kind, *location, outer.shielded)
            }
        };
        self.region.set(Some(id));
        id
    }

    /// The flags by which this code counts as cancelled.
    pub(crate) fn cancelling(&self) -> u32 {
        if self.shielded {
            flag::ABORTED
        } else {
            flag::CANCELLED | flag::ABORTED
        }
    }

    pub(crate) fn is_shielded(&self) -> bool {
        self.shielded
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.node.flags_acquire() & self.cancelling() != 0
    }

    /// The flags that close a gate.
    fn mask(&self) -> u32 {
        if self.blocking { 0 } else { self.cancelling() }
    }

    /// Whether what runs here is to be left.
    pub(crate) fn leaving(&self) -> bool {
        self.node.flags_acquire() & self.mask() != 0
    }

    pub(crate) fn aborting(&self) -> bool {
        !self.blocking && self.node.flags_acquire() & flag::ABORTED != 0
    }

    /// Whether regions have to report that they were polled.
    pub(crate) fn in_pass(&self) -> bool {
        !self.blocking && self.node.flags() & (flag::CANCELLED | flag::ABORTED) != 0
    }

    /// Has the node wake `waker` when its boundary has ended, unless that is the
    /// task's own, which the node keeps already.
    pub(crate) fn park(&self, waker: &Waker) {
        if !waker.will_wake(self.waker) {
            #[cfg(feature = "shutdown")]
            crate::poll::stall::note(self.node, this_poll);
            self.node.park(waker);
        }
    }

    fn is_ours(&self) -> bool {
        self.task == tokio::task::try_id()
    }
}

/// A frame kept aside, to be entered again from inside another one within the
/// same poll. Empty outside any scope.
#[derive(Debug, Default)]
pub(crate) struct OuterFrame(Option<KeptFrame>);

#[derive(Debug)]
struct KeptFrame {
    node: Arc<Node>,
    region: RegionId,
    shielded: bool,
    blocking: bool,
    waker: Waker,
    task: Option<Id>,
}

impl OuterFrame {
    /// Keeps the current frame.
    pub(crate) fn renew(&mut self) {
        let kept = current(|frame| match (frame, self.0.take()) {
            (Some(frame), Some(kept)) if kept.is(frame) => Some(kept),
            (frame, _) => frame.map(KeptFrame::of),
        });
        self.0 = kept;
    }

    /// Runs `f` inside the frame that was kept.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        let Some(kept) = &self.0 else {
            return outside(f);
        };
        let frame = Frame {
            node: &kept.node,
            region: Cell::new(Some(kept.region)),
            unopened: None,
            below: Cell::new(ptr::null()),
            shielded: kept.shielded,
            blocking: kept.blocking,
            waker: &kept.waker,
            task: kept.task,
        };
        enter(&frame, f)
    }
}

impl KeptFrame {
    fn of(frame: &Frame<'_>) -> KeptFrame {
        KeptFrame {
            node: frame.node.clone(),
            region: frame.region(),
            shielded: frame.shielded,
            blocking: frame.blocking,
            waker: frame.waker.clone(),
            task: frame.task,
        }
    }

    fn is(&self, frame: &Frame<'_>) -> bool {
        Arc::ptr_eq(&self.node, frame.node)
            && frame.opened() == Some(self.region)
            && self.shielded == frame.shielded
            && self.waker.will_wake(frame.waker)
            && self.task == frame.task
    }
}

struct Current {
    /// What gates read, and the watchdog.
    beat: Beat,
    enlisted: Cell<bool>,
    /// What `budget` begins with: nothing in a run that looks at each checkpoint.
    allowance: Cell<u32>,
    spent: Cell<Spent>,
    /// How many checkpoints of blocking code are passed before the next look at
    /// the clock.
    unclocked: Cell<u32>,
    frame: Cell<*const Frame<'static>>,
    /// Set by [`done`], taken by the body that it ends.
    done: Cell<bool>,
}

thread_local! {
    static CURRENT: Current = const {
        Current {
            beat: Beat::new(SAMPLE),
            enlisted: Cell::new(false),
            allowance: Cell::new(SAMPLE),
            spent: Cell::new(Spent::Nothing),
            unclocked: Cell::new(0),
            frame: Cell::new(ptr::null()),
            done: Cell::new(false),
        }
    };
}

impl Current {
    /// What gates look at; nothing outside any scope.
    #[inline]
    fn pulse(&self) -> Option<&Pulse> {
        // SAFETY: as in `current`: its node is borrowed by the frame of the
        // `enter` that put its address here, and nothing is left while it is looked at.
        unsafe { self.beat.pulse().as_ref() }
    }

    /// Takes one checkpoint from the budget, unless the gate is closed.
    #[inline]
    fn pass(&self, pulse: &Pulse) -> bool {
        let budget = self.beat.budget();
        let open = pulse.flags() & self.beat.mask() == 0 && budget != 0;
        if open {
            self.beat.set_budget(budget - 1);
        }
        open
    }

    #[cold]
    fn enlist(&self) {
        self.enlisted.set(true);
        // SAFETY: a thread-local without a destructor is freed with its thread.
        unsafe { beat::enlist(&raw const self.beat) };
    }
}

/// Restores the thread-local when a poll ends, however it ends.
struct Restore {
    pulse: *const Pulse,
    mask: u32,
    frame: *const Frame<'static>,
}

impl Restore {
    #[inline]
    fn set(pulse: *const Pulse, mask: u32, frame: *const Frame<'static>) -> Restore {
        CURRENT.with(|current| {
            let pulse = current.beat.replace_pulse(pulse);
            if pulse.is_null() {
                current.beat.begin(current.allowance.get());
                current.spent.set(Spent::Nothing);
                if !current.enlisted.get() {
                    current.enlist();
                }
            }
            let mask = current.beat.replace_mask(mask);
            Restore {
                pulse,
                mask,
                frame: current.frame.replace(frame),
            }
        })
    }
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        CURRENT.with(|current| {
            current.beat.replace_pulse(self.pulse);
            current.beat.replace_mask(self.mask);
            current.frame.set(self.frame);
        });
    }
}

/// Runs `f` inside `frame`.
#[inline]
pub(crate) fn enter<R>(frame: &Frame<'_>, f: impl FnOnce() -> R) -> R {
    let restore = Restore::set(&frame.node.pulse, frame.mask(), ptr::from_ref(frame).cast());
    frame.below.set(restore.frame);
    f()
}

/// Runs `f` outside of every scope: for the drop of a body that was left.
#[inline]
pub(crate) fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore::set(ptr::null(), 0, ptr::null());
    f()
}

/// The current frame, unless there is none or another task is polled inside it.
#[inline]
pub(crate) fn current<R>(f: impl FnOnce(Option<&Frame<'_>>) -> R) -> R {
    let frame = CURRENT.with(|current| current.frame.get());
    if frame.is_null() {
        return f(None);
    }
    // SAFETY: `enter` borrows the frame for as long as its address stands in
    // the thread-local: `Restore` puts the former address back before `enter`
    // returns or unwinds. The reference cannot outlive this call, for `f` is
    // generic over its lifetime, and it stays on this thread.
    let frame = unsafe { &*frame };
    f(Some(frame).filter(|frame| frame.is_ours()))
}

/// Opens the regions that the caller stands in, for those who look at the tree:
/// what has not been pending yet is not in it.
pub(crate) fn open_regions() {
    let mut at = CURRENT.with(|current| current.frame.get());
    // SAFETY: as in `current`. The frames below are entered for longer still.
    while let Some(frame) = unsafe { at.as_ref() } {
        frame.region();
        at = frame.below.get();
    }
}

/// The current node, and whether the current code is shielded from it.
pub(crate) fn ambient() -> Option<(Arc<Node>, bool)> {
    current(|frame| frame.map(|frame| (frame.node.clone(), frame.shielded)))
}

/// Drops what `slot` holds, outside of every scope; a panic is returned.
#[inline]
pub(crate) fn drop_outside<T>(mut slot: Pin<&mut Option<T>>) -> Result<(), Panic> {
    if !std::mem::needs_drop::<T>() {
        slot.set(None);
        return Ok(());
    }
    outside(|| catch(|| slot.set(None)))
}

/// Future of [`checkpoint`](crate::checkpoint()), and of every checkpoint that a macro writes.
///
/// Ready while nothing is cancelled. Pending for ever once the current scope is
/// cancelled and not shielded: the code after it is never reached, and the
/// boundary drops the future here. Every so many checkpoints it is pending
/// once, to let other tasks run. Outside any scope it is always ready.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Gate(PhantomData<()>);

/// A checkpoint at the caller's line.
#[inline]
#[track_caller]
pub fn gate() -> Gate {
    let location = Location::caller();
    CURRENT.with(|current| {
        if let Some(pulse) = current.pulse() {
            pulse.passed(location);
        }
    });
    Gate(PhantomData)
}

/// Whether a checkpoint at the caller's line is closed: a [`gate`] is to be awaited
/// then. Else it is passed.
///
/// For loops that compute: one look at the thread-local, and nothing is written to the
/// future, where a gate awaited in each round takes two looks. It is more to compile.
#[inline]
#[track_caller]
pub fn closed() -> bool {
    let location = Location::caller();
    CURRENT.with(|current| {
        current.pulse().is_some_and(|pulse| {
            pulse.passed(location);
            !current.pass(pulse)
        })
    })
}

impl Future for Gate {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let open = CURRENT.with(|current| current.pulse().is_none_or(|pulse| current.pass(pulse)));
        if open {
            Poll::Ready(())
        } else {
            closed_gate(cx)
        }
    }
}

#[cold]
fn closed_gate(cx: &mut Context<'_>) -> Poll<()> {
    current(|frame| match frame {
        None => Poll::Ready(()),
        // A thread that blocks has nobody to let run.
        Some(frame) if frame.blocking => Poll::Ready(()),
        Some(frame) if frame.leaving() => park_gate(frame, cx),
        Some(_) if renew_budget() => Poll::Ready(()),
        Some(frame) if probe::gives_way(frame) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        // What was done at this point may have closed the gate.
        Some(frame) if frame.leaving() => park_gate(frame, cx),
        Some(_) => Poll::Ready(()),
    })
}

fn park_gate(frame: &Frame<'_>, cx: &mut Context<'_>) -> Poll<()> {
    probe::refused(frame.node);
    frame.park(cx.waker());
    Poll::Pending
}

/// The thread and the poll that it is in.
#[cfg(feature = "shutdown")]
pub(crate) fn this_poll() -> Option<(usize, beat::Poll)> {
    CURRENT.with(|current| Some((beat::this_thread()?, current.beat.poll())))
}

/// Makes all gates of this thread take their slow path, until it is dropped.
#[derive(Debug)]
pub(crate) struct Probed(());

pub(crate) fn probed() -> Probed {
    CURRENT.with(|current| current.allowance.set(0));
    Probed(())
}

impl Drop for Probed {
    fn drop(&mut self) {
        CURRENT.with(|current| current.allowance.set(SAMPLE));
    }
}

/// A boundary is pending: one more point, if it is the outermost of its poll.
#[inline]
pub(crate) fn pending(node: &Arc<Node>) {
    let probed =
        CURRENT.with(|current| current.allowance.get() == 0 && current.beat.pulse().is_null());
    if probed {
        probe::suspended(node);
    }
}

/// Whether this poll may go on beyond the checkpoints that it was given. A run
/// that looks at each counts them itself.
fn renew_budget() -> bool {
    CURRENT.with(|current| {
        if current.allowance.get() == 0 {
            return false;
        }
        let (spent, budget) = match current.spent.get() {
            Spent::Nothing => (Spent::Sample(Instant::now()), SAMPLE),
            Spent::Sample(since) if since.elapsed() < QUICK => (Spent::Rest, BUDGET - 2 * SAMPLE),
            Spent::Sample(_) | Spent::Rest => return false,
        };
        current.spent.set(spent);
        // This checkpoint is one of them.
        current.beat.set_budget(budget - 1);
        true
    })
}

/// Passes a checkpoint of blocking code; false when there is something to look
/// at: the node's flags, or the clock.
#[inline]
pub(crate) fn pass_blocking(location: &'static Location<'static>) -> bool {
    CURRENT.with(|current| {
        let Some(pulse) = current.pulse() else {
            return true;
        };
        pulse.passed(location);
        let unclocked = current.unclocked.get();
        let clear = pulse.flags() & (flag::CANCELLED | flag::ABORTED) == 0 && unclocked != 0;
        if clear {
            current.unclocked.set(unclocked - 1);
        }
        clear
    })
}

/// How many checkpoints need no look at the clock from now on.
pub(crate) fn set_unclocked(checkpoints: u32) {
    CURRENT.with(|current| current.unclocked.set(checkpoints));
}

/// The end of a block whose body is an async block; made by [`done`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Done<T>(PhantomData<fn() -> T>);

/// Ends the enclosing body: it is dropped where it is, as if it had returned.
pub fn done<T>() -> Done<T> {
    Done(PhantomData)
}

impl<T> Future for Done<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        CURRENT.with(|current| current.done.set(true));
        Poll::Pending
    }
}

/// Whether the body just polled has reached its [`done`].
///
/// Nothing can lie between the two: `done` is awaited by the body's own async
/// block.
pub(crate) fn take_done() -> bool {
    CURRENT.with(|current| current.done.replace(false))
}
