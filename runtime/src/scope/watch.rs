//! Futures that wait until a scope is stopped or cancelled.
//!
//! [`FlagWatch`] waits for flags of one node. [`UntilStopping`] and [`UntilCancelled`] are
//! given away: to a server that polls its shutdown signal in a task of its own, to the
//! body of a response. So each of them has two watches:
//!
//! ```text
//! scope.run(async {                       ┌ called here: `main`, then what encloses it
//!     serve.with_graceful_shutdown(stopping())
//! })                                      └ polled by a task of the server: no scope
//! ```
//!
//! 1. The scope of the *call* is noted with the scopes around it. One that ends without
//!    being asked hands over to the next: it wakes its watchers, and they go on with the
//!    scope that encloses it. A request's scope ends with the head of the response, and a
//!    body that was made in it still has to learn that the server stops.
//! 2. The scope of the *poll* is looked up at each poll, since the future may move.
//!
//! Cancelling and closing a node wake what is noted with it; a noted waker is taken out
//! when its future completes, or is dropped.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::vec;

use crate::base::sync::{Mutex, lazy_static};
use crate::notes::report::{self, ReportKind};
use crate::poll::context;
use crate::tree::node::{Node, flag};
use crate::tree::reason::Reason;

/// Waits for a flag of a node; for ever, where there is no node.
#[derive(Debug)]
pub(crate) struct FlagWatch {
    node: Option<Arc<Node>>,
    bits: u32,
    /// The flags that wake it: with `CLOSED` if it goes on with another node.
    wakes: u32,
    key: Option<usize>,
}

/// What a [`FlagWatch`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlagSeen {
    Set,
    /// The waker is noted.
    Waiting,
    /// The scope has ended, and its flags do not change any more; or there is none.
    Ended,
}

impl FlagWatch {
    pub(crate) fn new(node: Option<Arc<Node>>, bits: u32) -> FlagWatch {
        FlagWatch {
            // There is nothing to wait for.
            node: node.filter(|_| bits != 0),
            bits,
            wakes: bits,
            key: None,
        }
    }

    /// The same, woken by the end of the scope as well.
    fn until_end(node: Option<Arc<Node>>, bits: u32) -> FlagWatch {
        let mut watch = FlagWatch::new(node, bits);
        watch.wakes |= flag::CLOSED;
        watch
    }

    fn is_set(&self) -> bool {
        let node = self.node.as_ref();
        node.is_some_and(|node| node.flags_acquire() & self.bits != 0)
    }

    fn look(&mut self, cx: &mut Context<'_>) -> FlagSeen {
        let Some(node) = &self.node else {
            return FlagSeen::Ended;
        };
        // Noted before the flags are read (invariant 4 of the node).
        let noted = self.is_set() || node.watch(&mut self.key, self.wakes, cx.waker());
        match self.is_set() {
            true => {
                node.unwatch(&mut self.key);
                FlagSeen::Set
            }
            false if noted => FlagSeen::Waiting,
            false => FlagSeen::Ended,
        }
    }

    fn watches(&self, node: &Arc<Node>, bits: u32) -> bool {
        let own = self.node.as_ref();
        self.bits == bits && own.is_some_and(|own| Arc::ptr_eq(own, node))
    }

    fn reason(&self) -> Option<Reason> {
        let origin = self.node.as_ref()?.origin()?;
        Some(origin.reason.clone())
    }
}

impl Future for FlagWatch {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.look(cx) {
            FlagSeen::Set => Poll::Ready(()),
            FlagSeen::Waiting | FlagSeen::Ended => Poll::Pending,
        }
    }
}

impl Drop for FlagWatch {
    fn drop(&mut self) {
        if let Some(node) = &self.node {
            node.unwatch(&mut self.key);
        }
    }
}

/// The flags that count where a shield lies in between: a cancellation does not pass it.
fn shielded(bits: u32) -> u32 {
    bits & flag::STOPPING
}

