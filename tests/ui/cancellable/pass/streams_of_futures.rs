#![deny(warnings, clippy::pedantic)]

use futures::stream::{self, FuturesUnordered, StreamExt};
use taskscope::{BoxError, cancellable, task_group};

async fn page(n: u32) -> u32 {
    n
}

async fn save(_: u32) {}

#[cancellable(allow(hard_drop))]
async fn allowed() {
    let mut running = FuturesUnordered::new();
    running.push(page(1));
    while let Some(page) = running.next().await {
        save(page).await;
    }
}

#[cancellable(deny(hard_drop))]
async fn in_a_group() -> Result<(), BoxError> {
    let group = task_group!(allow(hard_drop), |_| {
        let mut pages = stream::iter(0..9).map(page).buffered(3);
        while let Some(page) = pages.next().await {
            save(page).await;
        }
        Ok(())
    });
    group.await?;
    Ok(())
}

// Polled until all have ended, or once.
#[cancellable]
async fn all_at_once() -> Vec<u32> {
    let first = stream::iter(0..9).map(page).buffered(3).next().await;
    let running: FuturesUnordered<_> = first.into_iter().map(page).collect();
    for n in 0..3 {
        save(n).await;
    }
    running.collect().await
}

#[cancellable]
async fn of_its_own() {
    let mut values = stream::iter(0..9);
    while let Some(n) = values.next().await {
        save(n).await;
    }
    allowed().await;
}

fn main() {
    drop((of_its_own(), all_at_once(), in_a_group()));
}
