//! `race!`: the first branch to complete wins, the others leave in order.
//!
//! Like those of a join, the branches are pinned in the caller's frame and
//! linked into a list. They run in a node of their own, which is cancelled once
//! the race is decided. A branch that merely borrows its future is *lent*: it is
//! polled in the scope around the race, so that losing does not cancel what
//! belongs to someone else.

use std::cell::Cell;
use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::base::caught::{Panic, catch};
use crate::branch::join::{Concurrent, concurrent, poll_branch};
use crate::poll::context;
use crate::poll::outer::OuterFrame;
use crate::tree::node::{Node, flag};
use crate::tree::reason::Reason;
use crate::unwind::exit::{Exit, KeptPanic, PanicSite};
use crate::unwind::region::Region;

/// How far a branch is.
#[derive(Debug)]
enum RaceState<T> {
    /// Can still win, or has still to be left.
    Running,
    /// Completed with a value that its pattern matches.
    Won(T),
    /// Disabled, or lost and gone.
    Out,
    /// Left by a cancellation from outside of the race.
    Left,
    Panicked(Panic),
}

pin_project! {
    /// One branch.
    #[derive(Debug)]
    pub struct Racer<F, T> {
        #[pin]
        future: Option<F>,
        state: RaceState<T>,
        // A plain function, since a closure's type would go into the type of the
        // race, for nothing.
        matches: fn(&mut T) -> bool,
        started: bool,
        region: Region,
        tries: u8,
    }
}

/// A branch of `race!`. Not `enabled`, its future is never polled.
pub fn racer<F: IntoFuture>(
    future: F,
    enabled: bool,
    matches: fn(&mut F::Output) -> bool,
) -> Racer<F::IntoFuture, F::Output> {
    Racer {
        future: Some(future.into_future()),
        state: if enabled {
            RaceState::Running
        } else {
            RaceState::Out
        },
        matches,
        started: false,
        region: Region::branch(),
        tries: 0,
    }
}

