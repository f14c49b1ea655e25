#![deny(warnings)]

use std::num::ParseIntError;
use std::time::Duration;
use taskscope::{BoxError, OnFailure, cancellable, task_group, defer};

async fn step(n: u32) -> Result<u32, ParseIntError> {
    Ok(n)
}

#[cancellable]
async fn options(limit: usize) -> Result<u32, BoxError> {
    let text = String::from("1");
    let sum = task_group!(
        name = "sums",
        limit = limit,
        timeout = Duration::from_secs(1),
        grace = Duration::from_millis(10),
        on_failure = OnFailure::Continue,
        |g| {
            let mut sum = 0;
            taskscope::defer! { step(1).await.ok(); }
            for _ in 0..2 {
                defer! { step(2).await.ok(); }
                sum += g.spawn_scoped(async { text.parse::<u32>() }).await?;
            }
            let again = g.clone();
            sum += again.spawn(step(3)).await?;
            let n: u32 = text.parse()?;
            Ok(sum + n)
        }
    )
    .await?;
    Ok(sum)
}

#[cancellable]
async fn forms() -> Result<(), BoxError> {
    task_group!(|_g| Ok(())).await?;
    task_group!(|_| Ok(step(1).await.map(drop)?),).await?;
    let moved = String::new();
    task_group!(error = BoxError, move |_g| {
        drop(moved);
        Ok(())
    })
    .await?;
    let typed = task_group!(error = ParseIntError, |_g| step(1).await).await;
    drop(typed);
    Ok(())
}

fn main() {
    fn send<F: Send>(_: F) {}
    send(options(1));
    send(forms());
}
