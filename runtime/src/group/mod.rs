//! Groups: tasks that have ended when the group returns.
//!
//! [`TaskGroup`](crate::TaskGroup), [`Group`](crate::Group) and
//! [`OnFailure`](crate::OnFailure) are in the crate root. This module has what few groups need:
//! tasks that are not `Send`, and places under a limit that are taken before the task exists.

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

pub use local::LocalGroup;
pub use permit::Permit;