/// What the race does with a branch, whatever its type. A shared reference to the
/// whole branch would cover a future that has references into itself: hence `&mut`.
trait Runner {
    /// Polls the branch, while nobody has won.
    fn run(&mut self, outer: &OuterFrame, cx: &mut Context<'_>);

    /// Drops the branch where it is, unless something inside it must still be
    /// left in order.
    fn give_up(&mut self);

    /// Polls a branch that is being left.
    fn leave(&mut self, cx: &mut Context<'_>);

    fn is_running(&mut self) -> bool;
    fn is_lent(&self) -> bool;
    fn is_left(&mut self) -> bool;
    fn decides(&mut self) -> bool;
    fn take_panic(&mut self) -> Option<Panic>;
}

impl<T, F: Future<Output = T>> Runner for Pin<&mut Racer<F, T>> {
    fn run(&mut self, outer: &OuterFrame, cx: &mut Context<'_>) {
        if !self.is_running() {
            return;
        }
        let lent = self.is_lent();
        let this = self.as_mut().project();
        *this.started = true;
        let polled = if lent {
            outer.enter(|| poll_branch(this.future, this.region, this.tries, cx))
        } else {
            poll_branch(this.future, this.region, this.tries, cx)
        };
        let Poll::Ready(exit) = polled else { return };
        *this.state = match exit {
            Exit::Value(value) => judge(value, *this.matches),
            Exit::Panicked(panic) => RaceState::Panicked(panic),
            Exit::Left | Exit::Ended => RaceState::Left,
        };
    }

    fn give_up(&mut self) {
        let lent = self.is_lent();
        let this = self.as_mut().project();
        let running = matches!(this.state, RaceState::Running);
        if !running || (*this.started && !lent && !this.region.is_clear()) {
            return;
        }
        *this.state = context::drop_outside(this.future)
            .map_or_else(RaceState::Panicked, |()| RaceState::Out);
        this.region.close();
    }

    fn leave(&mut self, cx: &mut Context<'_>) {
        if !self.is_running() {
            return;
        }
        let this = self.as_mut().project();
        // Nobody waits for the value any more, so none is lost.
        *this.tries = u8::MAX;
        let Poll::Ready(exit) = poll_branch(this.future, this.region, this.tries, cx) else {
            return;
        };
        *this.state = match exit {
            Exit::Value(value) => discard(value),
            Exit::Panicked(panic) => RaceState::Panicked(panic),
            Exit::Left | Exit::Ended => RaceState::Out,
        };
    }

    fn is_running(&mut self) -> bool {
        matches!(self.as_mut().project().state, RaceState::Running)
    }

    /// Without anything to drop, the future owns nothing that could have to be
    /// left in order: what there is inside it belongs to someone else. That is
    /// so for `&mut fut` and `.as_mut()`, and for what borrows its stream, like
    /// `.next()`.
    fn is_lent(&self) -> bool {
        !std::mem::needs_drop::<F>()
    }

    fn is_left(&mut self) -> bool {
        matches!(self.as_mut().project().state, RaceState::Left)
    }

    fn decides(&mut self) -> bool {
        matches!(
            self.as_mut().project().state,
            RaceState::Won(_) | RaceState::Panicked(_)
        )
    }

    fn take_panic(&mut self) -> Option<Panic> {
        let state = self.as_mut().project().state;
        if !matches!(state, RaceState::Panicked(_)) {
            return None;
        }
        match std::mem::replace(state, RaceState::Out) {
            RaceState::Panicked(panic) => Some(panic),
            _ => None,
        }
    }
}

/// A value wins if it matches; else its branch is disabled.
fn judge<T>(mut value: T, matches: fn(&mut T) -> bool) -> RaceState<T> {
    if matches(&mut value) {
        RaceState::Won(value)
    } else {
        discard(value)
    }
}

fn discard<T, U>(value: T) -> RaceState<U> {
    catch(|| drop(value)).map_or_else(RaceState::Panicked, |()| RaceState::Out)
}

/// The value of the branch that has won: this one, or one of those after it.
#[derive(Debug)]
pub enum Won<T, Rest> {
    /// This one.
    This(T),
    /// One after it.
    Later(Rest),
}

/// The winner of no branches.
#[derive(Debug)]
pub enum Nobody {}

/// A list of branches: [`Field`] and `()`.
#[expect(private_interfaces, reason = "only this module calls it")]
pub trait Racers {
    /// The winner's value, nested as the list is.
    type Won;

    /// Visits the branches in the order in which they are written.
    fn each(&mut self, visit: &mut dyn FnMut(&mut dyn Runner));

    /// The winner's value, if there is one.
    fn take_won(&mut self) -> Option<Self::Won>;
}

/// A branch, and those after it.
#[derive(Debug)]
pub struct Field<'a, F, T, Rest> {
    head: Pin<&'a mut Racer<F, T>>,
    rest: Rest,
}

/// Puts a branch before others.
pub fn field<'a, F, T, Rest>(head: Pin<&'a mut Racer<F, T>>, rest: Rest) -> Field<'a, F, T, Rest> {
    Field { head, rest }
}

#[expect(private_interfaces, reason = "as in the trait")]
impl Racers for () {
    type Won = Nobody;

    fn each(&mut self, _: &mut dyn FnMut(&mut dyn Runner)) {}

    fn take_won(&mut self) -> Option<Nobody> {
        None
    }
}

#[expect(private_interfaces, reason = "as in the trait")]
impl<T, F: Future<Output = T>, Rest: Racers> Racers for Field<'_, F, T, Rest> {
    type Won = Won<T, Rest::Won>;

    fn each(&mut self, visit: &mut dyn FnMut(&mut dyn Runner)) {
        visit(&mut self.head);
        self.rest.each(visit);
    }

    fn take_won(&mut self) -> Option<Self::Won> {
        let state = self.head.as_mut().project().state;
        if !matches!(state, RaceState::Won(_)) {
            return self.rest.take_won().map(Won::Later);
        }
        match std::mem::replace(state, RaceState::Out) {
            RaceState::Won(value) => Some(Won::This(value)),
            _ => None,
        }
    }
}

/// The body of `race!`.
#[derive(Debug)]
pub(crate) struct RaceBody<L> {
    list: L,
    biased: bool,
    node: Arc<Node>,
    /// The scope around the race, where lent branches are polled.
    outer: OuterFrame,
    /// Holds the race's own node while a lent branch, of which the node does not
    /// know, is still running.
    hold: Region,
    decided: bool,
    /// The first one.
    panic: Option<KeptPanic>,
}

impl<L> Unpin for RaceBody<L> {}

