//! The future of a group.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use crate::base::caught::{catch, drop_each};
use crate::group::scoped::{Children, Erased};
use crate::group::shared::Shared;
use crate::poll::context;
use crate::poll::frame::Frame;
use crate::scope::nested::{NestedBoundary, outer_unwinding};
use crate::task::error::{Cause, GroupError};
use crate::tree::node::Node;
use crate::tree::node::pending::Remaining;
use crate::tree::reason::Reason;
use crate::tree::table::RegionKind;
use crate::unwind::boundary::Owner;
use crate::unwind::exit::{Exit, PanicSite};
use crate::unwind::lost::report_lost;
use crate::unwind::region::Region;

/// How many deferred cleanups may end in one poll.
const AT_ONCE: usize = 64;

/// The cleanups that were deferred, run when all tasks are gone.
struct Deferred<E> {
    running: Option<Erased<Result<(), E>>>,
    region: Region,
}

/// What a group's future owns, and has to give back however it ends.
struct Members<E: Send + 'static> {
    shared: Arc<Shared<E>>,
    children: Children,
    deferred: Deferred<E>,
    /// All are gone, and what they left behind was taken.
    ended: bool,
}

impl<E: Send + 'static> Members<E> {
    fn new(shared: Arc<Shared<E>>) -> Self {
        let deferred = Deferred {
            running: None,
            region: Region::new(RegionKind::Deferred),
        };
        Members {
            shared,
            children: Children::default(),
            deferred,
            ended: false,
        }
    }
}

impl<E: Send + 'static> Drop for Members<E> {
    fn drop(&mut self) {
        let Members {
            shared,
            children,
            deferred,
            ended,
        } = self;
        // First: what is dropped below has not failed.
        if !*ended {
            shared.on_group_dropped();
        }
        // Whoever waits for the group is told of its end, whatever panics here.
        let mut panics = Vec::new();
        // A group that has ended takes no more.
        let queue = if *ended {
            shared.made_inside()
        } else {
            Some(shared.inside())
        };
        if let Some(queue) = queue {
            drop_each(children.close(queue), &mut panics);
        }
        deferred.region.close();
        let running = deferred.running.take().into_iter();
        for cleanup in running.chain(shared.deferred.close()) {
            drop_each([cleanup], &mut panics);
            report_lost_deferred(&shared.node);
        }
        shared.span.end();
        if !*ended {
            // Nobody else would tell them that the others are gone.
            shared.cancel_services(&Reason::Dropped);
            shared.node.deferred_ended();
        }
        let resumed = usize::from(!std::thread::panicking());
        for later in panics.iter().skip(resumed) {
            PanicSite::of(&shared.node).report(later);
        }
        if let Some(first) = panics.into_iter().next().filter(|_| resumed > 0) {
            first.resume();
        }
    }
}

pub(crate) fn report_lost_deferred(group: &Arc<Node>) {
    report_lost("a deferred cleanup", Some(group), group.location());
}

impl<E: Send + 'static> Members<E> {
    /// Polls the children that the group itself polls.
    fn poll_children(&mut self, cx: &mut Context<'_>) {
        if let Some(queue) = self.shared.made_inside() {
            self.children.poll(queue, cx);
        }
    }

    /// Goes on with what is to be done once the body is gone. True when the
    /// group may have come to its end.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        // A cleanup that has begun goes on beside the tasks that it has spawned, and before
        // the services are told to end.
        if self.deferred.running.is_some() && !self.poll_begun(cx) {
            return false;
        }
        match self.shared.node.remaining() {
            Remaining::Tasks | Remaining::Nothing => false,
            Remaining::Services => {
                self.shared.cancel_services(&Reason::Ended);
                false
            }
            Remaining::Deferred if !self.poll_deferred(cx) => false,
            Remaining::Deferred => {
                self.shared.node.deferred_ended();
                // One that came since the last look holds no more.
                if !self.shared.deferred.is_empty() {
                    self.shared.node.await_deferred();
                }
                true
            }
        }
    }

    /// Runs the deferred cleanups, shielded, last in first out. True when none
    /// is left.
    fn poll_deferred(&mut self, cx: &mut Context<'_>) -> bool {
        let shared = self.shared.clone();
        let frame = Frame::of(&shared.node, cx.waker());
        context::enter(&frame, || {
            for _ in 0..AT_ONCE {
                if !self.next_deferred() {
                    self.deferred.region.close();
                    return true;
                }
                if !self.poll_running(cx) {
                    return false;
                }
            }
            // Each may have deferred another one: others get to run, and the timer of the
            // grace period is looked at.
            cx.waker().wake_by_ref();
            false
        })
    }

    /// Polls the cleanup that is running. True when it has ended or was cut.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> bool {
        let shared = self.shared.clone();
        let frame = Frame::of(&shared.node, cx.waker());
        context::enter(&frame, || self.poll_running(cx))
    }

    fn next_deferred(&mut self) -> bool {
        if self.deferred.running.is_none() {
            self.deferred.running = self.shared.deferred.pop();
        }
        self.deferred.running.is_some()
    }

    /// True when the running cleanup has ended or was cut.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> bool {
        let at = self.shared.node.location();
        let Deferred { running, region } = &mut self.deferred;
        let Poll::Ready(exit) = region.poll_shielded(Pin::new(running), at, cx) else {
            return false;
        };
        let (cause, panic) = match exit {
            Exit::Value(Ok(())) => return true,
            Exit::Value(Err(error)) => (Cause::Error(error), None),
            Exit::Panicked(panic) => (Cause::Panic(panic.message()), Some(panic)),
            Exit::Unwound | Exit::Ended => (Cause::Aborted, None),
        };
        self.shared.deferred_failed(cause, panic);
        true
    }
}

