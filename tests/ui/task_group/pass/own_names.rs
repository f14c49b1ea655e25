#![deny(warnings)]

use taskscope::{BoxError, task_group};

mod task {
    pub fn spawn(n: u32) -> u32 {
        n
    }
}

fn spawn(n: u32) -> u32 {
    n
}

async fn function() -> Result<u32, BoxError> {
    let n = task_group!(|g| {
        let inner = g.clone();
        // Closures may be for another thread.
        let blocking = g.spawn_blocking(|| std::fs::metadata(".").map(|_| 1));
        let spawned = inner.spawn(async { Ok::<_, BoxError>(2) });
        Ok(spawn(1) + self::task::spawn(2) + blocking.await? + spawned.await?)
    })
    .await?;
    Ok(n)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(function().await.unwrap(), 6);
}
