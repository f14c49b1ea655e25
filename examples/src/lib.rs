//! Programs written with `taskscope`, and the parts they are made of.
//!
//! The programs themselves are in `src/bin`; start reading there.

pub mod crunch;
pub mod echoload;
pub mod graceful;
pub mod heartbeat;
pub mod seconds;
pub mod shielded;
#[cfg(unix)]
pub mod treehash;
