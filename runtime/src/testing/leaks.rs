//! What a future leaves behind.

use std::future::{Future, IntoFuture, pending, poll_fn};
use std::panic::Location;
use std::pin::pin;

use tokio::runtime::Handle;

use super::trial::{Trial, run};
use crate::scope::scope::Scope;

/// Runs `future` and asserts that it leaves nothing behind: no task in the
/// tree or, spawned with `tokio::spawn`, on the current runtime, and no cleanup
/// that was lost or cut.
///
/// [`#[taskscope::test]`](macro@crate::test) does the same for a whole test. The
/// cleanups are those lost on the thread that polls it: on a multi-thread
/// runtime use that attribute. Other tasks of the runtime that begin meanwhile
/// are taken for leaks; those of other runtimes are not, so that it works under
/// `cargo test`, where tests share a process, as under `cargo nextest run`.
///
/// # Panics
///
/// When something still runs or was lost, with names and lines; and when `future` panics.
///
/// # Cancel safety
///
/// As safe as `future`. Dropped, it checks nothing.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskscope::testing::assert_no_leaks;
///
/// assert_eq!(assert_no_leaks(async { 7 }).await, 7);
/// # }
/// ```
#[track_caller]
pub fn assert_no_leaks<F: IntoFuture>(future: F) -> impl Future<Output = F::Output> {
    let location = Location::caller();
    async move {
        let mut trial = Trial::new(format!("the future at {location}"));
        let before = Handle::current().metrics().num_alive_tasks();
        let scope = Scope::at(location).name("assert_no_leaks");
        let mut run = pin!(run(scope, future, pending()));
        let ended = poll_fn(|cx| trial.collect(|_| run.as_mut().poll(cx))).await;
        trial.wait_for_tasks(before).await;
        trial.verdict(ended)
    }
}
