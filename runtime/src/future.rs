//! The futures that functions and methods of the crate return.
//!
//! Most code awaits them and never names their types. A struct that stores one, or a function
//! that returns one, does.

pub use crate::blocking::blocking::Blocking;
pub use crate::poll::gate::Gate;
pub use crate::scope::scope::ScopeRun;
pub use crate::scope::watch::{UntilCancelled, UntilStopping};
pub use crate::unwind::shield::Shield;
