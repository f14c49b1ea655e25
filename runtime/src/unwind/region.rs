//! Code that must be left in order, from the side of the future that is it.

use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use crate::base::caught::Panic;
use crate::poll::context;
use crate::poll::frame::Frame;
use crate::tree::node::{Node, flag};
use crate::tree::table::{RegionId, RegionKind};

/// A region's place in the table of the node under which it was last polled.
#[derive(Debug)]
struct RegionPlace {
    node: Arc<Node>,
    parent: RegionId,
    id: RegionId,
    shielded: bool,
    /// The waker noted with the node, where it is not the task's.
    noted: Option<Waker>,
}

/// What a poll gives back.
pub(crate) trait Polled {
    /// Whether the future is still there, to be polled again.
    fn is_pending(&self) -> bool;
}

impl<T> Polled for Poll<T> {
    fn is_pending(&self) -> bool {
        Poll::is_pending(self)
    }
}

impl<T> Polled for Result<Poll<T>, Panic> {
    fn is_pending(&self) -> bool {
        matches!(self, Ok(Poll::Pending))
    }
}

/// A region; closed when dropped.
///
/// It takes a place in the node's table when its future is first pending, or
/// when something inside it takes one: until then it is on the stack of the poll
/// that runs it, where nobody can leave it behind. Outside any scope it has no
/// place. Polled under another parent than before (its future was moved), it
/// moves there.
#[derive(Debug)]
pub(crate) struct Region {
    kind: RegionKind,
    retries: Retries,
    place: Option<RegionPlace>,
}

impl Region {
    /// Code that is itself to be left in order.
    pub(crate) fn new(kind: RegionKind) -> Region {
        Region {
            kind,
            retries: Retries::default(),
            place: None,
        }
    }

    /// A scope or group inside another one.
    pub(crate) fn boundary() -> Region {
        Region::new(RegionKind::Boundary)
    }

    /// A branch: dropped as soon as nothing inside it holds.
    pub(crate) fn branch() -> Region {
        Region::new(RegionKind::Branch)
    }

    /// The place that it has below `outer`; one that it had elsewhere is given up.
    #[inline]
    fn stays(&mut self, outer: &Frame<'_>) -> Option<RegionId> {
        let place = self.place.as_ref()?;
        let stays = outer
            .made()
            .is_some_and(|node| Arc::ptr_eq(&place.node, node))
            && outer.opened() == Some(place.parent)
            && place.shielded == outer.shielded;
        if stays {
            return Some(place.id);
        }
        self.close();
        None
    }

    /// Takes a place, to be found by whoever leaves the scope.
    pub(crate) fn open(&mut self, cx: &mut Context<'_>) {
        let _ = self.enter(cx, false, |_| Poll::<()>::Pending);
    }

    /// Polls what lies inside: `poll` runs in a frame of this region, shielded
    /// or not.
    pub(crate) fn enter<R: Polled>(
        &mut self,
        cx: &mut Context<'_>,
        shielded: bool,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        self.enter_at(None, cx, shielded, poll)
    }

    /// The same for code that stands at a known line. The location is for those
    /// who look at it, and not kept here: regions are to be small.
    #[inline]
    pub(crate) fn enter_at<R: Polled>(
        &mut self,
        location: Option<&'static Location<'static>>,
        cx: &mut Context<'_>,
        shielded: bool,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        context::current(|outer| self.enter_in(outer, location, cx, shielded, poll))
    }

    /// The same where the frame outside is known.
    #[inline]
    pub(crate) fn enter_in<R: Polled>(
        &mut self,
        outer: Option<&Frame<'_>>,
        location: Option<&'static Location<'static>>,
        cx: &mut Context<'_>,
        shielded: bool,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        let Some(outer) = outer else {
            self.close();
            return poll(cx);
        };
        let known = self.stays(outer);
        if let Some(id) = known {
            self.note_waker(outer, cx.waker());
            if outer.in_pass() {
                outer.node().lock().regions().polled(id, shielded);
            }
        }
        let frame = outer.inside(known, self.kind, location, shielded);
        let mut entered = Entered {
            region: self,
            frame: &frame,
            outer,
        };
        let polled = context::enter(&frame, || poll(cx));
        if known.is_none() && polled.is_pending() {
            entered.suspend(cx.waker(), shielded);
        }
        polled
    }

