//! Bodies whose last line has no value, and needs none.

use std::convert::Infallible;
use taskscope::{BoxError, task_group};

async fn work() {}

async fn serve() -> Result<Infallible, BoxError> {
    std::future::pending().await
}

struct Mine;

impl Mine {
    fn never(&self) -> ! {
        std::process::exit(1)
    }
}

async fn bodies() -> Result<(), BoxError> {
    task_group!(|g| {
        g.spawn(work());
        std::process::exit(1);
    })
    .await?;
    task_group!(|g| {
        g.spawn(work());
        loop {
            tokio::task::yield_now().await;
        }
    })
    .await?;
    task_group!(|g| {
        g.spawn(work());
        return Ok(());
    })
    .await?;
    task_group!(|g| {
        g.spawn(work());
        match serve().await? {}
    })
    .await?;
    task_group!(|g| {
        g.spawn(work());
        let g = Mine;
        g.never();
    })
    .await?;
    task_group!(|g| -> Result<(), _> {
        if g.is_empty() {
            Ok(())
        } else {
            panic!("it is full")
        }
    })
    .await?;
    Ok(())
}

fn main() {
    drop(bodies());
}
