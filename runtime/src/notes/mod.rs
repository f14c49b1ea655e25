//! What the crate says about itself: reports, the ends of tasks, counters, spans and events. Knows nothing of the tree.

pub(crate) mod events;
pub(crate) mod names;
pub(crate) mod outcome;
pub(crate) mod report;
pub(crate) mod span;
pub(crate) mod stats;
