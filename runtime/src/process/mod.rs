//! From `main` to exit: entry points, signals, shutdown.

#[cfg(feature = "shutdown")]
pub(crate) mod ending;
pub(crate) mod entry;
#[cfg(feature = "shutdown")]
pub(crate) mod shutdown;
#[cfg(feature = "shutdown")]
pub(crate) mod signal;
