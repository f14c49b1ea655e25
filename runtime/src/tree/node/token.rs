//! A cancellation token that follows the node.

use std::sync::Arc;
use std::task::{Wake, Waker};

use tokio_util::sync::CancellationToken;

use super::inner::{Inner, Watcher};
use super::{Node, flag};

/// Cancels the token instead of waking a task: nothing else has to run for it.
struct Follow(CancellationToken);

impl Wake for Follow {
    fn wake(self: Arc<Self>) {
        self.0.cancel();
    }
}

impl Node {
    /// A new token, cancelled together with the node. One that all tokens are children of
    /// stands among the watchers, so that those that are dropped leave nothing behind.
    pub(crate) fn token(&self) -> CancellationToken {
        let mut inner = self.lock();
        // Before the look at `CLOSED` (invariant 7).
        self.use_locked();
        // Under the lock, which the walk takes, too (invariant 3).
        let flags = self.flags();
        let parent = if flags & (flag::CANCELLED | flag::CLOSED) == 0 {
            following(&mut inner)
        } else {
            CancellationToken::new()
        };
        drop(inner);
        if flags & flag::CANCELLED != 0 {
            parent.cancel();
        }
        parent.child_token()
    }
}

/// The token that is cancelled by the walk.
fn following(inner: &mut Inner) -> CancellationToken {
    let rest = inner.rest();
    let watchers = &mut rest.watchers;
    let new = || {
        let token = CancellationToken::new();
        let waker = Waker::from(Arc::new(Follow(token.clone())));
        let bits = flag::CANCELLED;
        watchers.insert(Watcher { bits, waker });
        token
    };
    rest.token.get_or_insert_with(new).clone()
}
