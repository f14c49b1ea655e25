//! The tree of scopes and tasks: parents, flags, and what each boundary still waits for.

pub(crate) mod mailbox;
pub(crate) mod node;
pub(crate) mod reason;
pub(crate) mod roots;
pub(crate) mod table;
