//! A node that is made when something asks for it.
//!
//! A `timeout` whose body only awaits needs no node: nobody has a handle to it, what cancels the
//! scope outside cancels it as well, and nothing inside has to be found by others. So `timeout`,
//! `Scope::run`, `join!` and `race!` begin without one. What needs it asks the frame for its node: a
//! region, a group or a handle inside, and the scope itself once it is cancelled. From then on it is a
//! node of the tree like any other.

use std::borrow::Cow;
use std::panic::Location;
use std::ptr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::timing::Limit;
use super::{LastCheckpoint, Node, Pulse, flag};

/// What a scope without a name of its own is called by.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Construct {
    Scope,
    Timeout,
    Join,
    TryJoin,
    Race,
}

impl Construct {
    fn name(self) -> &'static str {
        match self {
            Construct::Scope => "scope",
            Construct::Timeout => "timeout",
            Construct::Join => "join!",
            Construct::TryJoin => "try_join!",
            Construct::Race => "race!",
        }
    }
}

/// The node of a scope, or what is needed to make it.
#[derive(Debug)]
pub(crate) struct LazyNode {
    made: OnceLock<Arc<Node>>,
    location: &'static Location<'static>,
    /// The last one inside, while the body is not being polled.
    last: LastCheckpoint,
    deadline: Option<Instant>,
    limit: Limit,
    construct: Construct,
}

impl LazyNode {
    #[inline]
    pub(crate) fn new(construct: Construct, location: &'static Location<'static>) -> LazyNode {
        LazyNode {
            made: OnceLock::new(),
            location,
            last: LastCheckpoint::default(),
            deadline: None,
            limit: Limit::default(),
            construct,
        }
    }

    /// The node, if it was made.
    #[inline]
    pub(crate) fn made(&self) -> Option<&Arc<Node>> {
        self.made.get()
    }

    /// The node; without a parent, if it was not made before.
    #[inline]
    pub(crate) fn node(&self) -> &Arc<Node> {
        match self.made.get() {
            Some(node) => node,
            None => self.make(),
        }
    }

    #[cold]
    fn make(&self) -> &Arc<Node> {
        self.made.get_or_init(|| {
            let node = Node::root(self.construct.name().into(), self.location);
            if let Some(deadline) = self.deadline {
                let mut inner = node.lock();
                (inner.deadline, inner.limit) = (Some(deadline), self.limit);
                node.set(flag::TIMED);
            }
            node
        })
    }

    /// The name, which asks for no node.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        match self.made() {
            Some(node) => node.name(),
            None => Cow::Borrowed(self.construct.name()),
        }
    }

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// The body is polled: checkpoints inside are noted with `pulse`, that of a scope outside.
    #[inline]
    pub(crate) fn resume(&self, pulse: &Pulse) {
        pulse.passed(self.last.get().unwrap_or(self.location));
    }

    /// The body is pending, without a node.
    #[inline]
    pub(crate) fn suspend(&self, pulse: &Pulse) {
        if let Some(last) = pulse.last.get() {
            self.last.set(last);
        }
    }

    /// The body has ended, or checkpoints are noted with the node: what was passed inside is no
    /// checkpoint of the scope outside.
    #[inline]
    pub(crate) fn end(&self, pulse: &Pulse) {
        pulse.passed(self.location);
    }

    /// Makes the node while the body is polled below `outer`.
    pub(crate) fn make_below(&self, outer: &Arc<Node>, shielded: bool) -> &Arc<Node> {
        let node = self.node();
        let last = outer.last_checkpoint();
        if let Some(last) = last.filter(|last| !ptr::eq(*last, self.location)) {
            node.pulse.passed(last);
        }
        node.attach(outer, shielded);
        node
    }

    /// The deadline that the node is made with.
    #[inline]
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// See [`Node::set_deadline`].
    #[inline]
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        match self.made.get() {
            Some(node) => node.set_deadline(Some(deadline)),
            None => (self.deadline, self.limit) = (Some(deadline), Limit::default()),
        }
    }

    /// See [`Node::limit_to`].
    #[inline]
    pub(crate) fn limit_to(&mut self, at: Instant, timeout: Duration) {
        match self.made.get() {
            Some(node) => node.limit_to(at, timeout),
            None if self.deadline.is_none_or(|deadline| at <= deadline) => {
                (self.deadline, self.limit) = (Some(at), Limit::of(timeout));
            }
            None => {}
        }
    }
}
