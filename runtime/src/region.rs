//! Code that must be left in order, from the side of the future that is it.

use std::panic::Location;
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::context::{self, Frame};
use crate::node::{Node, flag};
use crate::table::{Kind, RegionId};

/// A region's place in the table of the node under which it was last polled.
#[derive(Debug)]
struct Place {
    node: Arc<Node>,
    parent: RegionId,
    id: RegionId,
    shielded: bool,
    /// The waker noted with the node, where it is not the task's.
    noted: Option<Waker>,
}

/// A region; closed when dropped.
///
/// Outside any scope it has no place. Polled under another parent than before
/// (its future was moved), it moves there.
#[derive(Debug)]
pub(crate) struct Region {
    kind: Kind,
    place: Option<Place>,
}

impl Region {
    /// Code that is itself to be left in order.
    pub(crate) fn holding(kind: Kind) -> Region {
        Region { kind, place: None }
    }

    /// A scope or group inside another one.
    pub(crate) fn boundary() -> Region {
        Region {
            kind: Kind::Boundary,
            place: None,
        }
    }

    /// A branch: dropped as soon as nothing inside it holds.
    pub(crate) fn branch() -> Region {
        Region {
            kind: Kind::Branch,
            place: None,
        }
    }

    /// Takes a place below `frame`, or keeps the one it has there. The location
    /// is for those who look at it, and not kept here: regions are to be small.
    pub(crate) fn open(
        &mut self,
        frame: &Frame<'_>,
        location: Option<&'static Location<'static>>,
    ) -> RegionId {
        if let Some(place) = &self.place {
            let stays = Arc::ptr_eq(&place.node, frame.node)
                && place.parent == frame.region
                && place.shielded == frame.shielded;
            if stays {
                return place.id;
            }
        }
        self.close();
        let id =
            frame
                .node
                .lock()
                .regions()
                .open(frame.region, self.kind, location, frame.shielded);
        self.place = Some(Place {
            node: frame.node.clone(),
            parent: frame.region,
            id,
            shielded: frame.shielded,
            noted: None,
        });
        id
    }

    /// Polls what lies inside: `poll` runs in a frame of this region, shielded
    /// or not.
    pub(crate) fn enter<R>(
        &mut self,
        cx: &mut Context<'_>,
        shielded: bool,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        self.enter_at(None, cx, shielded, poll)
    }

    /// The same for code that stands at a known line.
    pub(crate) fn enter_at<R>(
        &mut self,
        location: Option<&'static Location<'static>>,
        cx: &mut Context<'_>,
        shielded: bool,
        poll: impl FnOnce(&mut Context<'_>) -> R,
    ) -> R {
        context::current(|frame| {
            let Some(frame) = frame else {
                self.close();
                return poll(cx);
            };
            let id = self.open(frame, location);
            self.note_waker(frame, cx.waker());
            if frame.in_pass() {
                frame.node.lock().regions().polled(id, shielded);
            }
            context::enter(&frame.inside(id, shielded), || poll(cx))
        })
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
                true => frame.aborting(),
                false => frame.leaving(),
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

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The node under which the region was last polled.
    pub(crate) fn node(&self) -> Option<&Arc<Node>> {
        self.place.as_ref().map(|place| &place.node)
    }

    pub(crate) fn close(&mut self) {
        let Some(place) = self.place.take() else {
            return;
        };
        let waker = place.node.lock().regions().close(place.id);
        drop(waker);
        // Whoever waits for this region polls it, as a rule, and sees it gone.
        // Closed elsewhere, it has to wake the owner.
        let leaving = place.node.flags() & (flag::CANCELLED | flag::ABORTED) != 0;
        if leaving && !is_current(&place.node) {
            place.node.wake();
        }
    }
}

fn is_current(node: &Arc<Node>) -> bool {
    context::current(|frame| frame.is_some_and(|frame| Arc::ptr_eq(frame.node, node)))
}

impl Drop for Region {
    fn drop(&mut self) {
        self.close();
    }
}

/// Whether a pending future may only be out of tokio's budget, so that a value
/// that has arrived would be lost by dropping it. `tries` bounds the retries.
pub(crate) fn out_of_budget(tries: &mut u8, cx: &mut Context<'_>) -> bool {
    const MAX_TRIES: u8 = 3;
    if *tries >= MAX_TRIES || tokio::task::coop::has_budget_remaining() {
        return false;
    }
    *tries += 1;
    cx.waker().wake_by_ref();
    true
}
