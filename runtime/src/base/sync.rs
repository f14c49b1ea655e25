//! The one place that switches between the standard library and loom.

#[cfg(taskscope_loom)]
use loom::sync as imp;
#[cfg(not(taskscope_loom))]
use std::sync as imp;

pub(crate) use imp::MutexGuard;
pub(crate) use imp::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

/// A static made when it is first needed; under loom, anew in each execution.
#[cfg(not(taskscope_loom))]
macro_rules! lazy_static {
    (static ref $name:ident: $type:ty = $value:expr;) => {
        static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $value);
    };
}
#[cfg(not(taskscope_loom))]
pub(crate) use lazy_static;
#[cfg(taskscope_loom)]
pub(crate) use loom::lazy_static;

/// A mutex that ignores poisoning: every critical section of this crate leaves
/// its data consistent, and user code never runs inside one.
#[derive(Debug)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Mutex(imp::Mutex::new(value))
    }

    pub(crate) fn get_mut(&mut self) -> &mut T {
        match self.0.get_mut() {
            Ok(value) => value,
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        match self.0.lock() {
            Ok(guard) => guard,
            Err(poisoned) => poisoned.into_inner(),
        }
    }
}
