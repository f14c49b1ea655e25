//! Futures that cancel or stop the scope that they were given to.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;

use crate::base::caught::{Panic, catch, drop_each};
use crate::tree::node::Node;
use crate::tree::reason::Reason;
use crate::unwind::exit::{KeptPanic, PanicSite};

/// What a trigger does to its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Cancel,
    Stop,
}

type Pending<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// The triggers of one scope.
#[derive(Default)]
pub(crate) struct Triggers<'a> {
    pending: Vec<(Action, Pending<'a>)>,
    /// To be resumed once the scope has ended.
    panic: Option<KeptPanic>,
}

impl<'a> Triggers<'a> {
    pub(crate) fn add<F: Future + Send + 'a>(&mut self, action: Action, future: F) {
        let future = Box::pin(async { drop(future.await) });
        self.pending.push((action, future));
    }

    /// Most scopes have none.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        (!self.pending.is_empty()).then(|| Box::new(self))
    }

    /// The scope has ended: drops the rest.
    pub(crate) fn into_panic(mut self, node: &Arc<Node>) -> Option<Panic> {
        self.clear(node);
        self.panic.map(KeptPanic::take)
    }

    /// The first one stays; a later one is reported.
    fn note_panic(&mut self, panic: Panic, node: &Arc<Node>) {
        if self.panic.is_some() {
            return PanicSite::of(node).report(&panic);
        }
        self.panic = Some(KeptPanic::new(panic, node));
    }

    /// Polls all, and returns what to do. A future that panics cancels the scope.
    fn poll(&mut self, node: &Arc<Node>, cx: &mut Context<'_>) -> Option<Action> {
        let mut found = None;
        let polled = catch(|| {
            self.pending.retain_mut(|(action, future)| {
                let is_ready = future.as_mut().poll(cx).is_ready();
                if is_ready && found != Some(Action::Cancel) {
                    found = Some(*action);
                }
                !is_ready
            });
        });
        if let Err(panic) = polled {
            self.note_panic(panic, node);
            found = Some(Action::Cancel);
        }
        if found == Some(Action::Cancel) {
            self.clear(node);
        }
        found
    }

    /// Drops the rest: the scope is cancelled once.
    fn clear(&mut self, node: &Arc<Node>) {
        let pending = std::mem::take(&mut self.pending);
        let mut panics = Vec::new();
        drop_each(pending, &mut panics);
        for panic in panics {
            self.note_panic(panic, node);
        }
    }
}

/// Whether a trigger has just cancelled or stopped the scope.
#[inline]
pub(crate) fn poll(
    triggers: &mut Option<Box<Triggers<'_>>>,
    node: &Arc<Node>,
    cx: &mut Context<'_>,
) -> bool {
    let action = triggers
        .as_mut()
        .and_then(|triggers| triggers.poll(node, cx));
    match action {
        None => false,
        Some(Action::Cancel) => node.cancel(Reason::Requested),
        Some(Action::Stop) => {
            node.stop();
            true
        }
    }
}
