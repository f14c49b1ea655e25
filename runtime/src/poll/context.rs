//! What the current poll runs in: the thread-local that checkpoints read.
//!
//! A boundary polls its future inside [`enter`], which puts a [`Frame`] on the
//! stack and its address in the thread-local, and restores what was there
//! before on the way out, also when unwinding. So a frame is visible exactly as
//! long as the poll that made it.
//!
//! Gates read the pulse of the frame and nothing else of it. A scope without a node has the
//! pulse of the scope outside; when its node is made, in the middle of a poll, the thread-local
//! and the frames on the stack follow at once.
//!
//! Another task may be polled inside ours (a `LocalSet`, a nested runtime). It
//! is not part of ours: the slow paths compare tokio's task id, which the frame
//! notes.

use std::cell::Cell;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

use crate::base::caught::{Panic, catch};
use crate::poll::beat::{self, Beat};
use crate::poll::budget::{SAMPLE, Spent};
use crate::poll::frame::{Frame, FrameScope};
use crate::poll::probe;
use crate::tree::node::lazy::LazyNode;
use crate::tree::node::{Node, Pulse};

pub(super) struct Current {
    /// What gates read, and the watchdog.
    pub(super) beat: Beat,
    enlisted: Cell<bool>,
    /// What `budget` begins with: nothing in a run that looks at each checkpoint.
    pub(super) allowance: Cell<u32>,
    pub(super) spent: Cell<Spent>,
    /// How many checkpoints of blocking code are passed before the next look at
    /// the clock.
    pub(super) unclocked: Cell<u32>,
    frame: Cell<*const Frame<'static>>,
    /// Set by [`done`](crate::poll::gate::done), taken by the body that it ends.
    pub(super) done: Cell<bool>,
}

thread_local! {
    pub(super) static CURRENT: Current = const {
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
    pub(super) fn pulse(&self) -> Option<&Pulse> {
        // SAFETY: as in `current`: its node is borrowed by the frame of the
        // `enter` that put its address here, and nothing is left while it is looked at.
        unsafe { self.beat.pulse().as_ref() }
    }

    /// Takes one checkpoint from the budget, unless the gate is closed.
    #[inline]
    pub(super) fn pass(&self, pulse: &Pulse) -> bool {
        let budget = self.beat.budget();
        let open = pulse.flags() & self.beat.mask() == 0 && budget != 0;
        if open {
            self.beat.set_budget(budget - 1);
        }
        open
    }

    /// Makes this frame the current one, if there is one.
    #[inline]
    fn show(&self, frame: *const Frame<'static>) {
        // SAFETY: as in `current`: it was entered, and lies on the stack of this thread.
        let (pulse, mask) = match unsafe { frame.as_ref() } {
            Some(frame) => (frame.pulse.get(), frame.mask),
            None => (ptr::null(), 0),
        };
        self.beat.set_pulse(pulse);
        self.beat.set_mask(mask);
        self.frame.set(frame);
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
    frame: *const Frame<'static>,
}

impl Restore {
    #[inline]
    fn set(frame: *const Frame<'static>) -> Restore {
        CURRENT.with(|current| {
            let below = current.frame.get();
            if below.is_null() {
                current.beat.begin(current.allowance.get());
                current.spent.set(Spent::Nothing);
                if !current.enlisted.get() {
                    current.enlist();
                }
            }
            current.show(frame);
            Restore { frame: below }
        })
    }
}

impl Drop for Restore {
    #[inline]
    fn drop(&mut self) {
        CURRENT.with(|current| current.show(self.frame));
    }
}

impl<'a> Frame<'a> {
    /// The node, made now if it was not.
    #[inline]
    pub(crate) fn node(&self) -> &'a Arc<Node> {
        match self.scope {
            FrameScope::Node(node) => node,
            FrameScope::Lazy(node, outer) => match node.made() {
                Some(node) => node,
                None => make(node, outer),
            },
        }
    }

    /// Whether a scope that is polled in this frame, by this waker, may do without a node.
    ///
    /// Not inside a shield and on a thread that blocks, where only its own node can be cancelled. Not
    /// once it has to unwind. Not inside a combinator that polls by wakers of its own: it polls what it
    /// was woken for, and only a node is woken by a cancellation. And not in a run that looks at
    /// each checkpoint, and names the scopes that it stands in.
    #[inline]
    pub(crate) fn lets_nodes_wait(&self, waker: &Waker) -> bool {
        !self.shielded
            && !self.blocking
            && waker.will_wake(self.waker)
            && !self.must_unwind()
            && CURRENT.with(|current| current.allowance.get() != 0)
    }
}

/// Makes the node of a scope that is being polled below `outer`.
#[cold]
fn make<'a>(node: &'a LazyNode, outer: &Frame<'_>) -> &'a Arc<Node> {
    let node = make_below(node, outer);
    // Gates look at the new nodes from now on.
    each_frame(|frame| frame.pulse.set(frame.pulse()));
    CURRENT.with(|current| current.show(current.frame.get()));
    node
}

/// Makes it, and those around it first.
fn make_below<'a>(node: &'a LazyNode, outer: &Frame<'_>) -> &'a Arc<Node> {
    let parent = match outer.scope {
        FrameScope::Node(parent) => parent,
        FrameScope::Lazy(parent, outer) => match parent.made() {
            Some(parent) => parent,
            None => make_below(parent, outer),
        },
    };
    node.make_below(parent, outer.shielded)
}

/// Runs `f` inside `frame`.
#[inline]
pub(crate) fn enter<R>(frame: &Frame<'_>, f: impl FnOnce() -> R) -> R {
    let restore = Restore::set(ptr::from_ref(frame).cast());
    frame.below.set(restore.frame);
    f()
}

/// Runs `f` outside of every scope: for the drop of a body that was left.
#[inline]
pub(crate) fn outside<R>(f: impl FnOnce() -> R) -> R {
    let _restore = Restore::set(ptr::null());
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
    each_frame(|frame| {
        frame.node();
        frame.region();
    });
}

/// Visits the frames on the stack, the current one first.
fn each_frame(visit: impl Fn(&Frame<'_>)) {
    let mut at = CURRENT.with(|current| current.frame.get());
    // SAFETY: as in `current`. The frames below are entered for longer still.
    while let Some(frame) = unsafe { at.as_ref() } {
        visit(frame);
        at = frame.below.get();
    }
}

/// The current node, and whether the current code is shielded from it.
pub(crate) fn ambient() -> Option<(Arc<Node>, bool)> {
    current(|frame| frame.map(|frame| (frame.node().clone(), frame.shielded)))
}

/// Whether the current code is cancelled, and not shielded: it must unwind.
pub(crate) fn must_unwind() -> bool {
    current(|frame| frame.is_some_and(Frame::must_unwind))
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

/// The thread and the poll that it is in.
#[cfg(feature = "shutdown")]
pub(crate) fn this_poll() -> Option<(usize, beat::Poll)> {
    CURRENT.with(|current| Some((beat::this_thread()?, current.beat.poll())))
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
