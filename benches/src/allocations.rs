//! How often a task allocates.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::family::{Contestant, Family, Peer, Size, Unit};
use crate::tasks;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting the allocations of each thread.
struct Counting;

fn count() {
    // A thread that is going away is of no interest.
    COUNT.try_with(|count| count.set(count.get() + 1)).ok();
}

// SAFETY: forwards to the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's duty is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(ptr, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The families of this module.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    let count = size.of(20_000);
    vec![Family {
        unit: Unit::Allocations,
        ours: Contestant::on_one_thread("group", count, |n| per_task(n, tasks::group(n))),
        peers: vec![
            Peer::with_goal(
                "allocs_per_task",
                1.10,
                Contestant::on_one_thread("tokio::spawn", count, |n| per_task(n, tasks::plain(n))),
            ),
            Peer::for_information(
                "allocs_vs_set",
                Contestant::on_one_thread("JoinSet", count, |n| per_task(n, tasks::join_set(n))),
            ),
        ],
    }]
}

/// How often this thread has allocated.
pub(crate) fn of_this_thread() -> u64 {
    COUNT.get()
}

async fn per_task(count: usize, work: impl Future) -> f64 {
    let before = of_this_thread();
    work.await;
    (of_this_thread() - before) as f64 / count as f64
}