impl<L: Racers> RaceBody<L> {
    /// Polls the branches in turn, until one decides the race.
    fn run(&mut self, cx: &mut Context<'_>) {
        let begin = if self.biased { 0 } else { draw(self.len()) };
        for first in [true, false] {
            let (mut index, outer, decided) = (0, &self.outer, &mut self.decided);
            self.list.each(&mut |branch| {
                if (index >= begin) == first && !*decided {
                    branch.run(outer, cx);
                    *decided = branch.decides();
                }
                index += 1;
            });
        }
        let mut lent = false;
        self.list
            .each(&mut |branch| lent |= branch.is_running() && branch.is_lent());
        if lent && !self.decided {
            self.hold.hold(cx);
        } else {
            self.hold.close();
        }
    }

    /// Lets go of the branches that have lost, the first one first. What has
    /// nothing to be left in order is not polled: it might complete, and its
    /// value would be lost.
    fn leave(&mut self, cx: &mut Context<'_>) {
        self.list.each(&mut |branch| branch.give_up());
        if !self.any(|branch| branch.is_running()) {
            return;
        }
        // Cancelled just now, the boundary polls the body again, as a pass.
        if !self.node.cancel(Reason::Requested) {
            self.list.each(&mut |branch| branch.leave(cx));
        }
    }

    fn end(&mut self) -> Poll<Option<L::Won>> {
        if self.any(|branch| branch.is_running()) {
            return Poll::Pending;
        }
        if let Some(panic) = self.panic.take() {
            panic.take().resume();
        }
        match self.list.take_won() {
            Some(won) => Poll::Ready(Some(won)),
            // What would have disabled its branch or won was left: so is this.
            None if self.any(|branch| branch.is_left()) => Poll::Pending,
            None => Poll::Ready(None),
        }
    }

    /// The first panic counts; a later one is of a branch already told to leave.
    fn note_panics(&mut self) {
        let (first, node) = (&mut self.panic, &self.node);
        self.list.each(&mut |branch| {
            if let Some(panic) = branch.take_panic() {
                match first {
                    None => *first = Some(KeptPanic::new(panic, node)),
                    Some(_) => PanicSite::of(node).report(&panic),
                }
            }
        });
    }

    fn any(&mut self, test: impl Fn(&mut dyn Runner) -> bool) -> bool {
        let mut any = false;
        self.list.each(&mut |branch| any |= test(branch));
        any
    }

    fn len(&mut self) -> u32 {
        let mut len = 0;
        self.list.each(&mut |_| len += 1);
        len
    }

    fn is_cancelled(&self) -> bool {
        self.node.flags() & (flag::CANCELLED | flag::ABORTED) != 0
    }
}

impl<L: Racers> Future for RaceBody<L> {
    type Output = Option<L::Won>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !self.decided {
            // Without budget, branches that ask for it would lose to those that
            // do not.
            if !self.is_cancelled() && !tokio::task::coop::has_budget_remaining() {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            self.run(cx);
        }
        self.note_panics();
        if self.decided {
            self.leave(cx);
            self.note_panics();
        }
        self.end()
    }
}

/// A number below `len`, for fairness alone: cheap, and the same in each run.
fn draw(len: u32) -> u32 {
    thread_local! {
        static STATE: Cell<u32> = const { Cell::new(0x9E37_79B9) };
    }
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        state.set(x);
        // The high half of the product: no division, and no bias worth a name.
        ((u64::from(x) * u64::from(len)) >> 32) as u32
    })
}

pin_project! {
    /// Future of `race!`: the winner's value, or nothing when all branches are
    /// disabled.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Race<L, W> {
        #[pin]
        branches: Concurrent<RaceBody<L>, Option<W>>,
    }
}

/// Runs the branches of `race!`; `biased`, always the first one first.
#[track_caller]
pub fn race<L: Racers>(list: L, biased: bool) -> Race<L, L::Won> {
    let body = |node| RaceBody {
        list,
        biased,
        node,
        outer: OuterFrame::default(),
        hold: Region::boundary(),
        decided: false,
        panic: None,
    };
    Race {
        branches: concurrent("race!", Location::caller(), body),
    }
}

impl<W, L: Racers<Won = W>> Future for Race<L, W> {
    type Output = Option<W>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<W>> {
        let mut branches = self.project().branches;
        if let Some(body) = branches.as_mut().body() {
            body.get_mut().outer.renew();
        }
        branches.poll(cx)
    }
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
