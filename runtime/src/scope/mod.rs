//! Scopes: cancelling code from outside, and asking the scope from inside.

pub(crate) mod ambient;
pub(crate) mod handle;
pub(crate) mod nested;
pub(crate) mod scope;
pub(crate) mod timeout;
pub(crate) mod trigger;
pub(crate) mod watch;
