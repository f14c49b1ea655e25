//! What the user wrote: items, options, the grammars of `join!`, `race!` and `task_group!`, paths, names, and
//! the arguments of known macros. Reads, and says what cannot be read; rewrites nothing.

pub(crate) mod editor;
pub(crate) mod group;
pub(crate) mod groups;
pub(crate) mod item;
pub(crate) mod join;
pub(crate) mod known;
pub(crate) mod lock;
pub(crate) mod options;
pub(crate) mod own;
pub(crate) mod path;
pub(crate) mod race;
pub(crate) mod repair;
pub(crate) mod span;
pub(crate) mod text;
pub(crate) mod unread;
pub(crate) mod witness;
pub(crate) mod written;
