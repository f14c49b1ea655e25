//! How a body ended.

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::base::caught::{Panic, catch};
use crate::notes::report::{self, ReportKind};
use crate::poll::context;
use crate::tree::node::Node;

/// How a body ended. The panic is kept until all around it has been left.
#[derive(Debug)]
pub enum Exit<T> {
    /// It returned.
    Value(T),
    /// Its block ended, by falling through, `break` or `continue`.
    Ended,
    /// It was cancelled and dropped where it was suspended.
    Unwound,
    /// It panicked.
    Panicked(Panic),
}

impl<T> Exit<T> {
    /// How a future has ended, given what polling it returned; `None` if it is pending.
    #[inline]
    pub(crate) fn of(polled: Result<Poll<T>, Panic>) -> Option<Exit<T>> {
        match polled {
            Ok(Poll::Ready(value)) => Some(Exit::Value(value)),
            Ok(Poll::Pending) => None,
            Err(panic) => Some(Exit::Panicked(panic)),
        }
    }

    /// Drops the future that has ended so, outside of every scope. A panic of its drop
    /// counts as its own.
    #[inline]
    pub(crate) fn after_drop<F>(
        mut self,
        slot: Pin<&mut Option<F>>,
        site: PanicSite<'_>,
    ) -> Exit<T> {
        if let Err(panic) = context::drop_outside(slot) {
            self.add_panic(panic, site);
        }
        self
    }

    /// Whether it was left by cancellation.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Exit::Unwound)
    }

    /// A later panic, while leaving. The first one stays; the later one is reported.
    #[cold]
    pub(crate) fn add_panic(&mut self, panic: Panic, site: PanicSite<'_>) {
        if matches!(self, Exit::Panicked(_)) {
            return site.report(&panic);
        }
        std::mem::replace(self, Exit::Panicked(panic)).lose(site);
    }

    /// Drops it where it is returned to nobody, since a panic is resumed or the boundary
    /// is dropped. Its own panic is reported.
    pub(crate) fn lose(self, site: PanicSite<'_>) {
        match self {
            Exit::Panicked(panic) => site.report(&panic),
            Exit::Value(value) => site.discard(value),
            Exit::Ended | Exit::Unwound => {}
        }
    }
}

/// A panic that is resumed when all around it has been left. Dropped before, it is
/// reported.
#[derive(Debug)]
pub(crate) struct KeptPanic {
    /// Until it is taken. Apart: few futures have one, and all have the place for it.
    panic: Option<Box<Panic>>,
    node: Arc<Node>,
}

impl KeptPanic {
    pub(crate) fn new(panic: Panic, node: &Arc<Node>) -> KeptPanic {
        KeptPanic {
            panic: Some(Box::new(panic)),
            node: node.clone(),
        }
    }

    pub(crate) fn take(mut self) -> Panic {
        match self.panic.take() {
            Some(panic) => *panic,
            None => unreachable!("it is taken here alone, and by `drop`"),
        }
    }
}

impl Drop for KeptPanic {
    fn drop(&mut self) {
        if let Some(panic) = &self.panic {
            PanicSite::of(&self.node).report(panic);
        }
    }
}

/// Where a panic came about that is not resumed, since another one is under way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PanicSite<'a> {
    /// The current one, if it is not said.
    pub(crate) node: Option<&'a Arc<Node>>,
    /// That of the node's last checkpoint, if it is not said.
    pub(crate) location: Option<&'static Location<'static>>,
}

impl<'a> PanicSite<'a> {
    pub(crate) fn of(node: &'a Arc<Node>) -> PanicSite<'a> {
        PanicSite {
            node: Some(node),
            location: None,
        }
    }

    /// Reports a panic that nobody is told of otherwise.
    pub(crate) fn report(self, panic: &Panic) {
        let ambient = context::ambient().map(|(node, _)| node);
        let node = self.node.or(ambient.as_ref());
        let location = self.location.or(node.map(|node| node.last_location()));
        // Outside of every scope there is no place to name. std has printed it.
        if let Some(location) = location
            && !panic.is_named()
        {
            let path = node.map(Node::path).unwrap_or_default();
            let message = format!("a panic that is not resumed: {}", panic.message());
            report::report(ReportKind::Unreported, &path, message, location);
        }
    }

    /// Drops a value of the user's: whatever its `Drop` does, what is under way here
    /// comes to its end.
    pub(crate) fn discard<T>(self, value: T) {
        if let Err(panic) = context::outside(|| catch(|| drop(value))) {
            self.report(&panic);
        }
    }
}

/// A future that has completed is polled again: nothing would ever wake its caller.
#[cold]
pub(crate) fn polled_after_completion(what: impl fmt::Display, location: &Location<'_>) -> ! {
    panic!("`{what}` at {location} polled after completion")
}
