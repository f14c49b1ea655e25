//! The only door for expansions. Not part of the public API: it changes
//! without notice, together with the macros.

pub use crate::blocking::thread::refused;
pub use crate::branch::join::{branch, error, join, success, try_branch, try_join};
pub use crate::branch::list::{cons, value, values};
pub use crate::branch::race::{Winner, all_disabled, race, race_branch, won};
pub use crate::branch::solo::solo;
pub use crate::group::hint::{HintOf, Unknown};
pub use crate::poll::gate::{Done, Gate, closed, done, gate};
#[cfg(feature = "shutdown")]
pub use crate::process::entry::Main;
pub use crate::task::describe::Described;
pub use crate::task::output::Never;
pub use crate::testing::test::{PausedClock, Test};
pub use crate::unwind::cleanup::{BorrowsLocals, Cleanup, Finish, FinishBlock, Guard};
pub use crate::unwind::exit::Exit;
pub use taskscope_macros::{join, try_join};
// Beside them, the crate has functions of these names.
#[cfg(rust_analyzer)]
pub use taskscope_macros::{checkpoint, no_checkpoint};

use crate::tree::reason::{Cancelled, FromCancelled};

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

/// What editors offer for the options of the macros.
#[cfg(rust_analyzer)]
#[allow(non_upper_case_globals)]
pub mod options {
    taskscope_macros::options!();
}
