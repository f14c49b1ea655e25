//! A node that is made when something asks for it.
//!
//! A `timeout` whose body only awaits needs no node: it has nothing that anyone could cancel but
//! its body, of which it knows itself, and nothing that would have to be unwound. So `timeout`,
//! `Scope::run`, `join!` and `race!` begin without one. What needs it (a region, a group, a handle)
//! asks the frame for its node, and from then on the scope is a node of the tree like any other.

use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

use super::timing::Limit;
use super::{Node, flag};

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

    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
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
