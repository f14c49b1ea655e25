//! The list of branches that `join!`, `try_join!` and `race!` run, whatever their types.
//!
//! A macro pins its branches in the caller's frame and links them into a list, so that one future
//! polls any number of them, nothing recurses and nothing is allocated. The future borrows the
//! list; the values stay in the branches until the expansion takes them out:
//!
//! ```text
//! match cons(pin!(branch(load())), cons(pin!(branch(save())), ())) {
//!     mut branches => {
//!         join(&mut branches).await;
//!         (value(branches.head), value(branches.rest.head))
//!     }
//! }
//! ```
//!
//! 1. A branch is a region that does not hold itself. While everything unwinds, its future is
//!    dropped as soon as nothing *inside* it has to be unwound, whatever the other branches do:
//!    what it held is then free for their cleanups.
//! 2. A branch that has ended has no future. So nothing is polled after it has completed or
//!    panicked, and a guard that it held does not live until the other branches have ended.
//! 3. A future only sees branches as [`AnyBranch`]. What differs between the macros is when they poll a
//!    branch, and which value decides ([`Decider`]).

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::base::caught::{Panic, catch};
use crate::poll::context;
use crate::unwind::exit::Exit;
use crate::unwind::region::Region;

pin_project! {
    /// One branch.
    // `T` is the future's output. It is a parameter of its own, since a projection
    // in the type would hinder the compiler in proving that a future is `Send`.
    #[derive(Debug)]
    pub struct Branch<F, T, D> {
        #[pin]
        future: Option<F>,
        // How the branch has ended. A panic is taken out at once.
        exit: Option<Exit<T>>,
        decider: D,
        region: Region,
    }
}

/// Which value of a branch decides how the macro ends, so that the other branches are cancelled.
pub trait Decider<T> {
    /// Whether this value does.
    fn decides(&self, value: &mut T) -> bool;
}

/// A future, or what becomes one.
///
/// Of a trait with one impl for all types, rustc takes the impl for granted, and reports what lacks for it in every
/// line that depends on it. With a second one that never applies, `M` has to be inferred:
/// what is not a future is reported once.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a future",
    label = "`{Self}` is not a future",
    note = "a branch must be a future, or must implement `IntoFuture`"
)]
pub trait IntoBranch<M> {
    /// The future.
    type Future;

    /// Its output.
    type Output;

    /// Makes a branch of it. One that is not `enabled` is never polled.
    fn into_branch<D>(self, decider: D, enabled: bool) -> Branch<Self::Future, Self::Output, D>;
}

/// The impl of [`IntoBranch`] that applies to futures.
#[derive(Debug)]
pub struct OfFutures;

/// The impl of [`IntoBranch`] that never applies.
#[derive(Debug)]
pub struct OfNothing;

/// No type is nothing.
pub trait Nothing: Sized {}

impl<F: IntoFuture> IntoBranch<OfFutures> for F {
    type Future = F::IntoFuture;
    type Output = F::Output;

    fn into_branch<D>(self, decider: D, enabled: bool) -> Branch<F::IntoFuture, F::Output, D> {
        Branch {
            future: Some(self.into_future()),
            exit: (!enabled).then_some(Exit::Ended),
            decider,
            region: Region::branch(),
        }
    }
}

impl<F: Nothing> IntoBranch<OfNothing> for F {
    type Future = ();
    type Output = ();

    fn into_branch<D>(self, _: D, _: bool) -> Branch<(), (), D> {
        unreachable!("no type is nothing")
    }
}

/// Takes the value out of a branch that has one.
pub fn value<F, T, D>(branch: Pin<&mut Branch<F, T, D>>) -> T {
    match branch.project().exit.take() {
        Some(Exit::Value(value)) => value,
        _ => unreachable!("a branch without a value was taken for one that has it"),
    }
}

/// The values of all branches, which `take` takes out.
pub fn values<T>(take: impl FnOnce() -> T) -> T {
    take()
}

