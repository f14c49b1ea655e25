//! What the standard library lacks: primitives that run under loom, panics carried past a cleanup, a coarse clock,
//! threads that may block, wakes at an instant of real time.

pub(crate) mod alarm;
pub(crate) mod aside;
pub(crate) mod caught;
pub(crate) mod clock;
pub(crate) mod sync;
pub(crate) mod tick;
pub(crate) mod wakers;
pub(crate) mod wakeset;
