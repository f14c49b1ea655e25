// The warnings, as errors.
#![deny(deprecated)]

use futures::stream::{self, FuturesUnordered, StreamExt};
use taskscope::{BoxError, cancellable, race, task_group};

async fn page(n: u32) -> u32 {
    n
}

async fn save(_: u32) {}

#[cancellable]
async fn in_a_loop() {
    let mut running = FuturesUnordered::new();
    running.push(page(1));
    while let Some(page) = running.next().await {
        save(page).await;
    }
}

#[cancellable]
async fn in_a_race(mut calls: tokio::sync::mpsc::Receiver<u32>) {
    let mut pages = stream::iter(0..9).map(page).buffer_unordered(3);
    race! {
        Some(page) = pages.next() => save(page).await,
        Some(call) = calls.recv() => save(call).await,
        else => {}
    }
}

#[cancellable]
async fn in_a_group() -> Result<(), BoxError> {
    let group = task_group!(|_| {
        let mut pages: FuturesUnordered<_> = (0..9).map(page).collect();
        loop {
            match pages.next().await {
                Some(page) => save(page).await,
                None => return Ok(()),
            }
        }
    });
    group.await?;
    Ok(())
}

#[cancellable(deny(hard_drop))]
async fn denied() {
    let mut pages = stream::iter(0..9).map(page).buffered(3);
    while let Some(page) = pages.next().await {
        save(page).await;
    }
}

#[taskscope::main]
async fn main() {
    let mut running = FuturesUnordered::new();
    running.push(page(1));
    while let Some(page) = running.next().await {
        save(page).await;
    }
}
