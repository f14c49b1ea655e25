//! [`timeout`] and [`timeout_at`].

use crate::scope::scope::ScopeRun;
use crate::tree::node::lazy::{Construct, LazyNode};
use crate::unwind::boundary::after;
use std::future::IntoFuture;
use std::panic::Location;
use std::time::Duration;

use tokio::time::Instant;

/// Runs `future`, cancelled in order after `timeout`.
///
/// Unlike under `tokio::time::timeout`, the cleanups of `future`
/// have run to their end when this returns. A value that is ready in the same
/// poll as the deadline wins; zero polls once. So code that computes past the deadline is cut
/// where it next has to wait, as under tokio's timeout: an `.await` looks at a flag, not at the
/// clock. Mark a long loop `#[checkpoint]`, which gives way often enough to be cut, or move the
/// computation to [`blocking`](crate::blocking()), whose checkpoints look at the clock.
///
/// # Errors
///
/// [`Cancelled`](crate::Cancelled) with [`Reason::Deadline`](crate::Reason::Deadline). Under a cancelled enclosing scope it
/// does not return, see [`Scope::run`](crate::Scope::run), also for panics and cancel safety.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::timeout;
///
/// assert_eq!(timeout(Duration::from_secs(1), async { 7 }).await.unwrap(), 7);
/// let late = timeout(Duration::from_secs(1), tokio::time::sleep(Duration::from_secs(2))).await;
/// // "`timeout` (src/import.rs:12) was cancelled: deadline of 1s passed"
/// assert!(late.unwrap_err().to_string().ends_with(" was cancelled: deadline of 1s passed"));
/// # }
/// ```
#[inline]
#[track_caller]
pub fn timeout<F: IntoFuture>(timeout: Duration, future: F) -> ScopeRun<'static, F::IntoFuture> {
    let mut node = LazyNode::new(Construct::Timeout, Location::caller());
    if let Some(at) = after(timeout) {
        node.limit_to(at, timeout);
    }
    ScopeRun::timed(node, future.into_future())
}

/// Runs `future`, cancelled in order at `deadline`; see [`timeout`].
///
/// # Errors
///
/// [`Cancelled`](crate::Cancelled) with [`Reason::Deadline`](crate::Reason::Deadline).
#[inline]
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> ScopeRun<'static, F::IntoFuture> {
    let mut node = LazyNode::new(Construct::Timeout, Location::caller());
    node.set_deadline(deadline);
    ScopeRun::timed(node, future.into_future())
}
