//! What the errors of the crate are made of.
//!
//! The errors themselves are in the crate root: [`GroupError`](crate::GroupError),
//! [`TaskError`](crate::TaskError), [`Cancelled`](crate::Cancelled) and
//! [`BoxError`](crate::BoxError).

pub use crate::task::error::{Cause, Failure};
pub use crate::tree::reason::FromCancelled;
