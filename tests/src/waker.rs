use std::pin::Pin;
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

/// A waker whose every clone lies at an address of its own, as the contract of
/// [`RawWaker`] allows. It wakes `target`.
#[must_use]
pub fn moving_waker(target: Waker) -> Waker {
    // SAFETY: the functions of the table keep the contract: each waker owns a box
    // of its own, and a `Waker` may be used from any thread.
    unsafe { Waker::from_raw(raw(target)) }
}

const VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop_waker);

fn raw(target: Waker) -> RawWaker {
    let data: *const Waker = Box::into_raw(Box::new(target));
    RawWaker::new(data.cast(), &VTABLE)
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: a waker that was not dropped owns the box.
    raw(unsafe { &*data.cast::<Waker>() }.clone())
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as in `clone`; `wake` takes the waker, and so the box.
    unsafe { Box::from_raw(data.cast_mut().cast::<Waker>()) }.wake();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `clone`.
    unsafe { &*data.cast::<Waker>() }.wake_by_ref();
}

unsafe fn drop_waker(data: *const ()) {
    // SAFETY: as in `wake`.
    drop(unsafe { Box::from_raw(data.cast_mut().cast::<Waker>()) });
}

/// Polls a future with a new [`moving_waker`] each time.
pub struct Moving<F>(Pin<Box<F>>);

impl<F: Future> Moving<F> {
    /// Takes the future without polling it.
    pub fn new(future: F) -> Self {
        Self(Box::pin(future))
    }
}

impl<F: Future> Future for Moving<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let waker = moving_waker(cx.waker().clone());
        self.0.as_mut().poll(&mut Context::from_waker(&waker))
    }
}
