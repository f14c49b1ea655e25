//! What a piece of code can ask of the scope it runs in.

use std::panic::Location;

use tokio::time::Instant;

use crate::poll::context;
use crate::poll::frame::Frame;
use crate::poll::gate;
use crate::scope::watch::{UntilCancelled, UntilStopping};
use crate::tree::node::flag;

/// A checkpoint written by hand: passes while the current scope is live; if it is cancelled,
/// the code never resumes.
///
/// Every `.await` in a `#[cancellable]` function is one already.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cancelled = taskscope::Scope::new();
/// cancelled.handle().cancel();
/// let result = cancelled.run(async {
///     taskscope::checkpoint().await;
///     unreachable!();
/// });
/// assert!(result.await.is_err());
/// # }
/// ```
#[track_caller]
pub fn checkpoint() -> gate::Gate {
    gate::gate()
}

/// Returns whether the current scope is cancelled. False in a shield, in a cleanup, and
/// outside any scope.
pub fn is_cancelled() -> bool {
    context::current(|frame| frame.is_some_and(|frame| frame.is_cancelled()))
}

/// Waits until the scope is cancelled in which this is called, or in which the future is
/// polled, whichever comes first. Returns the reason.
///
/// The future may be given to code that polls it elsewhere, see [`stopping`], which says
/// more about the two scopes. A cancellation does not reach a shield or a cleanup: called
/// or polled there, the future does not wait for it. Called and polled outside any scope,
/// it never completes; that is reported once for each line of code.
///
/// In a `#[cancellable]` function, the code after it runs to the next checkpoint.
///
/// # Cancel safety
///
/// Cancel safe: the future may be dropped at any time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let scope = taskscope::Scope::new();
/// let handle = scope.handle();
/// let reason = scope.run(async {
///     handle.cancel();
///     taskscope::cancelled().await
/// });
/// assert!(matches!(reason.await, Ok(taskscope::Reason::Requested)));
/// # }
/// ```
#[track_caller]
pub fn cancelled() -> UntilCancelled {
    UntilCancelled::new(Location::caller())
}

/// Returns the earliest deadline that will cancel the current code. `None` in a shield
/// and in a cleanup, where none will.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// let at = tokio::time::Instant::now() + Duration::from_secs(1);
/// let seen = taskscope::timeout_at(at, async { taskscope::deadline() }).await;
/// assert_eq!(seen.unwrap(), Some(at));
/// # }
/// ```
pub fn deadline() -> Option<Instant> {
    context::current(|frame| frame?.deadline())
}

/// Returns whether the current scope was asked to stop, or is cancelled.
///
/// In a shield or a cleanup a request to stop is seen, a cancellation is not. False
/// outside any scope.
pub fn is_stopping() -> bool {
    let asked = |frame: &Frame<'_>| frame.flags() & asks(frame.is_shielded()) != 0;
    context::current(|frame| frame.is_some_and(asked))
}

/// The flags that ask code to finish.
fn asks(shielded: bool) -> u32 {
    if shielded {
        flag::STOPPING
    } else {
        flag::STOPPING | flag::CANCELLED
    }
}

/// Waits until a scope is asked to stop, or is cancelled: the polite request to finish,
/// which interrupts nothing. The scope is the one in which this is called, or the one in
/// which the future is polled, whichever is asked first.
///
/// So the future can be given to a server that polls it in a task of its own, as
/// `axum::serve(…).with_graceful_shutdown(stopping())` does: the scope of the call counts.
/// And `g.spawn(stopping())` also ends when that task alone is asked: the scope of the poll
/// counts as well. If the scope of the call ends without being asked, the scope around it
/// counts from then on: the body of a response outlives the request in which it was made.
///
/// In a shield or a cleanup a request to stop is seen, a cancellation is not. Called and
/// polled outside any scope, the future never completes; that is reported once for each
/// line of code, as [`ReportKind::Unscoped`](crate::observe::ReportKind::Unscoped).
///
/// While a future waits here, a signal gives the program time to drain, see
/// [`Shutdown::drain`](crate::Shutdown::drain).
///
/// # Cancel safety
///
/// Cancel safe: the future may be dropped at any time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::{Scope, race, stopping};
/// use tokio::time::sleep;
///
/// let scope = Scope::new().stop_when(sleep(Duration::from_secs(5)));
/// let rounds = scope.run(async {
///     let mut rounds = 0;
///     loop {
///         race! {
///             () = sleep(Duration::from_secs(2)) => rounds += 1,
///             () = stopping() => break rounds,
///         }
///     }
/// });
/// assert_eq!(rounds.await.unwrap(), 2);
/// # }
/// ```
#[track_caller]
pub fn stopping() -> UntilStopping {
    UntilStopping::new(Location::caller())
}
