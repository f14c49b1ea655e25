//! One poll of a future that unwinds: the shape that a branch, the code below a `defer!`,
//! its cleanup, a shield and a deferred cleanup have in common.
//!
//! ```text
//! poll in the region ──┬─ ready ────────────────────────▶ Exit::Value
//!                      ├─ panicked ─────────────────────▶ Exit::Panicked
//!                      └─ pending ──┬─ must unwind, and ─▶ Exit::Unwound
//!                                   │  nothing inside has to
//!                                   └─ otherwise ───────▶ Poll::Pending
//! ```
//!
//! However the future has ended, it is dropped in the same poll, outside of every scope:
//! what its locals do when they are dropped has no part in the scope that unwinds.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::base::caught::catch;
use crate::poll::context;
use crate::poll::frame::Frame;
use crate::poll::gate;
use crate::unwind::exit::{Exit, PanicSite};
use crate::unwind::region::Region;

impl Region {
    /// Polls the future in `slot`, which a cancellation unwinds. `at` is its line, for those
    /// who look at the tree. Pending for ever once the slot is empty.
    #[inline]
    pub(crate) fn poll_cancellable<F: Future>(
        &mut self,
        mut slot: Pin<&mut Option<F>>,
        at: Option<&'static Location<'static>>,
        cx: &mut Context<'_>,
    ) -> Poll<Exit<F::Output>> {
        let Some(future) = slot.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let exit = context::current(|outer| {
            let polled = self.enter_in(outer, at, cx, false, |cx| catch(|| future.poll(cx)));
            Exit::of(polled).or_else(|| {
                // Only the code below a `defer!` has such an end.
                if self.kind().holds() && gate::take_done() {
                    return Some(Exit::Ended);
                }
                let is_unwound = outer.is_some_and(Frame::must_unwind) && self.is_unwound(cx);
                is_unwound.then_some(Exit::Unwound)
            })
        });
        self.dropped(exit, slot, at)
    }

    /// Polls the future in `slot`, which runs to its end whatever is cancelled. The end of the
    /// grace period cuts it, with a report.
    #[inline]
    pub(crate) fn poll_shielded<F: Future>(
        &mut self,
        mut slot: Pin<&mut Option<F>>,
        at: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<Exit<F::Output>> {
        let Some(future) = slot.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let polled = self.enter_at(Some(at), cx, true, |cx| catch(|| future.poll(cx)));
        let exit = Exit::of(polled).or_else(|| self.may_drop(true).then(|| self.cut(at)));
        self.dropped(exit, slot, Some(at))
    }

    #[cold]
    fn cut<T>(&self, at: &'static Location<'static>) -> Exit<T> {
        if let Some(node) = self.node() {
            node.overran(&self.kind().shielded_code(), at);
        }
        Exit::Unwound
    }

    /// Drops the future in `slot` if it has ended.
    #[inline]
    fn dropped<F: Future>(
        &self,
        exit: Option<Exit<F::Output>>,
        slot: Pin<&mut Option<F>>,
        location: Option<&'static Location<'static>>,
    ) -> Poll<Exit<F::Output>> {
        let site = PanicSite {
            node: self.node(),
            location,
        };
        exit.map_or(Poll::Pending, |exit| {
            Poll::Ready(exit.after_drop(slot, site))
        })
    }
}
