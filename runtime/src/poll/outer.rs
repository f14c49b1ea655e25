//! The frame around a race, kept for the branches that only borrow their futures.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

use tokio::task::Id;

use crate::poll::context::{current, enter, outside};
use crate::poll::frame::{Frame, FrameScope};
use crate::tree::node::Node;
use crate::tree::table::RegionId;

/// A frame kept aside, to be entered again from inside another one within the
/// same poll. Empty outside any scope.
#[derive(Debug, Default)]
pub(crate) struct OuterFrame(Option<KeptFrame>);

#[derive(Debug)]
struct KeptFrame {
    node: Arc<Node>,
    mask: u32,
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
            scope: FrameScope::Node(&kept.node),
            pulse: Cell::new(&raw const kept.node.pulse),
            mask: kept.mask,
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
            node: frame.node().clone(),
            mask: frame.mask,
            region: frame.region(),
            shielded: frame.shielded,
            blocking: frame.blocking,
            waker: frame.waker.clone(),
            task: frame.task,
        }
    }

    fn is(&self, frame: &Frame<'_>) -> bool {
        frame
            .made()
            .is_some_and(|node| Arc::ptr_eq(&self.node, node))
            && frame.opened() == Some(self.region)
            && self.shielded == frame.shielded
            && self.waker.will_wake(frame.waker)
            && self.task == frame.task
    }
}
