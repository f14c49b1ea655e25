//! Programs written with `taskscope`, and the parts they are made of.
//!
//! The programs themselves are in `src/bin`; start reading there.

#[cfg(unix)]
pub mod treehash;
