//! The context of the current poll: the frame, its gate and budget, and what each thread polls.

pub(crate) mod beat;
pub(crate) mod budget;
pub(crate) mod context;
pub(crate) mod frame;
pub(crate) mod gate;
pub(crate) mod outer;
pub(crate) mod probe;
#[cfg(feature = "shutdown")]
pub(crate) mod stall;