/// Waits for the scope of the call, or of the poll.
struct Until {
    /// What is waited for; without a shield in between.
    bits: u32,
    called: FlagWatch,
    /// The scopes around it, the innermost first.
    around: vec::IntoIter<(Arc<Node>, u32)>,
    polled: FlagWatch,
    /// What was called, and where: to be reported if there is no scope.
    unscoped: Option<(&'static str, &'static Location<'static>)>,
}

impl Until {
    fn new(bits: u32, what: &'static str, location: &'static Location<'static>) -> Until {
        let mut around = lineage(bits).into_iter();
        let unscoped = (around.len() == 0).then_some((what, location));
        let (node, called) = around.next().unzip();
        Until {
            bits,
            called: FlagWatch::until_end(node, called.unwrap_or_default()),
            around,
            polled: FlagWatch::new(None, bits),
            unscoped,
        }
    }

    /// The watch that has found its scope asked.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<&FlagWatch> {
        if self.poll_called(cx) {
            return Poll::Ready(&self.called);
        }
        if self.poll_here(cx) {
            return Poll::Ready(&self.polled);
        }
        Poll::Pending
    }

    fn poll_called(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match self.called.look(cx) {
                FlagSeen::Set => return true,
                FlagSeen::Waiting => return false,
                FlagSeen::Ended => {}
            }
            let Some((node, bits)) = self.around.next() else {
                return false;
            };
            self.called = FlagWatch::until_end(Some(node), bits);
        }
    }

    fn poll_here(&mut self, cx: &mut Context<'_>) -> bool {
        let Some((node, is_shielded)) = context::ambient() else {
            self.polled = FlagWatch::new(None, self.bits);
            self.report_unscoped();
            return false;
        };
        let bits = if is_shielded {
            shielded(self.bits)
        } else {
            self.bits
        };
        // Most are polled where they were called.
        if self.called.watches(&node, bits) {
            return false;
        }
        if !self.polled.watches(&node, bits) {
            self.polled = FlagWatch::new(Some(node), bits);
        }
        self.polled.look(cx) == FlagSeen::Set
    }

    /// Called and polled outside any scope, the future never completes.
    fn report_unscoped(&mut self) {
        lazy_static! {
            // One for each line of the program at most.
            static ref REPORTED: Mutex<Vec<usize>> = Mutex::default();
        }
        let Some((what, location)) = self.unscoped.take() else {
            return;
        };
        let line = ptr::from_ref(location).addr();
        let mut reported = REPORTED.lock();
        if reported.contains(&line) {
            return;
        }
        reported.push(line);
        drop(reported);
        let message = format!(
            "`{what}()` is called and awaited outside any scope, where it never completes; \
             call it inside the scope that it should follow, or use that scope's `CancelHandle`"
        );
        report::report(ReportKind::Unscoped, "", message, location);
    }
}

/// The current scope and those around it, the innermost first, each with the flags that
/// count there. Empty outside any scope.
fn lineage(bits: u32) -> Vec<(Arc<Node>, u32)> {
    let mut scopes = Vec::new();
    let mut at = context::ambient();
    let mut bits = bits;
    while let Some((node, is_shielded)) = at {
        if is_shielded {
            bits = shielded(bits);
        }
        at = node.parent();
        scopes.push((node, bits));
    }
    scopes
}

/// Future of [`stopping`](crate::stopping()): completes when a scope is asked to stop, or
/// is cancelled.
///
/// It may be kept, moved to another task, and polled outside any scope.
#[must_use = "futures do nothing unless awaited"]
pub struct UntilStopping(Until);

impl UntilStopping {
    pub(crate) fn new(location: &'static Location<'static>) -> UntilStopping {
        let bits = flag::STOPPING | flag::CANCELLED;
        UntilStopping(Until::new(bits, "stopping", location))
    }
}

impl fmt::Debug for UntilStopping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilStopping").finish_non_exhaustive()
    }
}

impl Future for UntilStopping {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.poll(cx).map(drop)
    }
}

/// Future of [`cancelled`](crate::cancelled()): completes when a scope is cancelled, with
/// the reason.
///
/// It may be kept, moved to another task, and polled outside any scope.
#[must_use = "futures do nothing unless awaited"]
pub struct UntilCancelled(Until);

impl UntilCancelled {
    pub(crate) fn new(location: &'static Location<'static>) -> UntilCancelled {
        UntilCancelled(Until::new(flag::CANCELLED, "cancelled", location))
    }
}

impl fmt::Debug for UntilCancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilCancelled").finish_non_exhaustive()
    }
}

impl Future for UntilCancelled {
    type Output = Reason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Reason> {
        let watch = self.0.poll(cx);
        watch.map(|watch| watch.reason().unwrap_or(Reason::Requested))
    }
}
