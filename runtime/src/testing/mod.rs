//! Proving that code can be cancelled anywhere.
//!
//! A cancellation may arrive at each checkpoint and whenever a task waits.
//! [`cancel_everywhere`] tries them all, one after the other, and names the line
//! of the first at which something goes wrong.

mod everywhere;
mod invariant;
mod leaks;
pub(crate) mod test;
mod trial;

pub use crate::poll::probe::PointKind;
pub use everywhere::{Coverage, Everywhere, Point, cancel_everywhere};
pub use invariant::Invariant;
pub use leaks::assert_no_leaks;
