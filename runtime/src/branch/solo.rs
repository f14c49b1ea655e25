//! A branch of another crate's `join!` or `try_join!`, in a function with the attribute.

use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::unwind::cleanup::parked;
use crate::unwind::exit::Exit;
use crate::unwind::region::Region;

pin_project! {
    /// A branch as a future of its own: an argument of `tokio::try_join!`. Cancelled, it unwinds,
    /// and then stays pending.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Solo<F> {
        #[pin]
        future: Option<F>,
        region: Region,
        location: &'static Location<'static>,
    }
}

/// A branch of a combinator of another crate.
#[track_caller]
pub fn solo<F: IntoFuture>(future: F) -> Solo<F::IntoFuture> {
    Solo {
        future: Some(future.into_future()),
        region: Region::branch(),
        location: Location::caller(),
    }
}

impl<F: Future> Future for Solo<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if this.future.is_none() {
            return parked(&"a branch", this.location, cx);
        }
        let exit = ready!(this.region.poll_cancellable(this.future, None, cx));
        this.region.close();
        match exit {
            Exit::Value(value) => Poll::Ready(value),
            Exit::Panicked(panic) => panic.resume(),
            Exit::Unwound | Exit::Ended => parked(&"a branch", this.location, cx),
        }
    }
}
