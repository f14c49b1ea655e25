//! How many checkpoints a poll passes before its task lets others run.

use std::panic::Location;
use std::time::{Duration, Instant};

use crate::poll::context::CURRENT;
use crate::tree::node::flag;

/// Checkpoints that a task passes in one poll before it lets others run.
pub(crate) const BUDGET: u32 = 1024;

/// After so many the clock is read, and after as many again it is compared: a
/// loop whose rounds take long lets others run then.
pub(super) const SAMPLE: u32 = 32;

/// How long a sample may take.
const QUICK: Duration = Duration::from_micros(10);

/// How far the budget of a poll is spent.
#[derive(Clone, Copy)]
pub(super) enum Spent {
    Nothing,
    /// One sample, by then.
    Sample(Instant),
    /// All that is left is given.
    Rest,
}

/// Whether this poll may go on beyond the checkpoints that it was given. A run
/// that looks at each counts them itself.
pub(super) fn renew_budget() -> bool {
    CURRENT.with(|current| {
        if current.allowance.get() == 0 {
            return false;
        }
        let (spent, budget) = match current.spent.get() {
            Spent::Nothing => (Spent::Sample(Instant::now()), SAMPLE),
            Spent::Sample(since) if since.elapsed() < QUICK => (Spent::Rest, BUDGET - 2 * SAMPLE),
            Spent::Sample(_) | Spent::Rest => return false,
        };
        current.spent.set(spent);
        // This checkpoint is one of them.
        current.beat.set_budget(budget - 1);
        true
    })
}

/// Passes a checkpoint of blocking code; false when there is something to look
/// at: the node's flags, or the clock.
#[inline]
pub(crate) fn pass_blocking(location: &'static Location<'static>) -> bool {
    CURRENT.with(|current| {
        let Some(pulse) = current.pulse() else {
            return true;
        };
        pulse.passed(location);
        let unclocked = current.unclocked.get();
        let clear = pulse.flags() & (flag::CANCELLED | flag::ABORTED) == 0 && unclocked != 0;
        if clear {
            current.unclocked.set(unclocked - 1);
        }
        clear
    })
}

/// How many checkpoints need no look at the clock from now on.
pub(crate) fn set_unclocked(checkpoints: u32) {
    CURRENT.with(|current| current.unclocked.set(checkpoints));
}

/// Makes all gates of this thread take their slow path, until it is dropped.
#[derive(Debug)]
pub(crate) struct Probed(());

pub(crate) fn probed() -> Probed {
    CURRENT.with(|current| current.allowance.set(0));
    Probed(())
}

impl Drop for Probed {
    fn drop(&mut self) {
        CURRENT.with(|current| current.allowance.set(SAMPLE));
    }
}
