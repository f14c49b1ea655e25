//! The only door for expansions. Not part of the public API: it changes
//! without notice, together with the macros.

pub use crate::cleanup::{BorrowsLocals, Cleanup, Frame, Leave, LeaveBlock};
pub use crate::context::{Done, Gate, closed, done, gate};
pub use crate::describe::Described;
#[cfg(feature = "shutdown")]
pub use crate::entry::Main;
pub use crate::entry::{PausedClock, Test};
pub use crate::exit::Exit;
pub use crate::hint::{HintOf, Unknown, hint, hint_blocking};
pub use crate::join::{Flatten, branch, cons, join, solo, try_branch, try_join};
pub use crate::output::Never;
pub use crate::race::{Won, all_disabled, field, race, racer};
pub use crate::thread::refused;

use crate::reason::{Cancelled, FromCancelled};

/// What a blocking function returns once a checkpoint in it has refused.
///
/// # Errors
///
/// Always.
#[cold]
pub fn refuse<T, E: FromCancelled>(cancelled: Cancelled) -> Result<T, E> {
    Err(E::from_cancelled(cancelled))
}

/// What is awaited, once the gate before it was passed.
#[inline(always)]
pub fn after<T>((): (), awaited: T) -> T {
    awaited
}
