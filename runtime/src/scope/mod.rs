//! Scopes: cancelling code from outside, and asking the scope from inside.

pub(crate) mod ambient;
pub(crate) mod scope;
pub(crate) mod trigger;
pub(crate) mod watch;
