//! The names that most programs use, in one import.
//!
//! ```
//! use taskscope::prelude::*;
//!
//! #[cancellable]
//! async fn total() -> Result<u32, BoxError> {
//!     let total = task_group!(|g| {
//!         let parts = [1, 2, 3].map(|n| g.spawn(async move { Value(n) }));
//!         let mut total = 0;
//!         for part in parts {
//!             total += part.await?;
//!         }
//!         Ok(total)
//!     })
//!     .await?;
//!     Ok(total)
//! }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() { assert_eq!(total().await.unwrap(), 6); }
//! ```
//!
//! `use taskscope::*` would make `#[test]` and `join!` ambiguous. So the prelude leaves out
//! [`main`](macro@crate::main), [`test`](macro@crate::test) and [`join!`](crate::join!), which are
//! best written with their path, and what few programs name.
//!
//! A name that is imported explicitly hides one of the prelude: after
//! `use tokio::time::timeout`, `timeout` is tokio's.

pub use crate::group::LocalGroup;
pub use crate::thread::{Ambient, checkpoint_blocking, sleep_blocking};
pub use crate::{
    BoxError, CancelHandle, Cancelled, Group, GroupError, OnFailure, Reason, Scope, TaskError,
    TaskGroup, TaskHandle, TaskSet, Value,
};
pub use crate::{
    blocking, cancelled, checkpoint, deadline, is_cancelled, is_stopping, shield, stopping,
    timeout, timeout_at,
};
pub use crate::{cancellable, defer, no_checkpoint, on_cancel, race, task_group, try_join};
