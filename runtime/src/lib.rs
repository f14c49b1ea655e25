// Of two definitions of a link the first counts: in the README they lead to docs.rs, here into
// these pages.
//! [tour]: guide::tour
//! [guide]: guide
//! [cancellation]: guide::cancellation
//! [cleanup]: guide::cleanup
//! [groups]: guide::groups
//! [shutdown]: guide::shutdown
//! [servers]: guide::servers
//! [observability]: guide::observability
//! [testing]: guide::testing
//! [cancel_safety]: guide::cancel_safety
//! [compile_errors]: guide::compile_errors
//! [libraries]: guide::libraries
//! [migrating]: guide::migrating
//! [from_asyncio]: guide::from_asyncio
//! [design]: guide::design
//!
#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]
// They panic where standard error is closed; see `report::print`.
#![warn(clippy::print_stderr, clippy::print_stdout)]
#![doc(test(attr(deny(warnings), allow(dead_code, unused_assignments, unused_variables))))]

#[doc(hidden)]
pub mod __private;
mod absent;
mod base;
mod blocking;
mod branch;
pub mod error;
pub mod future;
pub mod group;
pub mod guide;
#[cfg(all(test, taskscope_loom))]
mod loom_tests;
mod notes;
pub mod observe;
mod poll;
pub mod prelude;
mod process;
mod scope;
pub mod task;
pub mod testing;
pub mod thread;
#[cfg(feature = "tower")]
pub mod tower;
mod tree;
mod unwind;
#[doc(hidden)]
pub mod warnings;

pub use blocking::blocking::blocking;
pub use blocking::thread::block_on;
pub use group::builder::TaskGroup;
pub use group::group::Group;
pub use group::policy::OnFailure;
#[cfg(feature = "shutdown")]
pub use process::shutdown::Shutdown;
pub use scope::ambient::{cancelled, checkpoint, deadline, is_cancelled, is_stopping, stopping};
pub use scope::handle::CancelHandle;
pub use scope::scope::Scope;
pub use scope::timeout::{timeout, timeout_at};
pub use task::error::{BoxError, GroupError, TaskError};
pub use task::handle::TaskHandle;
pub use task::output::Value;
pub use task::set::TaskSet;
#[cfg(feature = "shutdown")]
pub use taskscope_macros::main;
/// Runs futures until the first one completes with a value that its pattern
/// matches, unwinds the others, and then runs its handler.
///
/// It takes what `tokio::select!` takes, so that replacing one is changing its
/// name: `pattern = future => handler`, where
///
/// - `, if condition` after the future enables the branch; all conditions are
///   evaluated before anything is polled;
/// - a value that the pattern does not match disables its branch, and the race
///   goes on;
/// - `else => expr`, at the end, is for when all branches are disabled. A branch such as
///   `() = stopping()` never is: beside it, `Some(x) = channel.recv()` waits for the stop once
///   the channel is closed. Match in the handler to see the `None`;
/// - `biased;`, at the beginning, polls the branches in the order in which they
///   are written; without it the order begins with another one each time;
/// - the handler runs when all the futures have been dropped, so that it may change what
///   they borrowed. It may await, `return`, `?`, `break` and `continue`.
///
/// The difference is how a branch loses: its `defer!`s run and are awaited
/// before the handler begins, and so are the tasks of its groups.
///
/// A future that the branch does not own is not cancelled when it loses, it is
/// no longer polled: `&mut fut`, `fut.as_mut()`, and futures that only borrow,
/// such as a stream's `.next()`. It can go on in the next race. An `async` block
/// or function that waits for such a future counts as one too, unless it holds
/// anything that has to be dropped.
///
/// Like `select!` it awaits inside the macro, and it is a checkpoint. Under a
/// cancelled scope it does not return.
///
/// # Panics
///
/// When all branches are disabled and there is no `else`. A panic of a branch is
/// resumed once the others have unwound.
///
/// # Cancel safety
///
/// As safe as its branches: a value that a losing branch has already taken, out of a channel for
/// instance, and not yet returned is lost, unless its `defer!` puts it back. A
/// branch without armed cleanups, shields or scopes is not polled again after it has lost. Any
/// other branch is, so that it may take a value even then: `socket.read(…)` loses no
/// bytes, `timeout(limit, socket.read(…))` may. Give the limit a branch of its own.
///
/// ```
/// use std::time::Duration;
/// use taskscope::race;
/// use tokio::sync::mpsc;
/// use tokio::time::sleep;
///
/// async fn sum(mut numbers: mpsc::Receiver<u32>, limit: Duration) -> Option<u32> {
///     let mut sum = 0;
///     let mut late = std::pin::pin!(sleep(limit));
///     loop {
///         race! {
///             number = numbers.recv() => match number {
///                 Some(number) => sum += number,
///                 None => break Some(sum),
///             },
///             () = late.as_mut() => return None,
///         }
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let (send, numbers) = mpsc::channel(2);
/// send.send(3).await.unwrap();
/// send.send(4).await.unwrap();
/// drop(send);
/// assert_eq!(sum(numbers, Duration::from_secs(1)).await, Some(7));
/// # }
/// ```
///
/// A losing branch runs its cleanups before the handler begins:
///
/// ```
/// use std::time::Duration;
/// use taskscope::{cancellable, defer, race};
/// use tokio::time::sleep;
///
/// #[cancellable]
/// async fn slow(log: &std::cell::RefCell<Vec<&'static str>>) {
///     defer! {
///         sleep(Duration::from_millis(1)).await;
///         log.borrow_mut().push("cleaned up");
///     }
///     sleep(Duration::from_secs(9)).await;
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let log = std::cell::RefCell::new(Vec::new());
/// race! {
///     () = slow(&log) => unreachable!(),
///     () = sleep(Duration::from_secs(1)) => log.borrow_mut().push("won"),
/// }
/// assert_eq!(log.into_inner(), ["cleaned up", "won"]);
/// # }
/// ```
#[doc(inline)]
pub use taskscope_macros::race;
pub use taskscope_macros::{
    cancellable, checkpoint, defer, no_checkpoint, on_cancel, task_group, test,
};
pub use tree::reason::{Cancelled, Reason};
pub use unwind::shield::shield;

// Names that have moved into a module stay here until 0.2.
#[doc(hidden)]
pub use self::{
    error::{Cause, Failure, FromCancelled},
    future::{Blocking, Gate, ScopeRun, Shield, UntilCancelled, UntilStopping},
    group::{LocalGroup, Permit},
    observe::{Report, ReportKind, Stats, Tree, set_report_hook, stats, tree},
    task::{DoneId, Outcome, TaskId, TaskOutput, TaskResult, TaskState, ValueOf},
    thread::{Ambient, checkpoint_blocking, sleep_blocking},
};