    /// A combinator that polls its children with wakers of its own would not
    /// poll this region when only the task is woken.
    fn note_waker(&mut self, frame: &Frame<'_>, waker: &Waker) {
        let Some(place) = &mut self.place else { return };
        let known = match &place.noted {
            Some(noted) => noted.will_wake(waker),
            None => frame.waker.will_wake(waker),
        };
        if !known {
            let former = place.node.lock().regions().set_waker(place.id, waker);
            drop(former);
            place.noted = Some(waker.clone());
        }
    }

    /// Whether what is inside may be dropped: it is to be left, and nothing in
    /// it must still be left in order.
    pub(crate) fn may_drop(&self, shielded: bool) -> bool {
        context::current(|frame| {
            let leaving = frame.is_some_and(|frame| match shielded {
                true => frame.must_abort(),
                false => frame.must_unwind(),
            });
            leaving && self.live() == 0
        })
    }

    /// Whether nothing inside must still be left in order.
    pub(crate) fn is_clear(&self) -> bool {
        self.live() == 0
    }

    fn live(&self) -> u32 {
        self.place
            .as_ref()
            .map_or(0, |place| place.node.lock().live(place.id))
    }

    /// Whether a pending future that must unwind has done so, and may be dropped: see
    /// [`Retries`].
    pub(super) fn is_unwound(&mut self, cx: &mut Context<'_>) -> bool {
        self.is_clear() && !self.retries.is_one_due(cx)
    }

    /// Nobody waits for the value of the future inside any more, so that none is lost.
    pub(crate) fn needs_no_value(&mut self) {
        self.retries = Retries::NONE;
    }

    pub(crate) fn kind(&self) -> RegionKind {
        self.kind
    }

    /// The node under which the region was last polled.
    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.place.as_ref().map(|place| &place.node)
    }

    #[inline]
    pub(crate) fn close(&mut self) {
        if let Some(place) = self.place.take() {
            place.give_up();
        }
    }
}

impl RegionPlace {
    fn give_up(self) {
        let waker = self.node.lock().regions().close(self.id);
        drop(waker);
        // Whoever waits for this region polls it, as a rule, and sees it gone.
        // Closed elsewhere, it has to wake the owner.
        let leaving = self.node.flags() & (flag::CANCELLED | flag::ABORTED) != 0;
        if leaving && !is_current(&self.node) {
            self.node.wake();
        }
    }
}

/// A region that is polled for the first time under a frame: keeps the place that
/// it takes, also when unwinding.
struct Entered<'a> {
    region: &'a mut Region,
    frame: &'a Frame<'a>,
    outer: &'a Frame<'a>,
}

impl Entered<'_> {
    /// Its future is pending: from now on it can be found.
    fn suspend(&mut self, waker: &Waker, shielded: bool) {
        let own_waker = !self.outer.waker.will_wake(waker);
        if !self.region.kind.holds() && !own_waker && self.frame.opened().is_none() {
            // A branch counts only for what is open inside it.
            return;
        }
        let id = self.frame.region();
        self.keep(id);
        self.region.note_waker(self.outer, waker);
        if self.outer.in_pass() {
            self.outer.node().lock().regions().polled(id, shielded);
            if own_waker {
                // Cancelled during this poll, before the waker could be found.
                waker.wake_by_ref();
            }
        }
    }

    fn keep(&mut self, id: RegionId) {
        if self.region.place.is_some() {
            return;
        }
        self.region.place = Some(RegionPlace {
            node: self.outer.node().clone(),
            parent: self.outer.region(),
            id,
            shielded: self.outer.shielded,
            noted: None,
        });
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.frame.opened() {
            self.keep(id);
        }
    }
}

fn is_current(node: &Arc<Node>) -> bool {
    context::current(|frame| {
        frame
            .and_then(Frame::made)
            .is_some_and(|made| Arc::ptr_eq(made, node))
    })
}

impl Drop for Region {
    fn drop(&mut self) {
        self.close();
    }
}

/// Counts further polls of a pending future before it is dropped. The future may only be out
/// of tokio's budget, and dropping it would lose a value that has arrived.
#[derive(Debug, Default)]
pub(crate) struct Retries(u8);

impl Retries {
    const MOST: u8 = 3;
    const NONE: Retries = Retries(Retries::MOST);

    /// Returns whether the future must be polled once more, and wakes its task then.
    pub(super) fn is_one_due(&mut self, cx: &mut Context<'_>) -> bool {
        if self.0 >= Retries::MOST || tokio::task::coop::has_budget_remaining() {
            return false;
        }
        self.0 += 1;
        cx.waker().wake_by_ref();
        true
    }
}
