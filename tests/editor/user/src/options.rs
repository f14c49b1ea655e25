//! What the macros offer as options, for the plain twins.

#![allow(non_upper_case_globals)]

pub const loops: () = ();
pub const send: () = ();
pub const allow: () = ();
pub const limit: () = ();
pub const local: () = ();
pub const grace: () = ();
pub const on_failure: () = ();
pub const flavor: () = ();
pub const start_paused: () = ();
