//! Stops at each point of a run at which a cancellation can take effect: for
//! [`cancel_everywhere`](crate::testing::cancel_everywhere).
//!
//! On a thread with a probe, polls begin without a budget of checkpoints, so that
//! every gate takes its slow path and asks here. Other threads pay nothing.

use std::cell::RefCell;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::{Arc, Weak};

use crate::base::sync::Mutex;
use crate::poll::context::open_regions;
use crate::poll::frame::Frame;
use crate::tree::node::{Node, flag};
use crate::tree::table::{RegionId, RegionKind};

/// What a [`Point`](crate::testing::Point) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PointKind {
    /// A checkpoint that was passed: an await of annotated code is about to
    /// begin, or a round of a loop.
    Checkpoint,
    /// A task waits, at the await after the checkpoint that it passed last.
    Suspension,
}

/// One of the points, as it was reached.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    pub(crate) kind: PointKind,
    pub(crate) place: CodePlace,
    /// Where else the run stood: cancelled, it unwinds from there as well.
    pub(crate) others: Vec<CodePlace>,
    /// The checkpoint that the code went on to after that, and was refused at.
    pub(crate) refused_at: Option<&'static Location<'static>>,
    /// The address of the node that reached it, to know it again.
    node: usize,
}

/// A place where code stood when the point was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CodePlace {
    pub(crate) location: &'static Location<'static>,
    pub(crate) path: String,
}

/// The last checkpoint of each region, by the address of its node: branches of one task have
/// regions of their own. The address is not used again for as long as the node is kept.
type LastCheckpoints = HashMap<(usize, RegionId), (Weak<Node>, &'static Location<'static>)>;

/// Called at the point that is looked for.
pub(crate) type PointHook = Arc<dyn Fn(&Reached) + Send + Sync>;

#[derive(Default)]
struct ProbeState {
    counted: u32,
    /// The point at which to act, counted from one.
    target: Option<(u32, PointHook)>,
    reached: Option<Reached>,
    passed: LastCheckpoints,
    /// Checkpoints since the task last gave way.
    unbroken: u32,
    /// The gate itself makes the poll pending.
    giving_way: bool,
}

/// Counts the points of the threads that it is installed on.
pub(crate) struct Probe {
    suspensions_only: bool,
    /// How many checkpoints a task passes before it gives way.
    budget: u32,
    state: Mutex<ProbeState>,
}

thread_local! {
    static PROBE: RefCell<Option<Arc<Probe>>> = const { RefCell::new(None) };
}

/// Takes the probe out again.
pub(crate) struct InstalledProbe(());

impl Drop for InstalledProbe {
    fn drop(&mut self) {
        PROBE.set(None);
    }
}

impl Probe {
    pub(crate) fn new(
        suspensions_only: bool,
        budget: u32,
        target: Option<(u32, PointHook)>,
    ) -> Probe {
        Probe {
            suspensions_only,
            budget,
            state: Mutex::new(ProbeState {
                target,
                ..ProbeState::default()
            }),
        }
    }

    pub(crate) fn install(self: &Arc<Self>) -> InstalledProbe {
        PROBE.set(Some(self.clone()));
        InstalledProbe(())
    }

    /// Installs it on a thread of the blocking pool, for as long as that lives.
    pub(crate) fn install_for_good(self: &Arc<Self>) {
        PROBE.set(Some(self.clone()));
    }

    /// How many points were passed.
    pub(crate) fn points(&self) -> u32 {
        self.state.lock().counted
    }

    /// The point at which something was done.
    pub(crate) fn reached(&self) -> Option<Reached> {
        self.state.lock().reached.clone()
    }

    fn point(&self, kind: PointKind, node: &Arc<Node>) {
        if self.suspensions_only && kind == PointKind::Checkpoint {
            return;
        }
        let mut state = self.state.lock();
        // What happens on the way out is another story.
        if state.reached.is_some() {
            return;
        }
        state.counted += 1;
        let hook = match &state.target {
            Some((number, hook)) if *number == state.counted => hook.clone(),
            _ => return,
        };
        let here = CodePlace {
            location: node.last_location(),
            path: node.path(),
        };
        let mut others = all_places(node, &state.passed);
        others.retain(|place| *place != here);
        let reached = Reached {
            kind,
            place: here,
            others,
            refused_at: None,
            node: Arc::as_ptr(node).addr(),
        };
        state.reached = Some(reached.clone());
        drop(state);
        hook(&reached);
    }
}

