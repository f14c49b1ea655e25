//! Bits of a node's flags. Each is only ever set; `tree/node.rs` lists the exceptions.

/// Is to be left in order.
pub(crate) const CANCELLED: u32 = 1;
/// The grace period is over: what is still there is dropped where it is.
pub(crate) const ABORTED: u32 = 1 << 1;
/// Was asked to finish.
pub(crate) const STOPPING: u32 = 1 << 2;
/// The deadline was moved, or the time to drain has begun: the boundary has to look at
/// its timer.
pub(crate) const RETIMED: u32 = 1 << 3;
/// The boundary has returned or was dropped: no more children.
pub(crate) const CLOSED: u32 = 1 << 4;
/// Something was cut because it exceeded the grace period.
pub(crate) const OVERRAN: u32 = 1 << 5;
/// The node of a task, not of a scope or group inside one.
pub(crate) const TASK: u32 = 1 << 6;
/// The code of the task, or of the group's body, has seen a failure, by a handle,
/// that its own group lists.
pub(crate) const SAW_FAILURE: u32 = 1 << 7;
/// The task has been polled.
pub(crate) const STARTED: u32 = 1 << 8;
/// The task waits, or has waited, for a permit of its group's limit.
pub(crate) const QUEUED: u32 = 1 << 9;
/// The task has a permit of its group's limit.
pub(crate) const ADMITTED: u32 = 1 << 10;
/// Since its last poll, the task waits for one that is queued behind it.
pub(crate) const STALLED: u32 = 1 << 11;
/// A checkpoint of blocking code has returned `Cancelled`.
pub(crate) const REFUSED: u32 = 1 << 12;
/// The node of blocking work, which is no scope of its own to its users.
pub(crate) const BLOCKING: u32 = 1 << 13;
/// A watchdog has reported that it is late to leave.
pub(crate) const LATE: u32 = 1 << 14;
/// Something behind the lock has to be looked at when the boundary ends: a
/// waker is noted, or something is or was pending. Set under the lock.
pub(crate) const USED: u32 = 1 << 15;
/// The node of a task that its group's cancellation does not reach.
pub(crate) const SHIELDED: u32 = 1 << 16;
/// Has, or had, regions: it may have to be left in order. Set under the lock.
pub(crate) const REGIONS: u32 = 1 << 17;
/// Failures were attached to it. Set under the lock.
pub(crate) const FAILURES: u32 = 1 << 18;
/// Has, or had, orphans below it. Set under the lock.
pub(crate) const ADOPTED: u32 = 1 << 19;
/// The node of a task that goes only when the others are gone: a service.
pub(crate) const BACKGROUND: u32 = 1 << 20;
/// The code of the task, or of the group's body, has seen a failure, by a handle,
/// that another group lists.
pub(crate) const SAW_FOREIGN_FAILURE: u32 = 1 << 21;
/// Was aborted by a second signal, before the end of its grace period. Set together
/// with `ABORTED`.
pub(crate) const CUT: u32 = 1 << 22;
/// The request to finish came from a signal. Set together with `STOPPING`.
pub(crate) const SHUTDOWN: u32 = 1 << 24;
/// The body has ended, and what is pending below is waited for.
pub(crate) const BODY_ENDED: u32 = 1 << 26;
/// Has, or had, a deadline, a grace period or a time to drain: its boundary needs a timer.
pub(crate) const TIMED: u32 = 1 << 25;
