//! Shared by the tests: what ran in which order ([`Log`]), both runtime
//! flavours under a watchdog ([`both`], [`paused`]), futures polled by hand
//! ([`Driven`]), and the reports of the library ([`reports_of`]).
//!
//! A [`Cancelled`](taskscope::Cancelled) comes from a boundary alone; there is
//! no way to make one up:
//!
//! ```compile_fail
//! let made_up = taskscope::Cancelled::new(taskscope::Reason::Requested);
//! ```
//!
//! ```compile_fail
//! let made_up: taskscope::Cancelled = Default::default();
//! ```
//!
//! ```compile_fail
//! let made_up = taskscope::Cancelled::from(taskscope::Reason::Requested);
//! ```

mod dice;
mod drive;
#[doc(hidden)]
pub mod library;
mod log;
#[cfg(unix)]
mod program;
mod reports;
mod run;
mod waker;

pub use dice::Dice;
pub use drive::{Counted, Counts, Driven, counted};
pub use log::{DropMark, Log};
#[cfg(unix)]
pub use program::{Ended, Program};
pub use reports::{Seen, lost_cleanups, reports_of, watch_reports};
pub use run::{
    both, cancel_at, caught, in_own_process, inside, one_worker, paused, paused_once, test_again,
    text_of, watched,
};
pub use waker::{Moving, moving_waker};
