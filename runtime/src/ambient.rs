//! What a piece of code can ask of the scope it runs in.

use tokio::time::Instant;

use crate::context;
use crate::node::flag;
use crate::reason::Reason;
use crate::scope::Watch;

/// A checkpoint by hand: passes while the current scope is live; where it is
/// cancelled, the code is left here.
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
pub fn checkpoint() -> context::Gate {
    context::gate()
}

/// Whether the current scope is cancelled. False in a shield, in a cleanup, and
/// outside any scope.
///
/// ```
/// assert!(!taskscope::is_cancelled());
/// ```
pub fn is_cancelled() -> bool {
    context::current(|frame| frame.is_some_and(|frame| frame.is_cancelled()))
}

/// Waits until the current scope is cancelled; for ever in a shield, in a
/// cleanup, and outside any scope.
///
/// In a `#[cancellable]` function the code behind it may run to the next
/// checkpoint and is then left.
///
/// # Cancel safety
///
/// Cancel safe: dropped, it leaves nothing behind.
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
pub async fn cancelled() -> Reason {
    let node = context::ambient().and_then(|(node, shielded)| (!shielded).then_some(node));
    Watch::new(node.clone(), flag::CANCELLED).await;
    node.and_then(|node| node.origin())
        .map_or(Reason::Requested, |origin| origin.reason.clone())
}

/// The earliest deadline that will cancel the current code. `None` in a shield
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
    let (node, shielded) = context::ambient()?;
    if shielded {
        None
    } else {
        node.effective_deadline()
    }
}

/// Whether the current scope was asked to stop, or is cancelled.
///
/// In a shield or a cleanup a request to stop is seen, a cancellation is not.
///
/// ```
/// assert!(!taskscope::is_stopping());
/// ```
pub fn is_stopping() -> bool {
    context::ambient().is_some_and(|(node, shielded)| node.flags_acquire() & asks(shielded) != 0)
}

/// What asks code to finish.
fn asks(shielded: bool) -> u32 {
    if shielded {
        flag::STOPPING
    } else {
        flag::STOPPING | flag::CANCELLED
    }
}

/// Waits until the current scope is asked to stop, or is cancelled: the polite
/// request to finish, which interrupts nothing.
///
/// In a shield or a cleanup a request to stop is seen, a cancellation is not.
///
/// # Cancel safety
///
/// Cancel safe: dropped, it leaves nothing behind.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let scope = taskscope::Scope::new();
/// scope.handle().stop();
/// scope.run(taskscope::stopping()).await.unwrap();
/// # }
/// ```
pub async fn stopping() {
    let (node, bits) = context::ambient()
        .map(|(node, shielded)| (node, asks(shielded)))
        .unzip();
    Watch::new(node, bits.unwrap_or_default()).await;
}
