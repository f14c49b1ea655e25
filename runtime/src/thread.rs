//! What code that blocks its thread calls.
//!
//! [`blocking`](crate::blocking()) runs a closure on tokio's blocking pool, and
//! [`block_on`](crate::block_on()) runs async code there. [`checkpoint_blocking`] and
//! [`sleep_blocking`] are for such a closure, and [`Ambient`] takes the scope to the threads of
//! another pool.

pub use crate::blocking::thread::{Ambient, checkpoint_blocking, sleep_blocking};
