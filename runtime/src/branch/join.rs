//! `join!` and `try_join!`: branches that run concurrently in one task.
//!
//! The branches are pinned in the caller's frame and linked into a list, so
//! that one non-recursive future can poll any number of them. They run in a
//! node of their own, which is cancelled when the others have to leave.

use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::base::caught::Panic;
use crate::scope::nested::NestedBoundary;
use crate::tree::node::Node;
use crate::tree::reason::Reason;
use crate::unwind::boundary::Owner;
use crate::unwind::cleanup::parked;
use crate::unwind::exit::{Exit, KeptPanic, PanicSite};
use crate::unwind::region::Region;

pin_project! {
    /// One branch: dropped as soon as it has ended, or when it is to be left
    /// and nothing in it must still be left in order.
    #[derive(Debug)]
    pub struct Branch<F, T> {
        #[pin]
        future: Option<F>,
        exit: Option<Exit<T>>,
        region: Region,
        tries: u8,
    }
}

/// A branch of `join!` or `try_join!`.
pub fn branch<F: IntoFuture>(future: F) -> Branch<F::IntoFuture, F::Output> {
    Branch {
        future: Some(future.into_future()),
        exit: None,
        region: Region::branch(),
        tries: 0,
    }
}

/// A branch of `try_join!`, whose value is a `Result`.
pub fn try_branch<T, E, F>(future: F) -> Branch<F::IntoFuture, Result<T, E>>
where
    F: IntoFuture<Output = Result<T, E>>,
{
    branch(future)
}

impl<T, F: Future<Output = T>> Branch<F, T> {
    /// Polls the branch unless it has ended.
    fn advance(self: Pin<&mut Self>, cx: &mut Context<'_>) {
        let this = self.project();
        if let Poll::Ready(exit) = poll_branch(this.future, this.region, this.tries, cx) {
            *this.exit = Some(exit);
        }
    }

    /// How it has ended. A shared reference to the whole branch would cover a
    /// future that has references into itself.
    fn exit(self: Pin<&mut Self>) -> &mut Option<Exit<T>> {
        self.project().exit
    }

    fn ended(self: Pin<&mut Self>) -> Ended {
        let this = self.project();
        match this.exit {
            None if this.future.as_pin_mut().is_some() => Ended::NotYet,
            // Without an exit: its error or its panic was taken.
            None | Some(Exit::Value(_)) => Ended::Value,
            Some(Exit::Left | Exit::Ended) => Ended::Left,
            Some(Exit::Panicked(_)) => Ended::Panicked,
        }
    }
}

/// Polls a branch; dropped when it has ended, it is pending from then on.
pub(crate) fn poll_branch<F: Future>(
    slot: Pin<&mut Option<F>>,
    region: &mut Region,
    tries: &mut u8,
    cx: &mut Context<'_>,
) -> Poll<Exit<F::Output>> {
    let exit = ready!(region.poll_cancellable(slot, None, tries, cx));
    region.close();
    Poll::Ready(exit)
}

pin_project! {
    /// A branch of a combinator that is not ours, as a future of its own: an
    /// argument of `tokio::join!`. Left, it is dropped and stays pending.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Solo<F> {
        #[pin]
        future: Option<F>,
        region: Region,
        tries: u8,
        location: &'static Location<'static>,
    }
}

/// A branch of a combinator that is not ours.
#[track_caller]
pub fn solo<F: IntoFuture>(future: F) -> Solo<F::IntoFuture> {
    Solo {
        future: Some(future.into_future()),
        region: Region::branch(),
        tries: 0,
        location: Location::caller(),
    }
}