pin_project! {
    // The future of `TaskGroup::run`, which returns it as an opaque type: its
    // `Future` impl asks for a `FnOnce` bound that the compiler cannot prove for
    // every lifetime where the type itself is a parameter of something else.
    pub(crate) struct GroupRun<T, E, F, Fut, L>
    where
        E: Send,
        E: 'static,
    {
        // Dropped first: it may borrow what the body borrows, and the body's
        // node adopts what it leaves behind.
        members: Members<E>,
        // What keeps it on its thread, if anything.
        local: PhantomData<L>,
        #[pin]
        nested: NestedBoundary<GroupBody<F, Fut, E>, Option<T>, Arc<Node>>,
    }
}

impl<T, E, F, Fut, L> GroupRun<T, E, F, Fut, L>
where
    E: Send + 'static,
    F: FnOnce(Arc<Shared<E>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    pub(crate) fn new(shared: Arc<Shared<E>>, body: F) -> Self {
        let owner = Owner::new(shared.node.clone());
        let body = GroupBody {
            start: Some(body),
            future: None,
            shared: shared.clone(),
        };
        GroupRun {
            members: Members::new(shared),
            local: PhantomData,
            nested: NestedBoundary::new(owner, body),
        }
    }
}

impl<T, E, F, Fut, L> Future for GroupRun<T, E, F, Fut, L>
where
    E: Send + 'static,
    F: FnOnce(Arc<Shared<E>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Result<T, GroupError<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let members = this.members;
        let exit = this.nested.as_mut().poll_exit(cx, |_, has_body_ended, cx| {
            members.poll_children(cx);
            has_body_ended && members.advance(cx)
        });
        let value = match ready!(exit) {
            Exit::Value(value) => value,
            Exit::Unwound | Exit::Ended => None,
            Exit::Panicked(panic) => {
                members.shared.body_panicked(panic);
                None
            }
        };
        members.ended = true;
        match members.shared.outcome(value, outer_unwinding()) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => this.nested.park(cx),
        }
    }
}

pin_project! {
    /// The body: its failure is the group's as soon as it happens.
    struct GroupBody<F, Fut, E> {
        start: Option<F>,
        #[pin]
        future: Option<Fut>,
        shared: Arc<Shared<E>>,
    }
}

impl<T, E, F, Fut> Future for GroupBody<F, Fut, E>
where
    E: Send + 'static,
    F: FnOnce(Arc<Shared<E>>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut this = self.project();
        let shared = this.shared;
        // The closure is caught, too: its panic cancels the tasks that it has spawned.
        let polled = catch(|| {
            if let Some(start) = this.start.take() {
                shared.span.begin();
                shared.runtime.get_or_init(Handle::current);
                this.future.set(Some(start(shared.clone())));
            }
            let future = this.future.as_mut().as_pin_mut();
            future.map_or(Poll::Pending, |future| future.poll(cx))
        });
        let value = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(Ok(value))) => Some(value),
            Ok(Poll::Ready(Err(error))) => {
                shared.body_failed(error);
                None
            }
            Err(panic) => {
                shared.body_panicked(panic);
                None
            }
        };
        // Here, and not by the boundary: a panic cancels the tasks, too.
        let Err(panic) = context::drop_outside(this.future) else {
            return Poll::Ready(value);
        };
        shared.body_panicked(panic);
        PanicSite::of(shared.node()).discard(value);
        Poll::Ready(None)
    }
}
