//! `shield`: code that a cancellation does not reach.

use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::tree::table::RegionKind;
use crate::unwind::cleanup::parked;
use crate::unwind::exit::{Exit, polled_after_completion};
use crate::unwind::lost::report_lost;
use crate::unwind::region::Region;

/// Runs `future` to its end, whatever is cancelled around it.
///
/// Inside, the code runs as if nothing had been cancelled: checkpoints are open,
/// [`is_cancelled`](crate::is_cancelled) is false, [`deadline`](crate::deadline())
/// is `None`, and groups and timeouts opened there work as ever. The value is
/// passed out unchanged; the cancellation takes effect right after, at the next
/// checkpoint. Neither the beginning nor the end of a shield is a checkpoint.
///
/// `#[cancellable]` sees that where the shield is awaited in the expression that makes it, also in
/// parentheses, a block, `pin!` or `Box::pin`. It does not see into a variable: in a scope that is
/// cancelled already, `let save = shield(commit()); save.await` ends before the commit begins. Where
/// the commit must happen, write `shield(commit()).await`.
///
/// Only the end of the grace period drops a shielded future, with a report.
///
/// # Cancel safety
///
/// Once polled, it must be polled to its end: dropped from outside (a losing
/// `tokio::select!` branch), it is reported as a lost cleanup.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::{Scope, shield};
///
/// let scope = Scope::new();
/// let handle = scope.handle();
/// let saved = scope
///     .run(async {
///         shield(async {
///             handle.cancel();
///             tokio::time::sleep(Duration::from_secs(1)).await;
///             "saved"
///         })
///         .await
///     })
///     .await;
/// assert_eq!(saved.unwrap(), "saved");
/// # }
/// ```
#[track_caller]
pub fn shield<F: IntoFuture>(future: F) -> Shield<F::IntoFuture> {
    Shield {
        future: Some(future.into_future()),
        state: ShieldState::new(Location::caller()),
    }
}

/// How far a shield is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ShieldStage {
    New,
    /// Polled: it is lost if it is dropped now.
    Running,
    /// Cut by the end of the grace period.
    Cut,
    Done,
}

#[derive(Debug)]
struct ShieldState {
    region: Region,
    location: &'static Location<'static>,
    stage: ShieldStage,
}

impl ShieldState {
    fn new(location: &'static Location<'static>) -> ShieldState {
        ShieldState {
            region: Region::new(RegionKind::Shield),
            location,
            stage: ShieldStage::New,
        }
    }
}

impl Drop for ShieldState {
    fn drop(&mut self) {
        if self.stage == ShieldStage::Running {
            report_lost("a shielded future", self.region.node(), self.location);
        }
    }
}

pin_project! {
    /// Future of [`shield`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Shield<F> {
        #[pin]
        future: Option<F>,
        state: ShieldState,
    }
}

impl<F: Future> Future for Shield<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let state = this.state;
        match state.stage {
            ShieldStage::New | ShieldStage::Running => state.stage = ShieldStage::Running,
            ShieldStage::Cut => return parked(&"`shield`", state.location, cx),
            ShieldStage::Done => polled_after_completion("shield", state.location),
        }
        let polled = state.region.poll_shielded(this.future, state.location, cx);
        let exit = ready!(polled);
        state.stage = match exit {
            Exit::Unwound | Exit::Ended => ShieldStage::Cut,
            Exit::Value(_) | Exit::Panicked(_) => ShieldStage::Done,
        };
        state.region.close();
        match exit {
            Exit::Value(value) => Poll::Ready(value),
            Exit::Panicked(panic) => panic.resume(),
            Exit::Unwound | Exit::Ended => parked(&"`shield`", state.location, cx),
        }
    }
}
