use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use taskscope::cancellable;

#[cancellable]
async fn spins(counter: &AtomicU64) {
    loop {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cancellable]
async fn prints(ready: &AtomicBool) {
    while true {
        if ready.load(Ordering::Relaxed) {
            println!("ready");
        }
    }
}

// A jump that stays inside is no way out.
#[cancellable]
async fn jumps(numbers: &[u32]) {
    'all: loop {
        for n in numbers {
            match n {
                0 => break,
                1 => continue 'all,
                _ => continue,
            }
        }
        let _even = || -> Option<u32> { numbers.first()?.checked_sub(2) };
    }
}

// What is reported once is not reported again.
#[cancellable]
async fn nested(counter: &AtomicU64) {
    loop {
        loop {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cancellable(loops)]
async fn unmarked(counter: &AtomicU64) {
    #[no_checkpoint]
    loop {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

// A future that is made is not awaited.
#[cancellable]
async fn collects(mut futures: Vec<std::future::Ready<u32>>) {
    loop {
        let next = async { std::future::ready(1).await };
        drop(next);
        futures.push(std::future::ready(2));
    }
}

fn main() {}
