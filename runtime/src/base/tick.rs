//! Wakes tasks at an instant of real time.
//!
//! tokio's timers do not serve for that: not every runtime has them, and where the clock is
//! paused they fire at once. One thread, started with the first wake that is asked for, keeps
//! the time for the whole process.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, SendError, Sender};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::base::aside;
use crate::base::caught::wake_each;

/// Wakes `waker` at `at`, or at once if the system has no thread for it.
///
/// A waker that blocks delays all those that are due after it.
pub(crate) fn wake_at(at: Instant, waker: Waker) {
    static TICKS: LazyLock<Sender<(Instant, Waker)>> = LazyLock::new(|| {
        let (sender, ticks) = mpsc::channel();
        aside::spawn("taskscope-wake", move || keep_time(&ticks)).ok();
        sender
    });
    if let Err(SendError((_, waker))) = TICKS.send((at, waker)) {
        waker.wake();
    }
}

fn keep_time(ticks: &Receiver<(Instant, Waker)>) {
    let mut waiting = BTreeMap::<Instant, Vec<Waker>>::new();
    loop {
        let left = waiting.first_key_value().map_or(Duration::MAX, |(at, _)| {
            at.saturating_duration_since(Instant::now())
        });
        match ticks.recv_timeout(left) {
            Ok((at, waker)) => waiting.entry(at).or_default().push(waker),
            // The first of them is due. The sender is static, so the channel stays open.
            Err(_) => drop(waiting.pop_first().map(|(_, due)| wake_each(due))),
        }
    }
}
