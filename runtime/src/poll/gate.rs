//! The gate: what each checkpoint awaits.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::poll::budget::renew_budget;
#[cfg(feature = "shutdown")]
use crate::poll::context::this_poll;
use crate::poll::context::{CURRENT, current};
use crate::poll::frame::Frame;
use crate::poll::probe;

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
        Some(frame) if frame.must_unwind() => park_gate(frame, cx),
        Some(_) if renew_budget() => Poll::Ready(()),
        Some(frame) if probe::gives_way(frame) => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
        // What was done at this point may have closed the gate.
        Some(frame) if frame.must_unwind() => park_gate(frame, cx),
        Some(_) => Poll::Ready(()),
    })
}

fn park_gate(frame: &Frame<'_>, cx: &mut Context<'_>) -> Poll<()> {
    probe::refused(frame.node());
    park(frame, cx.waker());
    Poll::Pending
}

/// Has the frame's node wake `waker` when its boundary has ended, unless that is the
/// task's own, which the node keeps already.
pub(crate) fn park(frame: &Frame<'_>, waker: &Waker) {
    if !waker.will_wake(frame.waker) {
        #[cfg(feature = "shutdown")]
        crate::poll::stall::note(frame.node(), this_poll);
        frame.node().park(waker);
    }
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