/// A branch, whatever its type.
// A shared reference to the whole branch would cover a future that has references into
// itself: hence `&mut` also where a method only reads.
pub trait AnyBranch {
    /// Polls the branch unless it has ended.
    fn poll(&mut self, cx: &mut Context<'_>);

    /// Drops the future, unless something in it has to be unwound first: polling it then
    /// unwinds it.
    fn give_up(&mut self);

    /// Drops the value. A panic of its `Drop` is one of the branch.
    fn discard_value(&mut self);

    /// Takes the panic that the branch has ended with.
    fn take_panic(&mut self) -> Option<Panic>;

    /// Whether the branch has not ended yet.
    fn is_running(&mut self) -> bool;

    /// Whether the branch was cancelled from outside, and has unwound.
    fn is_unwound(&mut self) -> bool;

    /// Whether the branch has a value that decides, or a panic.
    fn decides(&mut self) -> bool;

    /// Whether the branch only borrows its future. There is nothing to drop then, so the future
    /// owns nothing that could have to be unwound: whatever there is inside it belongs to
    /// someone else. That is so for `&mut fut` and `.as_mut()`, and for what borrows its stream,
    /// like `.next()`.
    fn is_borrowed(&self) -> bool;
}

impl<T, F: Future<Output = T>, D: Decider<T>> AnyBranch for Pin<&mut Branch<F, T, D>> {
    fn poll(&mut self, cx: &mut Context<'_>) {
        let this = self.as_mut().project();
        if this.exit.is_none()
            && let Poll::Ready(exit) = this.region.poll_cancellable(this.future, None, cx)
        {
            this.region.close();
            *this.exit = Some(exit);
        }
    }

    fn give_up(&mut self) {
        let (is_running, is_borrowed) = (self.is_running(), self.is_borrowed());
        let this = self.as_mut().project();
        this.region.needs_no_value();
        if is_running && (is_borrowed || this.region.is_clear()) {
            *this.exit = context::drop_outside(this.future).err().map(Exit::Panicked);
            this.region.close();
        }
    }

    fn discard_value(&mut self) {
        let exit = self.as_mut().project().exit;
        if let Some(value) = exit.take_if(|exit| matches!(exit, Exit::Value(_))) {
            *exit = catch(|| drop(value)).err().map(Exit::Panicked);
        }
    }

    fn take_panic(&mut self) -> Option<Panic> {
        let exit = self.as_mut().project().exit;
        match exit.take_if(|exit| matches!(exit, Exit::Panicked(_))) {
            Some(Exit::Panicked(panic)) => Some(panic),
            _ => None,
        }
    }

    fn is_running(&mut self) -> bool {
        let this = self.as_mut().project();
        this.exit.is_none() && this.future.is_some()
    }

    fn is_unwound(&mut self) -> bool {
        matches!(self.as_mut().project().exit, Some(Exit::Unwound))
    }

    fn decides(&mut self) -> bool {
        let this = self.as_mut().project();
        match this.exit {
            Some(Exit::Value(value)) => this.decider.decides(value),
            Some(Exit::Panicked(_)) => true,
            _ => false,
        }
    }

    fn is_borrowed(&self) -> bool {
        !std::mem::needs_drop::<F>()
    }
}

/// A list of branches: [`Cons`] and `()`.
pub trait Branches {
    /// How many there are.
    const COUNT: u16;

    /// Visits the branches in the order in which they are written.
    fn each(&mut self, visit: &mut dyn FnMut(&mut dyn AnyBranch));
}

/// A branch, and those after it.
#[derive(Debug)]
pub struct Cons<'a, F, T, D, Rest> {
    /// The first branch.
    pub head: Pin<&'a mut Branch<F, T, D>>,
    /// The others.
    pub rest: Rest,
}

/// Puts a branch before others.
pub fn cons<'a, F, T, D, Rest>(
    head: Pin<&'a mut Branch<F, T, D>>,
    rest: Rest,
) -> Cons<'a, F, T, D, Rest> {
    Cons { head, rest }
}

impl Branches for () {
    const COUNT: u16 = 0;

    fn each(&mut self, _: &mut dyn FnMut(&mut dyn AnyBranch)) {}
}

impl<T, F: Future<Output = T>, D: Decider<T>, Rest: Branches> Branches for Cons<'_, F, T, D, Rest> {
    const COUNT: u16 = 1 + Rest::COUNT;

    fn each(&mut self, visit: &mut dyn FnMut(&mut dyn AnyBranch)) {
        visit(&mut self.head);
        self.rest.each(visit);
    }
}
