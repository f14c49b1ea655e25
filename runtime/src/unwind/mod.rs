//! Async cleanup: regions, shields, and the order of unwinding.

pub(crate) mod boundary;
pub(crate) mod cleanup;
pub(crate) mod exit;
pub(crate) mod lost;
pub(crate) mod region;
pub(crate) mod shield;
pub(crate) mod unwinding;