/// Where code stands in the tree that `node` is in.
fn all_places(node: &Arc<Node>, passed: &LastCheckpoints) -> Vec<CodePlace> {
    // What has not been pending yet is not in the tables.
    open_regions();
    let mut root = node.clone();
    while let Some((parent, _)) = root.parent() {
        root = parent;
    }
    let mut places = Vec::new();
    let mut stack = vec![root];
    while let Some(node) = stack.pop() {
        for location in places_in(&node, passed) {
            let path = node.path();
            let place = CodePlace { location, path };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        stack.extend(node.children());
    }
    places
}

/// Where the branches stand that run in this node itself: at the last checkpoint of the
/// innermost region that has passed one. A scope or group inside has a node of its own.
fn places_in(node: &Arc<Node>, passed: &LastCheckpoints) -> Vec<&'static Location<'static>> {
    let innermost = node.lock().innermost();
    let own = innermost
        .iter()
        .filter(|(kind, _)| *kind != RegionKind::Boundary);
    let last = own.filter_map(|(_, regions)| {
        let at = Arc::as_ptr(node).addr();
        let mut passed = regions
            .iter()
            .filter_map(|region| passed.get(&(at, *region)));
        passed.next().map(|(_, location)| *location)
    });
    last.collect()
}

fn current() -> Option<Arc<Probe>> {
    PROBE.with_borrow(Clone::clone)
}

/// A gate is passed in this node. True when the task is to give way first, as it
/// would now and then without a probe.
pub(crate) fn gives_way(frame: &Frame<'_>) -> bool {
    let Some(probe) = current() else { return true };
    let (node, region) = (frame.node(), frame.region());
    let mut state = probe.state.lock();
    let here = (Arc::as_ptr(node).addr(), region);
    let last = (Arc::downgrade(node), node.last_location());
    state.passed.insert(here, last);
    state.unbroken += 1;
    if state.unbroken > probe.budget {
        state.unbroken = 0;
        state.giving_way = true;
        return true;
    }
    drop(state);
    probe.point(PointKind::Checkpoint, node);
    false
}

/// A checkpoint of blocking code is passed in this node; false on a thread without
/// a probe.
pub(crate) fn asks_blocking(node: &Arc<Node>) -> bool {
    let probe = current();
    if let Some(probe) = &probe {
        probe.point(PointKind::Checkpoint, node);
    }
    probe.is_some()
}

/// A gate in this node is closed.
pub(crate) fn refused(node: &Arc<Node>) {
    let Some(probe) = current() else { return };
    let mut state = probe.state.lock();
    if let Some(reached) = &mut state.reached
        && reached.kind == PointKind::Suspension
        && reached.node == Arc::as_ptr(node).addr()
    {
        reached.refused_at.get_or_insert(node.last_location());
    }
}

/// The outermost boundary of a poll is pending.
pub(crate) fn suspended(node: &Arc<Node>) {
    let Some(probe) = current() else { return };
    let mut state = probe.state.lock();
    state.unbroken = 0;
    if std::mem::take(&mut state.giving_way) {
        return;
    }
    drop(state);
    probe.point(PointKind::Suspension, &innermost(node));
}

/// The scope inside this task that waits: its last checkpoint tells where.
fn innermost(node: &Arc<Node>) -> Arc<Node> {
    let mut at = node.clone();
    loop {
        let is_part = |child: &Arc<Node>| child.flags() & (flag::TASK | flag::BLOCKING) == 0;
        let inside = at.children().into_iter().find(is_part);
        match inside {
            Some(inside) if inside.last_checkpoint().is_some() => at = inside,
            _ => return at,
        }
    }
}
