//! The frame of a poll: the node and the region that code runs in, and how a cancellation
//! reaches it.

use std::cell::Cell;
use std::panic::Location;
use std::ptr;
use std::sync::Arc;
use std::task::Waker;

use tokio::task::Id;
use tokio::time::Instant;

use crate::tree::node::lazy::LazyNode;
use crate::tree::node::{Node, Pulse, flag};
use crate::tree::table::{RegionId, RegionKind};

/// What the current poll runs in.
pub(crate) struct Frame<'a> {
    pub(super) scope: FrameScope<'a>,
    /// What gates look at while this frame is the current one: see [`Frame::pulse`].
    pub(super) pulse: Cell<*const Pulse>,
    /// The flags that close a gate.
    pub(super) mask: u32,
    /// The region that what is opened now lies in, once that is open.
    pub(super) region: Cell<Option<RegionId>>,
    /// What to open then.
    pub(super) unopened: Option<Unopened<'a>>,
    /// The frame that was current when this one was entered.
    pub(super) below: Cell<*const Frame<'static>>,
    /// Inside a shield or a cleanup.
    pub(crate) shielded: bool,
    /// On a thread that may block: nothing is left here, code asks for itself.
    pub(super) blocking: bool,
    /// The waker that polls the node's future.
    pub(crate) waker: &'a Waker,
    /// The tokio task, `None` under `Runtime::block_on`.
    pub(super) task: Option<Id>,
}

/// The scope of a frame.
#[derive(Clone, Copy)]
pub(super) enum FrameScope<'a> {
    Node(&'a Arc<Node>),
    /// One that lies in the scope of another frame, and has no node while none is asked for:
    /// until then, what cancels the outer one cancels it.
    Lazy(&'a LazyNode, &'a Frame<'a>),
}

/// A region that is opened when something has to find it: a future that is ready
/// at once needs none.
pub(super) struct Unopened<'a> {
    outer: &'a Frame<'a>,
    kind: RegionKind,
    location: Option<&'static Location<'static>>,
}

impl<'a> Frame<'a> {
    /// The frame of a node's own future.
    pub(crate) fn of(node: &'a Arc<Node>, waker: &'a Waker) -> Self {
        let task = tokio::task::try_id();
        Frame {
            scope: FrameScope::Node(node),
            pulse: Cell::new(&raw const node.pulse),
            mask: flag::CANCELLED | flag::ABORTED,
            region: Cell::new(Some(RegionId::ROOT)),
            unopened: None,
            below: Cell::new(ptr::null()),
            shielded: false,
            blocking: false,
            waker,
            task,
        }
    }

    /// The frame of a scope inside this one that has no node yet.
    #[inline]
    pub(crate) fn lazy(&'a self, node: &'a LazyNode, waker: &'a Waker) -> Frame<'a> {
        Frame {
            scope: FrameScope::Lazy(node, self),
            pulse: self.pulse.clone(),
            region: Cell::new(Some(RegionId::ROOT)),
            unopened: None,
            below: Cell::new(ptr::null()),
            waker,
            ..*self
        }
    }

    /// The frame of code that blocks its thread.
    pub(crate) fn blocking(node: &'a Arc<Node>, shielded: bool) -> Self {
        Frame {
            mask: 0,
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
            scope: self.scope,
            pulse: self.pulse.clone(),
            mask: if shielded && !self.blocking {
                flag::ABORTED
            } else {
                self.mask
            },
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
                self.node()
                    .open_region(within, *kind, *location, outer.shielded)
            }
        };
        self.region.set(Some(id));
        id
    }

    /// The node, if there is one.
    #[inline]
    pub(crate) fn made(&self) -> Option<&'a Arc<Node>> {
        match self.scope {
            FrameScope::Node(node) => Some(node),
            FrameScope::Lazy(node, _) => node.made(),
        }
    }

    /// What gates look at: the pulse of the node, or of the nearest one outside.
    #[inline]
    pub(crate) fn pulse(&self) -> &'a Pulse {
        match self.scope {
            FrameScope::Node(node) => &node.pulse,
            FrameScope::Lazy(node, outer) => match node.made() {
                Some(node) => &node.pulse,
                None => outer.pulse(),
            },
        }
    }

    /// The earliest deadline that will cancel the code of this frame.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.shielded {
            return None;
        }
        match (self.scope, self.made()) {
            (FrameScope::Lazy(node, outer), None) => {
                let (own, outer) = (node.deadline(), outer.deadline());
                own.into_iter().chain(outer).min()
            }
            _ => self.node().effective_deadline(),
        }
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
        self.flags() & self.cancelling() != 0
    }

    /// The flags that count for this code.
    #[inline]
    pub(crate) fn flags(&self) -> u32 {
        self.pulse().flags_acquire()
    }

    /// Whether the code of this frame is cancelled and must unwind.
    #[inline]
    pub(crate) fn must_unwind(&self) -> bool {
        self.flags() & self.mask != 0
    }

    pub(crate) fn must_abort(&self) -> bool {
        !self.blocking && self.flags() & flag::ABORTED != 0
    }

    /// Whether regions have to report that they were polled.
    pub(crate) fn in_pass(&self) -> bool {
        !self.blocking && self.pulse().flags() & (flag::CANCELLED | flag::ABORTED) != 0
    }

    pub(super) fn is_ours(&self) -> bool {
        self.task == tokio::task::try_id()
    }
}
