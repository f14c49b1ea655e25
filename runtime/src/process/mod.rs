//! From `main` to exit: entry points, signals, shutdown.

#[cfg(feature = "shutdown")]
pub(crate) mod ending;
#[cfg(feature = "shutdown")]
pub(crate) mod entry;
pub(crate) mod flavor;
#[cfg(feature = "shutdown")]
pub(crate) mod shutdown;
#[cfg(feature = "shutdown")]
pub(crate) mod signal;
