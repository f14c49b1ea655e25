//! How a body ended.

use crate::caught::Panic;

/// How a body ended. The panic is kept until all around it has been left.
#[derive(Debug)]
pub enum Exit<T> {
    /// It returned.
    Value(T),
    /// Its block ended, by falling through, `break` or `continue`.
    Ended,
    /// It was cancelled and dropped where it was suspended.
    Left,
    /// It panicked.
    Panicked(Panic),
}

impl<T> Exit<T> {
    /// Whether it was left by cancellation.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Exit::Left)
    }

    /// A later panic, while leaving; the first one stays.
    pub(crate) fn add_panic(&mut self, panic: Panic) {
        if !matches!(self, Exit::Panicked(_)) {
            *self = Exit::Panicked(panic);
        }
    }
}
