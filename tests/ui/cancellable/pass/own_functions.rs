#![deny(warnings)]

use std::time::Duration;
use taskscope::cancellable;

// Bare names are anybody's: here, this file's.
fn spawn<F>(_: F) {}
fn sleep(_: Duration) {}
fn block_on<F>(_: F) {}
fn select(a: u32, b: u32) -> u32 {
    a.max(b)
}
fn select_all(all: &[u32]) -> usize {
    all.len()
}
async fn timeout(_: Duration, future: impl Future<Output = u32>) -> u32 {
    future.await
}

#[cancellable]
async fn function(limit: Duration) -> u32 {
    spawn(async {});
    sleep(limit);
    block_on(async {});
    select_all(&[select(1, 2)]);
    timeout(limit, async { 1 }).await
}

// A name that the function declares itself, even where the call would be telling.
#[cancellable]
async fn declared_inside(limit: Duration) -> u32 {
    fn timeout(_: Duration, count: &mut u32) {
        *count += 1;
    }
    let mut count = 0;
    timeout(limit, &mut count);
    count
}

#[cancellable]
async fn given(timeout: impl Fn(Duration, &mut u32)) -> u32 {
    let mut count = 0;
    timeout(Duration::ZERO, &mut count);
    count
}

fn main() {
    drop(function(Duration::ZERO));
    drop(declared_inside(Duration::ZERO));
    drop(given(|_, count| *count += 1));
}
