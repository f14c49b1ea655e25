//! `race!`: the first branch whose value matches wins, and the others unwind.
//!
//! A branch that only borrows its future is polled in the scope around the race, so that
//! losing does not cancel a future that belongs to someone else. It just is no longer polled.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::branch::concurrent::{
    Body, Concurrent, Order, RunningBranches, concurrent, has_own_node, own_node,
};
use crate::branch::list::{AnyBranch, Branch, Branches, Decider, IntoBranch, value};
use crate::poll::context;
use crate::poll::outer::OuterFrame;
use crate::tree::node::lazy::Construct;
use crate::tree::reason::Reason;
use crate::unwind::region::Region;

/// Whether the pattern of the branch matches its value. A plain function, since a closure's type
/// would go into the type of the race, for nothing.
type Matches<T> = fn(&mut T) -> bool;

impl<T> Decider<T> for Matches<T> {
    fn decides(&self, value: &mut T) -> bool {
        self(value)
    }
}

/// A branch of `race!`. Not `enabled`, its future is never polled.
pub fn race_branch<M, F: IntoBranch<M>>(
    future: F,
    enabled: bool,
    matches: Matches<F::Output>,
) -> Branch<F::Future, F::Output, Matches<F::Output>> {
    future.into_branch(matches, enabled)
}

/// The value of the branch that has won: this one, or one of those after it. Without a winner, it
/// is the `()` at the end.
#[derive(Debug)]
pub enum Winner<T, Rest> {
    /// This one.
    This(T),
    /// One after it.
    Later(Rest),
}

/// Takes the value out of the branch that has won.
pub fn won<F, T, D, Rest>(branch: Pin<&mut Branch<F, T, D>>) -> Winner<T, Rest> {
    Winner::This(value(branch))
}

/// Polls a branch. Returns whether the race is decided by it.
fn run(branch: &mut dyn AnyBranch, outer: &OuterFrame, cx: &mut Context<'_>) -> bool {
    match branch.is_borrowed() {
        true => outer.enter(|| branch.poll(cx)),
        false => branch.poll(cx),
    }
    // A value that does not match disables its branch.
    if !branch.decides() {
        branch.discard_value();
    }
    branch.decides()
}

/// The body of `race!`.
#[derive(Debug)]
pub struct RaceBody<'a, L> {
    running: RunningBranches<'a, L>,
    /// The scope around the race, where borrowed branches are polled.
    outer: OuterFrame,
    /// Holds the race's own node, if it has one, while a borrowed branch, of which the node does
    /// not know, is still running. Without a node, nothing drops the race before the scope
    /// around it does, which knows of the branch.
    open_while_borrowed: Region,
}

impl<L: Branches> RaceBody<'_, L> {
    /// Polls the branches in turn, until one decides the race.
    fn run(&mut self, cx: &mut Context<'_>) {
        let (outer, mut decided) = (&self.outer, false);
        self.running
            .round(|branch| decided = decided || run(branch, outer, cx));
        let mut runs_borrowed =
            |branch: &mut dyn AnyBranch| branch.is_running() && branch.is_borrowed();
        if !decided && has_own_node() && self.running.any(&mut runs_borrowed) {
            self.open_while_borrowed.open(cx);
        } else {
            self.open_while_borrowed.close();
        }
    }

    /// Gives up the branches that have lost, the first one first. A branch in which nothing
    /// has to be unwound is not polled: it might complete, and its value would be lost.
    fn unwind(&mut self, cx: &mut Context<'_>) {
        self.running.each(|branch| branch.give_up());
        // Cancelled just now, the boundary polls the body again, as a pass.
        if !self.running.any(|branch| branch.is_running()) || own_node().cancel(Reason::Requested) {
            return;
        }
        self.running.each(|branch| {
            if branch.is_running() {
                branch.poll(cx);
                branch.discard_value();
            }
        });
    }
}

impl<L: Branches> Body for RaceBody<'_, L> {
    fn before_poll(mut self: Pin<&mut Self>) {
        // Others are polled inside the race.
        if self.running.any(|branch| branch.is_borrowed()) {
            self.outer.renew();
        }
    }
}

impl<L: Branches> Future for RaceBody<'_, L> {
    type Output = Option<u16>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.running.is_decided() {
            // Without budget, branches that ask for it would lose to those that
            // do not.
            if !tokio::task::coop::has_budget_remaining() && !context::must_unwind() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.run(cx);
        }
        self.running.note();
        if self.running.is_decided() {
            self.unwind(cx);
            self.running.note();
        }
        self.running.end()
    }
}

/// Runs the branches of `race!`; `biased`, always the first one first. Returns the index of the
/// winner, if there is one.
#[track_caller]
pub fn race<'a, L: Branches>(list: &'a mut L, biased: bool) -> Concurrent<RaceBody<'a, L>> {
    let order = if biased {
        Order::Written
    } else {
        Order::Random
    };
    let body = RaceBody {
        running: RunningBranches::new(list, order),
        outer: OuterFrame::default(),
        open_while_borrowed: Region::boundary(),
    };
    concurrent(Construct::Race, body)
}

/// What `race!` does without an `else` when all branches are disabled.
///
/// # Panics
///
/// Always.
#[cold]
#[track_caller]
pub fn all_disabled() -> ! {
    panic!("all branches of `race!` are disabled, and it has no `else`")
}
