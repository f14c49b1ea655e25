//! Since when something is there, cheaply.
//!
//! Every scope and every task notes when it was made, for [`tree`](crate::observe::tree())
//! alone. So the kernel's coarse clock is read, a few milliseconds behind and
//! several times as cheap as the exact one.

use std::time::Duration;

/// A moment on a clock that never goes back; real time, also where tokio's clock
/// is paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    /// Every task keeps one: half as big as a `Duration`.
    nanoseconds: u64,
}

impl Moment {
    #[inline]
    pub(crate) fn now() -> Moment {
        Moment { nanoseconds: now() }
    }

    /// How long `earlier` was ago; zero if it is later.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
    }
}

#[cfg(target_os = "linux")]
#[inline]
fn now() -> u64 {
    let mut time = std::mem::MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the call writes the whole structure. It cannot fail: the pointer is
    // valid and the clock is there since Linux 2.6.32.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, time.as_mut_ptr());
        time.assume_init()
    };
    // Since the machine was started: enough for centuries.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(not(target_os = "linux"))]
fn now() -> u64 {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

#[cfg(all(test, not(taskscope_loom)))]
mod tests {
    use super::*;

    #[test]
    fn goes_on_and_never_back() {
        let first = Moment::now();
        std::thread::sleep(Duration::from_millis(30));
        let now = Moment::now();
        assert_eq!(first.since(now), Duration::ZERO);
        let elapsed = now.since(first);
        assert!(elapsed >= Duration::from_millis(20), "{elapsed:?}");
    }
}
