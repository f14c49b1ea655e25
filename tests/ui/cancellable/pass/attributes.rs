#![deny(warnings, clippy::pedantic)]

use taskscope::{cancellable, checkpoint, defer};

async fn step(n: u32) -> u32 {
    n
}

#[cancellable]
async fn on_statements(log: &mut Vec<u32>) {
    #[cfg(any())]
    missing(log).await;
    #[cfg(not(any()))]
    log.push(step(1).await);
    #[allow(unused_variables)]
    let unused = step(2).await;
    #[cfg(any())]
    let missing = missing().await;
    #[expect(clippy::let_unit_value)]
    let unit = checkpoint().await;
    #[rustfmt::skip]
    step( 3 ).await;
    let () = unit;
    #[cfg(any())]
    {
        missing().await
    }
    #[cfg(not(any()))]
    {
        log.push(step(4).await);
    }
    #[cfg(any())]
    for n in missing().await {
        log.push(n);
    }
    #[cfg(any())]
    return missing().await;
}

#[cancellable]
async fn on_arms(n: u32) -> u32 {
    match step(n).await {
        #[cfg(any())]
        0 => missing().await,
        #[cfg(not(any()))]
        0 => step(10).await,
        #[allow(clippy::match_same_arms)]
        1 if step(1).await == 1 => step(20).await,
        _ => step(20).await,
    }
}

struct Pair {
    first: u32,
    #[cfg(any())]
    missing: u32,
}

#[cancellable]
async fn on_fields() -> u32 {
    let pair = Pair {
        first: step(1).await,
        #[cfg(any())]
        missing: missing().await,
    };
    let list = [
        step(1).await,
        #[cfg(any())]
        missing().await,
        #[cfg(not(any()))]
        step(2).await,
    ];
    take(
        #[cfg(any())]
        missing().await,
        step(3).await,
    ) + pair.first
        + list.len() as u32
}

fn take(n: u32) -> u32 {
    n
}

#[cancellable]
async fn on_tail(n: u32) -> u32 {
    #[cfg(any())]
    {
        missing(n).await
    }
    #[cfg(not(any()))]
    {
        step(n).await
    }
}

#[cancellable]
async fn on_guards(log: &mut Vec<u32>) {
    #[allow(unused_mut)]
    let mut n = step(1).await;
    defer! {
        #[cfg(any())]
        missing().await;
        #[cfg(not(any()))]
        log.push(step(n).await);
    }
    #[cfg(any())]
    missing().await;
    n = step(5).await;
    #[checkpoint]
    #[allow(clippy::never_loop)]
    for _ in 0..2 {
        break;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut log = Vec::new();
    on_statements(&mut log).await;
    on_guards(&mut log).await;
    assert_eq!(log, [1, 4, 5]);
    assert_eq!(on_arms(0).await + on_arms(1).await + on_arms(2).await, 50);
    assert_eq!(on_fields().await, 6);
    assert_eq!(on_tail(1).await, 1);
}
