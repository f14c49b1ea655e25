//! Stops at each point of a run at which a cancellation can take effect: for
//! [`cancel_everywhere`](crate::testing::cancel_everywhere).
//!
//! On a thread with a probe, polls begin without a budget of checkpoints, so that
//! every gate takes its slow path and asks here. Other threads pay nothing.

use std::cell::RefCell;
use std::panic::Location;
use std::sync::Arc;

use crate::node::{Node, flag};
use crate::sync::Mutex;

/// Where a run can be interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Checkpoint,
    Suspension,
}

/// One of the points, as it was reached.
#[derive(Clone, Debug)]
pub(crate) struct Reached {
    pub(crate) kind: Kind,
    pub(crate) location: &'static Location<'static>,
    pub(crate) path: String,
    /// Its address, to know it again.
    node: usize,
}

/// What is done at the point that is looked for.
pub(crate) type Act = Arc<dyn Fn(&Reached) + Send + Sync>;

struct State {
    counted: u32,
    /// The point at which to act, counted from one.
    target: Option<(u32, Act)>,
    reached: Option<Reached>,
    /// Where the code went on to after that, and was refused.
    left: Option<&'static Location<'static>>,
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
    state: Mutex<State>,
}

thread_local! {
    static PROBE: RefCell<Option<Arc<Probe>>> = const { RefCell::new(None) };
}

/// Takes the probe out again.
pub(crate) struct Installed(());

impl Drop for Installed {
    fn drop(&mut self) {
        PROBE.set(None);
    }
}

impl Probe {
    pub(crate) fn new(suspensions_only: bool, budget: u32, target: Option<(u32, Act)>) -> Probe {
        Probe {
            suspensions_only,
            budget,
            state: Mutex::new(State {
                counted: 0,
                target,
                reached: None,
                left: None,
                unbroken: 0,
                giving_way: false,
            }),
        }
    }

    pub(crate) fn install(self: &Arc<Self>) -> Installed {
        PROBE.set(Some(self.clone()));
        Installed(())
    }

    /// Installs it on a thread of the blocking pool, for as long as that lives.
    pub(crate) fn stay(self: &Arc<Self>) {
        PROBE.set(Some(self.clone()));
    }

    /// How many points were passed.
    pub(crate) fn points(&self) -> u32 {
        self.state.lock().counted
    }

    /// The point at which something was done, and the checkpoint that the code
    /// came to after it.
    pub(crate) fn reached(&self) -> Option<(Reached, Option<&'static Location<'static>>)> {
        let state = self.state.lock();
        state.reached.clone().map(|reached| (reached, state.left))
    }

    fn point(&self, kind: Kind, node: &Arc<Node>) {
        if self.suspensions_only && kind == Kind::Checkpoint {
            return;
        }
        let mut state = self.state.lock();
        // What happens on the way out is another story.
        if state.reached.is_some() {
            return;
        }
        state.counted += 1;
        let Some((target, act)) = &state.target else {
            return;
        };
        if state.counted != *target {
            return;
        }
        let act = act.clone();
        let reached = Reached {
            kind,
            location: node.last_location(),
            path: node.path(),
            node: Arc::as_ptr(node).addr(),
        };
        state.reached = Some(reached.clone());
        drop(state);
        act(&reached);
    }
}

fn current() -> Option<Arc<Probe>> {
    PROBE.with_borrow(Clone::clone)
}

/// A gate is passed in this node. True when the task is to give way first, as it
/// would now and then without a probe.
pub(crate) fn gives_way(node: &Arc<Node>) -> bool {
    let Some(probe) = current() else { return true };
    let mut state = probe.state.lock();
    state.unbroken += 1;
    if state.unbroken > probe.budget {
        state.unbroken = 0;
        state.giving_way = true;
        return true;
    }
    drop(state);
    probe.point(Kind::Checkpoint, node);
    false
}

/// A checkpoint of blocking code is passed in this node; false on a thread without
/// a probe.
pub(crate) fn asks_blocking(node: &Arc<Node>) -> bool {
    let probe = current();
    if let Some(probe) = &probe {
        probe.point(Kind::Checkpoint, node);
    }
    probe.is_some()
}

/// A gate in this node is closed.
pub(crate) fn refused(node: &Arc<Node>) {
    let Some(probe) = current() else { return };
    let mut state = probe.state.lock();
    let same = |reached: &Reached| {
        reached.kind == Kind::Suspension && reached.node == Arc::as_ptr(node).addr()
    };
    if state.reached.as_ref().is_some_and(same) && state.left.is_none() {
        state.left = Some(node.last_location());
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
    probe.point(Kind::Suspension, &innermost(node));
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
