//! When a node's time is up: deadlines.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Node, flag};
use crate::tree::reason::{Detail, Reason};

/// The timeout that a deadline was made from. Every task's node has room for it, where
/// its other fields leave some: in milliseconds or, with the highest bit, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(u32);

impl Limit {
    const MICROSECONDS: u32 = 1 << 31;

    pub(super) fn of(timeout: Duration) -> Limit {
        let nanos = timeout.subsec_nanos();
        let (per_second, unit, mark) = match nanos {
            nanos if nanos % 1_000_000 == 0 => (1_000, 1_000_000, 0),
            nanos if nanos % 1_000 == 0 => (1_000_000, 1_000, Self::MICROSECONDS),
            _ => return Limit::default(),
        };
        let units = timeout.as_secs().checked_mul(per_second);
        let units = units.and_then(|units| units.checked_add(u64::from(nanos / unit)));
        match units.and_then(|units| u32::try_from(units).ok()) {
            Some(units) if units < Self::MICROSECONDS => Limit(units | mark),
            _ => Limit::default(),
        }
    }

    /// The timeout, if there is one and it is a whole number of microseconds.
    fn get(self) -> Option<Duration> {
        let units = u64::from(self.0 & !Self::MICROSECONDS);
        match self.0 {
            u32::MAX => None,
            n if n & Self::MICROSECONDS == 0 => Some(Duration::from_millis(units)),
            _ => Some(Duration::from_micros(units)),
        }
    }
}

/// None.
impl Default for Limit {
    fn default() -> Limit {
        Limit(u32::MAX)
    }
}

impl Node {
    /// Sets the deadline to `at`, which is `timeout` from now, unless an earlier one is set.
    pub(crate) fn limit_to(&self, at: Instant, timeout: Duration) {
        let mut inner = self.lock();
        if inner.deadline.is_none_or(|deadline| at <= deadline) {
            inner.deadline = Some(at);
            inner.limit = Limit::of(timeout);
        }
        self.set(flag::TIMED);
    }

    /// The grace period that this node's own boundary has to watch: its own,
    /// or the inherited one where the cancellation began here. Elsewhere the
    /// boundary above aborts this node together with its own.
    pub(crate) fn grace_to_watch(&self) -> Option<Duration> {
        let own = self.lock().grace();
        if own.is_some() {
            return own;
        }
        if self
            .unshielded_parent()
            .is_some_and(|parent| parent.flags() & flag::CANCELLED != 0)
        {
            return None;
        }
        self.inherited_grace()
    }

    fn inherited_grace(&self) -> Option<Duration> {
        let mut at = self.parent();
        while let Some((node, _)) = at {
            let grace = node.lock().grace();
            if grace.is_some() {
                return grace;
            }
            at = node.parent();
        }
        None
    }

    /// The grace period of this node, its own or an inherited one.
    #[cfg(feature = "shutdown")]
    pub(crate) fn grace_in_force(&self) -> Option<Duration> {
        let own = self.lock().grace();
        own.or_else(|| self.inherited_grace())
    }

    /// The earliest deadline that will reach this node.
    pub(crate) fn effective_deadline(self: &Arc<Self>) -> Option<Instant> {
        let mut earliest = None;
        let mut at = Some(self.clone());
        while let Some(node) = at {
            let own = node.lock().deadline;
            earliest = match (earliest, own) {
                (Some(a), Some(b)) => Some(std::cmp::min::<Instant>(a, b)),
                (a, b) => a.or(b),
            };
            at = node.unshielded_parent();
        }
        earliest
    }

    /// Cancels because the deadline passed: the outermost scope that is due, so
    /// that of two equal deadlines the outer one is reported.
    pub(crate) fn expire(self: &Arc<Self>, now: Instant) {
        let mut due = self.clone();
        let mut at = self.unshielded_parent();
        while let Some(node) = at {
            if node.lock().deadline.is_some_and(|deadline| deadline <= now) {
                due = node.clone();
            }
            at = node.unshielded_parent();
        }
        let limit = due.lock().limit.get();
        let origin = due.origin_for(Reason::Deadline);
        due.cancel_as(origin.with(limit.map(Detail::Timeout)));
    }

    /// How long the node may go on from now, if it was asked to stop and may not go on for
    /// ever.
    pub(crate) fn time_to_drain(&self) -> Option<Duration> {
        if self.flags_acquire() & flag::STOPPING == 0 {
            return None;
        }
        self.lock().rest.as_ref()?.drain
    }

    /// Cancels because the time to drain is over.
    pub(crate) fn end_drain(self: &Arc<Self>) {
        let drain = self.time_to_drain().map(Detail::Drain);
        let origin = self.origin_for(match self.flags_acquire() & flag::SHUTDOWN {
            0 => Reason::Requested,
            _ => Reason::Shutdown,
        });
        self.cancel_as(origin.with(drain));
    }

    pub(crate) fn set_deadline(&self, deadline: Option<Instant>) {
        let mut inner = self.lock();
        inner.deadline = deadline;
        inner.limit = Limit::default();
        let waker = inner.waker.clone();
        self.set(flag::RETIMED | flag::TIMED);
        drop(inner);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_exact_or_none() {
        let exact = [
            Duration::ZERO,
            Duration::from_micros(1),
            Duration::from_millis(1500),
            Duration::from_secs(24 * 3600),
        ];
        for timeout in exact {
            assert_eq!(Limit::of(timeout).get(), Some(timeout));
        }
        for timeout in [
            Duration::from_nanos(1),
            Duration::from_micros(u64::from(u32::MAX)),
            Duration::MAX,
        ] {
            assert_eq!(Limit::of(timeout).get(), None, "{timeout:?}");
        }
        assert_eq!(Limit::default().get(), None);
    }
}
