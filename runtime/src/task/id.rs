//! [`TaskId`].

use std::cell::Cell;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};

/// Identifies a task in the process; never reused.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::collections::HashMap;
/// use taskscope::{BoxError, OnFailure, TaskGroup};
///
/// let mut inputs = HashMap::new();
/// let group = TaskGroup::<BoxError>::new().on_failure(OnFailure::Continue).run(async |g| {
///     for text in ["1", "x", "3"] {
///         inputs.insert(g.spawn(async { text.parse::<u8>() }).id(), text);
///     }
///     Ok(())
/// });
/// let error = group.await.unwrap_err();
/// assert_eq!(inputs[&error.failures()[0].id()], "x");
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(NonZeroU64);

impl TaskId {
    /// Each thread takes many at a time, so that threads that spawn at once do not
    /// get in each other's way.
    pub(crate) fn next() -> TaskId {
        const MANY: u64 = 1 << 10;
        static NEXT: AtomicU64 = AtomicU64::new(MANY);
        thread_local! {
            static OWN: Cell<u64> = const { Cell::new(0) };
        }
        let mut id = OWN.get();
        if id.is_multiple_of(MANY) {
            id = NEXT.fetch_add(MANY, Ordering::Relaxed);
        }
        OWN.set(id + 1);
        TaskId(NonZeroU64::new(id).unwrap_or(NonZeroU64::MIN))
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
