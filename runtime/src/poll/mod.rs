//! The context of the current poll: the frame, its gate and budget, and what each thread polls.

pub(crate) mod beat;
pub(crate) mod context;
pub(crate) mod probe;
#[cfg(feature = "shutdown")]
pub(crate) mod stall;