impl<F: Future> Future for Solo<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.future.is_none() {
            return parked("a branch", this.location, cx);
        }
        match poll_branch(this.future, this.region, this.tries, cx) {
            Poll::Ready(Exit::Value(value)) => Poll::Ready(value),
            Poll::Ready(Exit::Panicked(panic)) => panic.resume(),
            Poll::Ready(Exit::Left | Exit::Ended) => parked("a branch", this.location, cx),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// A list of branches: `Cons` and `()`.
pub trait Branches {
    /// The values, nested as the list is.
    type Values;

    /// Polls those branches whose index is picked.
    fn advance(&mut self, cx: &mut Context<'_>, index: usize, pick: &dyn Fn(usize) -> bool);

    /// How the branches have ended, in order.
    fn visit(&mut self, visitor: &mut dyn FnMut(Ended));

    /// The first panic.
    fn take_panic(&mut self) -> Option<Panic>;

    /// The values, if every branch has one.
    fn take_values(&mut self) -> Option<Self::Values>;
}

/// How far a branch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Still running.
    NotYet,
    /// It has a value.
    Value,
    /// It was left.
    Left,
    /// It panicked.
    Panicked,
}

/// A branch, and those after it.
#[derive(Debug)]
pub struct Cons<'a, F, T, Rest> {
    head: Pin<&'a mut Branch<F, T>>,
    rest: Rest,
}

/// Puts a branch before others.
pub fn cons<'a, F, T, Rest>(head: Pin<&'a mut Branch<F, T>>, rest: Rest) -> Cons<'a, F, T, Rest> {
    Cons { head, rest }
}

impl Branches for () {
    type Values = ();

    fn advance(&mut self, _: &mut Context<'_>, _: usize, _: &dyn Fn(usize) -> bool) {}

    fn visit(&mut self, _: &mut dyn FnMut(Ended)) {}

    fn take_panic(&mut self) -> Option<Panic> {
        None
    }

    fn take_values(&mut self) -> Option<()> {
        Some(())
    }
}

impl<T, F: Future<Output = T>, Rest: Branches> Branches for Cons<'_, F, T, Rest> {
    type Values = (T, Rest::Values);

    fn advance(&mut self, cx: &mut Context<'_>, index: usize, pick: &dyn Fn(usize) -> bool) {
        if pick(index) {
            self.head.as_mut().advance(cx);
        }
        self.rest.advance(cx, index + 1, pick);
    }

    fn visit(&mut self, visitor: &mut dyn FnMut(Ended)) {
        visitor(self.head.as_mut().ended());
        self.rest.visit(visitor);
    }

    fn take_panic(&mut self) -> Option<Panic> {
        let exit = self.head.as_mut().exit();
        match exit.take_if(|exit| matches!(exit, Exit::Panicked(_))) {
            Some(Exit::Panicked(panic)) => Some(panic),
            _ => self.rest.take_panic(),
        }
    }

    fn take_values(&mut self) -> Option<Self::Values> {
        let head = match self.head.as_mut().exit().take() {
            Some(Exit::Value(value)) => value,
            _ => return None,
        };
        Some((head, self.rest.take_values()?))
    }
}

/// Branches whose values are `Result`s.
#[diagnostic::on_unimplemented(
    message = "the branches of this `try_join!` do not fail with one error type",
    label = "one of them fails with something else than `{E}`",
    note = "an error is returned as it is: convert it in its branch, \
            `async {{ fut.await.map_err(Error::from) }}`"
)]
pub trait TryBranches<E>: Branches {
    /// The values of `Ok`, nested as the list is.
    type Oks;

    /// The error of the branch that failed, if one has.
    fn take_error(&mut self) -> Option<E>;

    /// The values of `Ok`, if every branch has one.
    fn take_oks(&mut self) -> Option<Self::Oks>;
}

impl<E> TryBranches<E> for () {
    type Oks = ();

    fn take_error(&mut self) -> Option<E> {
        None
    }

    fn take_oks(&mut self) -> Option<()> {
        Some(())
    }
}

