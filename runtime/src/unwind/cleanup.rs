//! `defer!` and `on_cancel!`: the guards that expansions build.
//!
//! ```text
//! let mut guard = Guard::arm();
//! let exit = guard.body(async { the rest of the block }).await;
//! guard.cleanup(async { the cleanup }).await;
//! guard.finish(exit).await
//! ```
//!
//! The body may be left at any of its awaits; the guard's own three awaits are
//! no checkpoints. The cleanup runs in the async fn that owns the locals, after
//! the body is gone, so both may borrow them.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::base::caught::Panic;
use crate::notes::events::CleanupTrace;
use crate::poll::context;
use crate::poll::gate::park;
use crate::tree::table::RegionKind;
use crate::unwind::exit::{Exit, PanicSite};
use crate::unwind::lost::report_lost;
use crate::unwind::region::Region;

/// An armed cleanup.
#[derive(Debug)]
pub struct Guard {
    region: Region,
    location: &'static Location<'static>,
    /// Nothing is lost if the guard is dropped now.
    disarmed: bool,
    trace: CleanupTrace,
    /// A panic of the cleanup.
    panic: Option<Panic>,
}

impl Guard {
    /// Arms a `defer!`.
    #[track_caller]
    pub fn arm() -> Guard {
        Guard::new(RegionKind::Defer, Location::caller())
    }

    /// Arms an `on_cancel!`.
    #[track_caller]
    pub fn arm_on_cancel() -> Guard {
        Guard::new(RegionKind::OnCancel, Location::caller())
    }

    fn new(kind: RegionKind, location: &'static Location<'static>) -> Guard {
        Guard {
            region: Region::new(kind),
            location,
            disarmed: false,
            trace: CleanupTrace::new(),
            panic: None,
        }
    }

    /// Runs the guarded code to its end, or until it is left.
    pub fn body<F: Future>(&mut self, body: F) -> BorrowsLocals<'_, F> {
        BorrowsLocals {
            guard: self,
            body: Some(body),
        }
    }

    /// Runs the cleanup, shielded, once the body is gone.
    pub fn cleanup<F: Future<Output = ()>>(&mut self, cleanup: F) -> Cleanup<'_, F> {
        Cleanup {
            guard: self,
            cleanup: Some(cleanup),
        }
    }

    fn site(&self) -> PanicSite<'_> {
        PanicSite {
            node: self.region.node(),
            location: Some(self.location),
        }
    }

    /// Passes on what the body did: its value, its panic, or the cancellation.
    pub fn finish<T>(self, exit: Exit<T>) -> Finish<T> {
        Finish {
            block: self.finish_block(exit),
        }
    }

    /// The same for a block that may end without returning.
    pub fn finish_block<T>(mut self, mut exit: Exit<T>) -> FinishBlock<T> {
        self.disarmed = true;
        self.region.close();
        if let Some(panic) = self.panic.take() {
            exit.add_panic(panic, self.site());
        }
        FinishBlock {
            exit: Some(exit),
            what: self.region.kind().name(),
            location: self.location,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.disarmed {
            return;
        }
        let what = self.region.kind().name();
        report_lost(what, self.region.node(), self.location);
    }
}

pin_project! {
    /// Future of [`Guard::body`].
    ///
    /// Where a local above the guard is not `Sync`, so that the function's future is not
    /// `Send`, rustc's error names this type and quotes the line of its declaration.
    #[must_use = "futures do nothing unless awaited"]
    pub struct BorrowsLocals<'a, F> { // the code below a `defer!` shares the locals above it: they must be `Sync`
        guard: &'a mut Guard,
        #[pin]
        body: Option<F>,
    }
}

impl<F: Future> Future for BorrowsLocals<'_, F> {
    type Output = Exit<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Guard {
            region, location, ..
        } = &mut **this.guard;
        region.poll_cancellable(this.body, Some(*location), cx)
    }
}

pin_project! {
    /// Future of [`Guard::cleanup`]. Its line is quoted, too.
    #[must_use = "futures do nothing unless awaited"]
    pub struct Cleanup<'a, F> { // it shares the locals above the `defer!`: they must be `Sync`
        guard: &'a mut Guard,
        #[pin]
        cleanup: Option<F>,
    }
}

impl<F: Future<Output = ()>> Future for Cleanup<'_, F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let guard = this.guard;
        let (what, at) = (guard.region.kind().name(), guard.location);
        guard.trace.begin(what, at);
        let exit = ready!(guard.region.poll_shielded(this.cleanup, at, cx));
        if let Exit::Panicked(panic) = exit {
            guard.panic = Some(panic);
        }
        guard.trace.end(what, at);
        Poll::Ready(())
    }
}

/// Future of [`Guard::finish`].
#[must_use = "futures do nothing unless awaited"]
pub struct Finish<T> {
    block: FinishBlock<T>,
}

impl<T> Future for Finish<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.block).poll(cx) {
            Poll::Ready(Some(value)) => Poll::Ready(value),
            // A body that is the function's own tail has no other end.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Future of [`Guard::finish_block`].
#[must_use = "futures do nothing unless awaited"]
pub struct FinishBlock<T> {
    exit: Option<Exit<T>>,
    what: &'static str,
    location: &'static Location<'static>,
}

impl<T> Unpin for Finish<T> {}
impl<T> Unpin for FinishBlock<T> {}

impl<T> Future for FinishBlock<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        match self.exit.take() {
            Some(Exit::Value(value)) => Poll::Ready(Some(value)),
            Some(Exit::Ended) => Poll::Ready(None),
            Some(Exit::Panicked(panic)) => panic.resume(),
            Some(Exit::Unwound) | None => {
                self.exit = None;
                parked(&self.what, self.location, cx)
            }
        }
    }
}

/// What a future does that was unwound by a cancellation: it has no body any more
/// and waits to be dropped.
///
/// It may lie in a collection that polls its members by wakers of its own, and that
/// is polled again outside of the boundary which unwound it. So the node keeps such a
/// waker and wakes it when the boundary has ended. There is nothing to go on with
/// then, and this panics.
pub(crate) fn parked<T>(
    what: &dyn fmt::Display,
    location: &Location<'_>,
    cx: &mut Context<'_>,
) -> Poll<T> {
    let unwinding = context::current(|frame| {
        let frame = frame.filter(|frame| frame.in_pass());
        frame.inspect(|frame| park(frame, cx.waker())).is_some()
    });
    assert!(
        unwinding,
        "the code guarded by {what} at {location} was unwound by a cancellation and is polled again"
    );
    Poll::Pending
}
