#![deny(warnings, clippy::pedantic)]

use std::time::Duration;
use taskscope::{BoxError, cancellable, task_group};

async fn outside() -> Result<u32, BoxError> {
    let n = task_group!(allow(detached, blocking, hard_drop), |_g| {
        std::thread::sleep(Duration::ZERO);
        let n = tokio::spawn(async { 1 }).await?;
        tokio::select! { () = async {} => {} }
        Ok(n)
    })
    .await?;
    Ok(n)
}

// What the function allows, its groups do, and the groups in them.
#[cancellable(allow(detached))]
async fn inside() -> Result<u32, BoxError> {
    let n = task_group!(limit = 2, |g| {
        let n = g.spawn(async {
            let n = task_group!(allow(blocking), |_g| {
                std::thread::sleep(Duration::ZERO);
                Ok(tokio::spawn(async { 1 }).await?)
            })
            .await?;
            Ok::<_, BoxError>(n)
        });
        Ok(n.await?)
    })
    .await?;
    Ok(n)
}

fn main() {
    drop((outside(), inside()));
}