impl<T, E, F, Rest> TryBranches<E> for Cons<'_, F, Result<T, E>, Rest>
where
    F: Future<Output = Result<T, E>>,
    Rest: TryBranches<E>,
{
    type Oks = (T, Rest::Oks);

    fn take_error(&mut self) -> Option<E> {
        let exit = self.head.as_mut().exit();
        match exit.take_if(|exit| matches!(exit, Exit::Value(Err(_)))) {
            Some(Exit::Value(Err(error))) => Some(error),
            _ => self.rest.take_error(),
        }
    }

    fn take_oks(&mut self) -> Option<Self::Oks> {
        let head = match self.head.as_mut().exit().take() {
            Some(Exit::Value(Ok(value))) => value,
            _ => return None,
        };
        Some((head, self.rest.take_oks()?))
    }
}

/// Polls all branches, each time beginning with another one: the first would
/// else use up tokio's budget for the others.
#[derive(Debug)]
struct Round<L> {
    list: L,
    len: usize,
    begin: usize,
    node: Arc<Node>,
    /// The first panic, until the others have left.
    panic: Option<KeptPanic>,
}

impl<L: Branches> Round<L> {
    fn new(mut list: L, node: Arc<Node>) -> Round<L> {
        let mut len = 0;
        list.visit(&mut |_| len += 1);
        Round {
            list,
            len,
            begin: 0,
            node,
            panic: None,
        }
    }

    /// True when every branch has ended. A panic cancels the others.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        let begin = self.begin;
        self.begin = (begin + 1) % self.len.max(1);
        self.list.advance(cx, 0, &|index| index >= begin);
        self.list.advance(cx, 0, &|index| index < begin);
        // The first one counts; a later one is of a branch already told to leave.
        while let Some(panic) = self.list.take_panic() {
            match &self.panic {
                None => self.panic = Some(KeptPanic::new(panic, &self.node)),
                Some(_) => PanicSite::of(&self.node).report(&panic),
            }
            self.node.cancel(Reason::SiblingFailed);
        }
        let mut ended = true;
        self.list
            .visit(&mut |branch| ended &= branch != Ended::NotYet);
        if ended && let Some(panic) = self.panic.take() {
            panic.take().resume();
        }
        ended
    }
}

/// The body of `join!`.
#[derive(Debug)]
pub struct JoinBody<L>(Round<L>);

impl<L> Unpin for JoinBody<L> {}

impl<L: Branches> Future for JoinBody<L> {
    type Output = L::Values;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<L::Values> {
        if !self.0.advance(cx) {
            return Poll::Pending;
        }
        // Without a value for each, a branch was left: so is this.
        self.0.list.take_values().map_or(Poll::Pending, Poll::Ready)
    }
}

/// The body of `try_join!`.
#[derive(Debug)]
pub struct TryJoinBody<L, E> {
    round: Round<L>,
    error: Option<E>,
}

impl<L, E> Unpin for TryJoinBody<L, E> {}

impl<E, L: TryBranches<E>> Future for TryJoinBody<L, E> {
    type Output = Result<L::Oks, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let ended = this.round.advance(cx);
        // The first error is kept, later ones are of branches already told to
        // leave.
        while let Some(error) = this.round.list.take_error() {
            this.error.get_or_insert(error);
            this.round.node.cancel(Reason::SiblingFailed);
        }
        if !ended {
            return Poll::Pending;
        }
        if let Some(error) = this.error.take() {
            return Poll::Ready(Err(error));
        }
        this.round
            .list
            .take_oks()
            .map_or(Poll::Pending, |oks| Poll::Ready(Ok(oks)))
    }
}

/// Runs the branches of `join!`.
#[track_caller]
pub fn join<L: Branches>(list: L) -> Concurrent<JoinBody<L>, L::Values> {
    concurrent("join!", Location::caller(), |node| {
        JoinBody(Round::new(list, node))
    })
}

/// Runs the branches of `try_join!`.
#[track_caller]
pub fn try_join<E, L: TryBranches<E>>(list: L) -> Concurrent<TryJoinBody<L, E>, Result<L::Oks, E>> {
    let body = |node| TryJoinBody {
        round: Round::new(list, node),
        error: None,
    };
    concurrent("try_join!", Location::caller(), body)
}

