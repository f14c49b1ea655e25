//! Panics of user code, caught and resumed once all around has been left.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::task::Waker;

/// A panic that was caught, to be resumed or told of.
#[derive(Debug)]
pub struct Panic {
    /// Until it is resumed.
    payload: Option<Box<dyn Any + Send>>,
    /// Reported already, with the name of the task that it came from.
    named: bool,
}

thread_local! {
    /// The address of the named payload that is being resumed, or 0: a payload
    /// itself can carry no mark.
    static NAMED: Cell<usize> = const { Cell::new(0) };
}

/// Runs user code, its panic caught. What it leaves behind is dropped or left
/// in order, never used again, so unwind safety is not asked for.
pub(crate) fn catch<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    // What user code may have caught itself counts no more.
    NAMED.set(0);
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| Panic {
        named: NAMED.replace(0) == address(&*payload),
        payload: Some(payload),
    })
}

/// Runs user code and drops its panic, for code such as a report hook, whose panic cannot be
/// resumed anywhere. A panic that is already unwinding keeps its name.
pub(crate) fn contain<R>(f: impl FnOnce() -> R) -> Option<R> {
    let named = NAMED.get();
    let result = catch(f);
    NAMED.set(named);
    result.ok()
}

/// Drops them one by one, in a `drop`: two panics at once would abort the process, and
/// one that is on its way already keeps its name.
pub(crate) fn drop_each<T>(all: impl IntoIterator<Item = T>, panics: &mut Vec<Panic>) {
    each(all, drop, panics);
}

/// Wakes all of them. A panic of one keeps nothing from the others, and from the caller,
/// who may have more to do.
pub(crate) fn wake_each(wakers: impl IntoIterator<Item = Waker>) -> Option<Panic> {
    let mut panics = Vec::new();
    each(wakers, Waker::wake, &mut panics);
    panics.into_iter().next()
}

/// Runs user code with each of them, whatever panics.
fn each<T>(all: impl IntoIterator<Item = T>, f: fn(T), panics: &mut Vec<Panic>) {
    let mut all = all.into_iter();
    let named = NAMED.get();
    // One `catch` serves for all of those that do not panic.
    while let Err(panic) = catch(|| all.by_ref().for_each(f)) {
        panics.push(panic);
    }
    NAMED.set(named);
}

fn address(payload: &(dyn Any + Send)) -> usize {
    ptr::from_ref(payload).cast::<()>().addr()
}

impl Panic {
    /// The text of the panic.
    pub(crate) fn message(&self) -> String {
        let payload = self.payload.as_deref();
        if let Some(message) = payload.and_then(|payload| payload.downcast_ref::<&str>()) {
            (*message).to_owned()
        } else if let Some(message) = payload.and_then(|payload| payload.downcast_ref::<String>()) {
            message.clone()
        } else {
            "a payload that is no string".to_owned()
        }
    }

    pub(crate) fn is_named(&self) -> bool {
        self.named
    }

    /// Notes that it was reported.
    pub(crate) fn name(mut self) -> Panic {
        self.named = true;
        self
    }

    /// Resumes the panic where none is on its way: a second one would abort the process.
    pub(crate) fn resume_if_calm(self) {
        if !std::thread::panicking() {
            self.resume();
        }
    }

    pub(crate) fn resume(mut self) -> ! {
        let Some(payload) = self.payload.take() else {
            unreachable!("it is taken here alone, and by `drop`");
        };
        if self.named {
            NAMED.set(address(&*payload));
        }
        resume_unwind(payload)
    }
}

impl Drop for Panic {
    /// A payload may panic in its own `Drop`, and the payload of that panic, too: this one
    /// is leaked.
    fn drop(&mut self) {
        let payload = self.payload.take();
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(second);
        }
    }
}
