//! Futures side by side in one task: `join!`, `try_join!` and `race!`.

pub(crate) mod join;
pub(crate) mod race;
