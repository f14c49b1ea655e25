//! How much stack a level of recursion takes while it is polled. `--nocapture` prints the table of
//! the guide's page about design; the bounds leave room for other compilers.

use std::cell::Cell;
use std::hint::black_box;
use std::time::Duration;

use taskscope::{BoxError, TaskGroup, cancellable, defer, join, race, shield, timeout};
use taskscope_tests::watched;
use tokio::runtime::Builder;

const LONG: Duration = Duration::from_secs(3600);

thread_local! {
    static DEEPEST: Cell<usize> = const { Cell::new(0) };
}

/// Notes how far down the stack is here.
#[inline(never)]
fn note() {
    let here = 0_u8;
    DEEPEST.set(black_box(&raw const here).addr());
}

/// Where the stack is at the deepest level of a recursion.
fn deepest<F: Future<Output = ()>>(future: F) -> usize {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(future);
    DEEPEST.get()
}

/// Bytes for each level: the difference between two depths.
fn per_level<F: Future<Output = ()>>(recurse: impl Fn(u32) -> F) -> usize {
    const LEVELS: u32 = 32;
    let shallow = deepest(recurse(LEVELS));
    let deep = deepest(recurse(2 * LEVELS));
    (shallow - deep) / LEVELS as usize
}

async fn plain(n: u32) {
    match n {
        0 => note(),
        _ => Box::pin(plain(n - 1)).await,
    }
}

#[cancellable]
async fn annotated(n: u32) {
    match n {
        0 => note(),
        _ => Box::pin(annotated(n - 1)).await,
    }
}

#[cancellable]
async fn guarded(n: u32) {
    defer! { tokio::task::yield_now().await; }
    match n {
        0 => note(),
        _ => Box::pin(guarded(n - 1)).await,
    }
}

#[cancellable]
async fn shielded(n: u32) {
    match n {
        0 => note(),
        _ => shield(Box::pin(shielded(n - 1))).await,
    }
}

async fn limited(n: u32) {
    match n {
        0 => note(),
        _ => timeout(LONG, Box::pin(limited(n - 1))).await.unwrap(),
    }
}

async fn limited_by_tokio(n: u32) {
    match n {
        0 => note(),
        _ => tokio::time::timeout(LONG, Box::pin(limited_by_tokio(n - 1)))
            .await
            .unwrap(),
    }
}

async fn joined(n: u32) {
    match n {
        0 => note(),
        _ => join!(Box::pin(joined(n - 1)), async {}).0,
    }
}

async fn raced(n: u32) {
    match n {
        0 => note(),
        _ => race! {
            biased;
            () = Box::pin(raced(n - 1)) => {}
            () = std::future::pending() => {}
        },
    }
}

async fn grouped(n: u32) {
    match n {
        0 => note(),
        _ => {
            let group = TaskGroup::<BoxError>::new().run(async |_| {
                Box::pin(grouped(n - 1)).await;
                Ok(())
            });
            group.await.unwrap();
        }
    }
}

#[test]
fn a_level_of_recursion_takes_as_much_stack_as_the_guide_says() {
    watched(|| {
        let levels = [
            ("plain", per_level(plain), 1_000),
            ("annotated", per_level(annotated), 1_600),
            ("defer!", per_level(guarded), 6_000),
            ("shield", per_level(shielded), 6_000),
            ("timeout", per_level(limited), 8_000),
            ("tokio's timeout", per_level(limited_by_tokio), 2_000),
            ("join!", per_level(joined), 12_000),
            ("race!", per_level(raced), 12_000),
            ("group", per_level(grouped), 16_000),
        ];
        for (what, bytes, most) in levels {
            println!("{what:16} {bytes:6}");
            assert!(bytes <= most, "{what}: {bytes} B a level");
        }
    });
}
