//! What other systems of structured concurrency do. The id of a row stands at the beginning of its tests' names.

mod blocking;
mod checkpoints;
mod cleanup;
mod deadlines;
mod groups;
mod handles;
mod level_trigger;
mod limits;
mod propagation;
mod races;
mod reasons;
mod shield;
