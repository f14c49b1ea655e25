//! Code that blocks its thread.

pub(crate) mod blocking;
pub(crate) mod thread;
