//! Counters of the whole process.
//!
//! Each thread counts in a shard, a cache line of its own as a rule, so that
//! threads which spawn at once do not slow each other down. Relaxed throughout:
//! who has waited for a task's end has synchronised with it by that.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::notes::outcome::Outcome;

/// Counters of the whole process, since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Stats {
    /// Tasks that are there now, those that have not been polled yet included.
    pub live_tasks: u64,
    /// The most tasks that were there at once. It is looked at now and then, and
    /// may be too low by fifteen for each thread that spawns.
    pub peak_tasks: u64,
    /// Tasks that were spawned into a group that took them.
    pub spawned: u64,
    /// Tasks that ended with a value.
    pub completed: u64,
    /// Tasks that ended with an error.
    pub failed: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that were left by a cancellation, or never begun because of one.
    pub cancelled: u64,
    /// Tasks that exceeded their grace period, or went with their runtime.
    pub aborted: u64,
    /// Cleanups that were dropped before they had ended.
    pub lost_cleanups: u64,
    /// Cleanups and shielded futures cut because the grace period was over.
    pub overruns: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Count {
    /// Tasks that ended so.
    Ended(Outcome),
    Spawned,
    LostCleanup,
    Overrun,
}

const ENDS: usize = Outcome::Aborted as usize + 1;
const COUNTS: usize = ENDS + 3;
const SHARDS: usize = 32;

/// How many tasks a thread spawns between two looks at how many there are.
const PEAK_EVERY: u64 = 16;

impl Count {
    /// Its index in a shard.
    fn index(self) -> usize {
        match self {
            Count::Ended(outcome) => outcome as usize,
            Count::Spawned => ENDS,
            Count::LostCleanup => ENDS + 1,
            Count::Overrun => ENDS + 2,
        }
    }
}

/// Two cache lines: processors fetch them in pairs.
#[repr(align(128))]
struct CountShard([AtomicU64; COUNTS]);

static ALL: [CountShard; SHARDS] =
    [const { CountShard([const { AtomicU64::new(0) }; COUNTS]) }; SHARDS];
static PEAK: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static MINE: Cell<Option<&'static CountShard>> = const { Cell::new(None) };
}

fn mine() -> &'static CountShard {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    MINE.with(|mine| match mine.get() {
        Some(shard) => shard,
        None => {
            let shard = &ALL[NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS];
            mine.set(Some(shard));
            shard
        }
    })
}

/// Counts one more; tells how many this thread's shard had before.
pub(crate) fn count(what: Count) -> u64 {
    mine().0[what.index()].fetch_add(1, Ordering::Relaxed)
}

/// Counts a task that is spawned.
pub(crate) fn spawned() {
    if count(Count::Spawned).is_multiple_of(PEAK_EVERY) {
        stats();
    }
}

fn sum(what: Count) -> u64 {
    let each = ALL.iter().map(|shard| &shard.0[what.index()]);
    each.map(|count| count.load(Ordering::Relaxed)).sum()
}

/// Counters of the whole process, since its start.
///
/// The parts are read one after the other, while tasks go on to begin and end.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use taskscope::{BoxError, TaskGroup, observe::stats};
///
/// TaskGroup::<BoxError>::new()
///     .run(async |g| {
///         g.spawn(async {});
///         g.spawn(std::future::pending::<()>()).cancel();
///         Ok(())
///     })
///     .await
///     .unwrap();
/// let stats = stats();
/// assert_eq!((stats.live_tasks, stats.spawned), (0, 2));
/// assert_eq!((stats.completed, stats.cancelled, stats.lost_cleanups), (1, 1, 0));
/// # }
/// ```
pub fn stats() -> Stats {
    use Outcome::{Aborted, Cancelled, Completed, Failed, Panicked};
    // Ends first: one that ends meanwhile is then still there, and never less
    // than none are.
    let ended = [Completed, Failed, Panicked, Cancelled, Aborted];
    let ended = ended.map(|outcome| sum(Count::Ended(outcome)));
    let spawned = sum(Count::Spawned);
    let live_tasks = spawned.saturating_sub(ended.iter().sum());
    let [completed, failed, panicked, cancelled, aborted] = ended;
    Stats {
        live_tasks,
        peak_tasks: PEAK
            .fetch_max(live_tasks, Ordering::Relaxed)
            .max(live_tasks),
        spawned,
        completed,
        failed,
        panicked,
        cancelled,
        aborted,
        lost_cleanups: sum(Count::LostCleanup),
        overruns: sum(Count::Overrun),
    }
}
