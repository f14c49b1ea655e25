//! Panics of user code, caught and resumed once all around has been left.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr;
use std::task::Waker;

/// A panic on its way to whom it is resumed for.
#[derive(Debug)]
pub struct Panic {
    payload: Box<dyn Any + Send>,
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
        payload,
    })
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

/// Drops a value of the user's. A panic of its `Drop` is dropped, too: it has no caller,
/// and what is under way here has to come to its end.
pub(crate) fn discard<T>(value: T) {
    drop_each([value], &mut Vec::new());
}

fn address(payload: &(dyn Any + Send)) -> usize {
    ptr::from_ref(payload).cast::<()>().addr()
}

impl Panic {
    /// The text of the panic.
    pub(crate) fn message(&self) -> String {
        if let Some(message) = self.payload.downcast_ref::<&str>() {
            (*message).to_owned()
        } else if let Some(message) = self.payload.downcast_ref::<String>() {
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

    pub(crate) fn resume(self) -> ! {
        if self.named {
            NAMED.set(address(&*self.payload));
        }
        resume_unwind(self.payload)
    }
}
