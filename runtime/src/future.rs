//! The futures that functions and methods of the crate return.
//!
//! Most code awaits them and never names their types. A struct that stores one, or a function
//! that returns one, does:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! use std::time::Duration;
//! use taskscope::{future::ScopeRun, timeout};
//!
//! /// The time limit of all requests.
//! fn limited<F: Future>(request: F) -> ScopeRun<'static, F> {
//!     timeout(Duration::from_secs(60), request)
//! }
//! assert_eq!(limited(async { 7 }).await.unwrap(), 7);
//! # }
//! ```

pub use crate::blocking::blocking::Blocking;
pub use crate::poll::gate::Gate;
pub use crate::scope::scope::ScopeRun;
pub use crate::scope::watch::{UntilCancelled, UntilStopping};
pub use crate::unwind::shield::Shield;
