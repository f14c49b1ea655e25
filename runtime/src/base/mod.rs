//! What the standard library lacks: primitives that run under loom, panics carried past a cleanup, a coarse clock,
//! threads that may block.

pub(crate) mod alarm;
pub(crate) mod aside;
pub(crate) mod caught;
pub(crate) mod clock;
pub(crate) mod sync;
pub(crate) mod wakers;
pub(crate) mod wakeset;
