//! `join!` and `try_join!`: all branches run until each has a value, or one fails.
//!
//! A panic cancels the other branches, and so does an error in `try_join!`. Both are passed on
//! once all branches have ended.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::branch::concurrent::{Body, Concurrent, Order, RunningBranches, concurrent, own_node};
use crate::branch::list::{Branch, Branches, Decider, IntoBranch, value};
use crate::tree::node::lazy::Construct;
use crate::tree::reason::Reason;

/// No value decides a `join!`.
#[derive(Debug)]
pub struct UntilPanic;

/// An error decides a `try_join!`.
#[derive(Debug)]
pub struct UntilError;

impl<T> Decider<T> for UntilPanic {
    fn decides(&self, _: &mut T) -> bool {
        false
    }
}

impl<T, E> Decider<Result<T, E>> for UntilError {
    fn decides(&self, value: &mut Result<T, E>) -> bool {
        value.is_err()
    }
}

/// A branch of `join!`.
pub fn branch<M, F: IntoBranch<M>>(future: F) -> Branch<F::Future, F::Output, UntilPanic> {
    future.into_branch(UntilPanic, true)
}

/// A branch of `try_join!`, whose value is a `Result`.
pub fn try_branch<M, T, E, F>(future: F) -> Branch<F::Future, Result<T, E>, UntilError>
where
    F: IntoBranch<M, Output = Result<T, E>>,
{
    future.into_branch(UntilError, true)
}

/// Takes the value out of a branch of a `try_join!` in which none has failed.
pub fn success<F, T, E, D>(branch: Pin<&mut Branch<F, Result<T, E>, D>>) -> T {
    value(branch).unwrap_or_else(|_| unreachable!("a branch that failed decides"))
}

/// Takes the error out of the branch that failed.
pub fn error<F, T, E, D>(branch: Pin<&mut Branch<F, Result<T, E>, D>>) -> E {
    match value(branch) {
        Ok(_) => unreachable!("a branch that decides has failed"),
        Err(error) => error,
    }
}

/// The body of `join!` and `try_join!`.
#[derive(Debug)]
pub struct JoinBody<'a, L>(RunningBranches<'a, L>);

impl<'a, L: Branches> JoinBody<'a, L> {
    fn new(list: &'a mut L) -> Self {
        JoinBody(RunningBranches::new(list, Order::Rotating(0)))
    }
}

impl<L: Branches> Body for JoinBody<'_, L> {}

impl<L: Branches> Future for JoinBody<'_, L> {
    type Output = Option<u16>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let running = &mut self.0;
        let was_decided = running.is_decided();
        running.round(|branch| branch.poll(cx));
        running.note();
        if running.is_decided() && !was_decided && running.any(|branch| branch.is_running()) {
            own_node().cancel(Reason::SiblingFailed);
        }
        running.end()
    }
}

/// Runs the branches of `join!`; each has a value then.
#[track_caller]
pub fn join<L: Branches>(list: &mut L) -> Concurrent<JoinBody<'_, L>> {
    concurrent(Construct::Join, JoinBody::new(list))
}

/// Runs the branches of `try_join!`. Returns the index of the branch that failed; otherwise
/// each has a value.
#[track_caller]
pub fn try_join<L: Branches>(list: &mut L) -> Concurrent<JoinBody<'_, L>> {
    concurrent(Construct::TryJoin, JoinBody::new(list))
}

/// Runs futures concurrently in the current task, and returns the tuple of their
/// outputs. The futures may borrow.
///
/// Each future is a branch: when the current scope is cancelled, it unwinds on its own,
/// and what it held is free for the cleanup of the others. When
/// a branch panics, the others are cancelled, and the panic is resumed once they have unwound.
/// Like `tokio::join!` it awaits inside the macro, and is a checkpoint.
///
/// # Cancel safety
///
/// As safe as its branches, which unwind.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let name = String::from("taskscope");
/// let (length, first) = taskscope::join!(async { name.len() }, async { name.chars().next() });
/// assert_eq!((length, first), (9, Some('t')));
/// # }
/// ```
#[macro_export]
macro_rules! join {
    ($($branches:tt)*) => {
        $crate::__private::join!(crate = $crate; $($branches)*)
    };
}

/// Runs futures concurrently in the current task until one fails. Returns `Ok` with the tuple
/// of the values, or the first error.
///
/// The first `Err` cancels the other branches, and is returned once they have unwound. All branches
/// have the same error type: convert another one in its branch,
/// `async { fut.await.map_err(Error::from) }`.
///
/// See [`join!`](crate::join) for the rest.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let parsed: Result<(u8, u8), std::num::ParseIntError> =
///     taskscope::try_join!(async { "1".parse() }, async { "x".parse() });
/// assert!(parsed.is_err());
/// # }
/// ```
#[macro_export]
macro_rules! try_join {
    ($($branches:tt)*) => {
        $crate::__private::try_join!(crate = $crate; $($branches)*)
    };
}
