//! What programs call.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll};

use taskscope::{CancelHandle, is_cancelled};

use super::program::{Id, passes, picked};

/// What a program did, and when it is to be cancelled.
#[derive(Default)]
pub(crate) struct Trace(Mutex<Done>);

#[derive(Default)]
struct Done {
    log: Vec<String>,
    ticks: usize,
    cancel: Option<(usize, CancelHandle)>,
}

/// What a program returns where it fails.
pub(crate) struct Fault(pub(crate) u32);

/// What `check` returns where it fails.
pub(crate) struct Refused(u32);

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        Fault(refused.0)
    }
}

impl Trace {
    /// Cancels at the given tick.
    pub(crate) fn cancelling(at: usize, handle: CancelHandle) -> Self {
        Self(Mutex::new(Done {
            cancel: Some((at, handle)),
            ..Done::default()
        }))
    }

    pub(crate) fn into_parts(self) -> (Vec<String>, usize) {
        let done = self.0.into_inner().unwrap();
        (done.log, done.ticks)
    }

    fn lock(&self) -> MutexGuard<'_, Done> {
        self.0.lock().unwrap()
    }

    fn tick(&self) {
        let mut done = self.lock();
        done.ticks += 1;
        let due = done.cancel.as_ref().filter(|(at, _)| *at == done.ticks);
        let handle = due.map(|(_, handle)| handle.clone());
        drop(done);
        if let Some(handle) = handle {
            handle.cancel();
        }
    }

    pub(crate) fn add(&self, id: Id, value: u32) {
        self.lock().log.push(format!("{id}: {value}"));
        self.tick();
    }

    pub(crate) fn mark(&self, id: Id) -> Mark<'_> {
        Mark { trace: self, id }
    }

    /// Suspends so many times; once cancelled, for ever.
    pub(crate) fn pend(&self, times: u32, value: u32) -> Pend<'_> {
        Pend {
            trace: self,
            times,
            value,
            cancelled: false,
        }
    }
}

pub(crate) struct Mark<'t> {
    trace: &'t Trace,
    id: Id,
}

impl Mark<'_> {
    pub(crate) fn hold(&self, times: u32, value: u32) -> Pend<'_> {
        self.trace.pend(times, value)
    }
}

impl Drop for Mark<'_> {
    fn drop(&mut self) {
        self.trace.lock().log.push(format!("drop {}", self.id));
    }
}

pub(crate) struct Pend<'t> {
    trace: &'t Trace,
    times: u32,
    value: u32,
    cancelled: bool,
}

impl Future for Pend<'_> {
    type Output = u32;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u32> {
        if self.times == 0 && !self.cancelled {
            return Poll::Ready(self.value);
        }
        // What is left is polled once or twice more: it must not matter.
        if !self.cancelled {
            self.times -= 1;
            self.trace.tick();
            self.cancelled = is_cancelled();
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pub(crate) async fn ready(value: u32) -> u32 {
    value
}

pub(crate) fn check_now(value: u32) -> Result<u32, Refused> {
    if passes(value) {
        Ok(value)
    } else {
        Err(Refused(value))
    }
}

pub(crate) async fn check(value: u32) -> Result<u32, Refused> {
    check_now(value)
}

pub(crate) fn pick(value: u32) -> Option<u32> {
    picked(value)
}

pub(crate) async fn pick_later(value: u32) -> Option<u32> {
    picked(value)
}

/// The next number below the limit.
pub(crate) fn count(counter: &mut u32, limit: u32) -> Option<u32> {
    let number = *counter;
    *counter += 1;
    (number < limit).then_some(number)
}

pub(crate) async fn count_later(counter: &mut u32, limit: u32) -> Option<u32> {
    count(counter, limit)
}

pub(crate) fn either(result: Result<u32, Fault>) -> u32 {
    result.unwrap_or_else(|fault| fault.0)
}

pub(crate) fn length(text: String) -> u32 {
    u32::try_from(text.len()).unwrap()
}

pub(crate) fn sum(values: Vec<u32>) -> u32 {
    values.into_iter().fold(0, u32::wrapping_add)
}

pub(crate) fn add(a: u32, b: u32) -> u32 {
    a.wrapping_add(b)
}

pub(crate) fn less(a: u32, b: u32) -> bool {
    a < b
}

pub(crate) fn modulo(a: u32, b: u32) -> u32 {
    a % b
}
