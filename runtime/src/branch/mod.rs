//! Futures side by side in one task: `join!`, `try_join!` and `race!`.

pub(crate) mod concurrent;
pub(crate) mod join;
pub(crate) mod list;
pub(crate) mod race;
pub(crate) mod solo;
