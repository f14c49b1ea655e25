//! Groups: tasks that have ended when the group returns.

pub(crate) mod book;
pub(crate) mod builder;
pub(crate) mod child;
pub(crate) mod group;
pub(crate) mod hint;
pub(crate) mod local;
pub(crate) mod permit;
pub(crate) mod policy;
pub(crate) mod run;
pub(crate) mod scoped;
pub(crate) mod shared;