pub(crate) fn concurrent<T, B: Future<Output = T>>(
    name: &'static str,
    location: &'static Location<'static>,
    body: impl FnOnce(Arc<Node>) -> B,
) -> Concurrent<B, T> {
    let node = Node::root(name.into(), location);
    let body = body(node.clone());
    Concurrent {
        nested: NestedBoundary::new(Owner::new(node), body),
    }
}

pin_project! {
    /// Branches in a node of their own.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Concurrent<B, T> {
        #[pin]
        nested: NestedBoundary<B, T>,
    }
}

impl<T, B: Future<Output = T>> Concurrent<B, T> {
    /// The body, until it has ended.
    pub(crate) fn body(self: Pin<&mut Self>) -> Option<Pin<&mut B>> {
        self.project().nested.body()
    }
}

impl<T, B: Future<Output = T>> Future for Concurrent<B, T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let mut nested = self.project().nested;
        let exit = ready!(nested.as_mut().poll_exit(cx, |_, _| false));
        match ready!(nested.as_mut().poll_return(exit, cx)) {
            Ok(value) => Poll::Ready(value),
            // Without a value it was unwound by the scope outside.
            Err(_) => nested.park(cx),
        }
    }
}

/// Turns nested values into a tuple.
pub trait Flatten {
    /// The tuple.
    type Flat;

    /// Turns nested values into a tuple.
    fn flatten(self) -> Self::Flat;
}

macro_rules! nested {
    ($head:ident $($rest:ident)*) => { ($head, nested!($($rest)*)) };
    () => { () };
}

impl Flatten for () {
    type Flat = ();

    fn flatten(self) {}
}

macro_rules! flatten {
    ($($name:ident)*) => {
        impl<$($name),*> Flatten for nested!($($name)*) {
            type Flat = ($($name,)*);

            #[allow(non_snake_case)]
            fn flatten(self) -> Self::Flat {
                let nested!($($name)*) = self;
                ($($name,)*)
            }
        }
        flatten!(@less $($name)*);
    };
    (@less $last:ident) => {};
    (@less $head:ident $($rest:ident)*) => { flatten!($($rest)*); };
}

flatten!(A B C D E F G H I J K L M N O P Q R S T U V W X Y Z);

/// Runs futures concurrently in the current task, and returns the tuple of their
/// outputs. Borrowing is allowed; at most 26 branches.
///
/// Each future is a branch: when the current scope is cancelled, each unwinds on its own, and
/// what it held is free for the cleanup of the others. When
/// a branch panics, the others are cancelled and unwind before the panic
/// is resumed. Like `tokio::join!` it awaits inside the macro, and is a
/// checkpoint.
///
/// # Cancel safety
///
/// As safe as its branches; they unwind.
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
    ($($branch:expr),* $(,)?) => {
        $crate::__private::Flatten::flatten(
            $crate::__private::after(
                $crate::__private::gate().await,
                $crate::__private::join($crate::__join_list!(branch; $($branch,)*)),
            )
            .await
        )
    };
}

/// Runs futures concurrently in the current task until one fails. The first
/// `Err` cancels the others, which unwind, and is the result; otherwise the
/// result is `Ok` with the tuple of the values. All branches have the same error type.
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
    ($($branch:expr),* $(,)?) => {
        $crate::__private::after(
            $crate::__private::gate().await,
            $crate::__private::try_join($crate::__join_list!(try_branch; $($branch,)*)),
        )
        .await
        .map($crate::__private::Flatten::flatten)
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __join_list {
    ($kind:ident;) => { () };
    ($kind:ident; $head:expr, $($rest:expr,)*) => {
        $crate::__private::cons(
            ::core::pin::pin!($crate::__private::$kind($head)),
            $crate::__join_list!($kind; $($rest,)*),
        )
    };
}
