//! What holds, however a run ended.

use std::fmt::Display;

use crate::base::caught::catch;

/// What the closure of [`Everywhere::check`](super::Everywhere::check) may
/// return: nothing (it asserts), a `bool`, or a `Result` that says what is wrong.
///
/// ```
/// use taskscope::testing::cancel_everywhere;
///
/// let log = std::cell::RefCell::new(Vec::new());
/// cancel_everywhere(|| async {
///     log.borrow_mut().push("begun");
///     tokio::task::yield_now().await;
/// })
/// .check(|| match log.borrow().last() {
///     Some(&"begun") => Ok(()),
///     other => Err(format!("the last is {other:?}")),
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether an invariant holds",
    label = "returned by the closure of `check`",
    note = "assert in the closure and return `()`, or return a `bool`, or a `Result<(), E>` with `E: Display`"
)]
pub trait Invariant {
    /// Returns what is wrong; `None` if the invariant holds.
    fn violation(self) -> Option<String>;
}

impl Invariant for () {
    fn violation(self) -> Option<String> {
        None
    }
}

impl Invariant for bool {
    fn violation(self) -> Option<String> {
        (!self).then(|| "the closure returned `false`".to_owned())
    }
}

impl<E: Display> Invariant for Result<(), E> {
    fn violation(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

/// Asks; a panic says no.
pub(super) fn ask<I: Invariant>(invariant: &mut impl FnMut() -> I) -> Option<String> {
    let told = match catch(|| invariant().violation()) {
        Ok(told) => told?,
        Err(panic) => panic.message(),
    };
    Some(format!("the invariant does not hold: {told}"))
}
