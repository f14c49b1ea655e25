use std::fmt;
use std::time::Duration;
use taskscope::{cancellable, task_group, timeout};

#[derive(Debug)]
struct MyError;

impl fmt::Display for MyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mine")
    }
}

impl std::error::Error for MyError {}

async fn work() -> Result<(), MyError> {
    Ok(())
}

// The conversions that an own error needs, one by one.
#[cancellable]
async fn of_a_group() -> Result<(), MyError> {
    task_group!(error = MyError, |g| {
        g.spawn(work());
        Ok(())
    })
    .await?;
    Ok(())
}

#[cancellable]
async fn of_a_task() {
    let _ = task_group!(error = MyError, |g| Ok(g.spawn(work()).await?)).await;
}

#[cancellable]
async fn of_a_scope() -> Result<(), MyError> {
    timeout(Duration::from_secs(1), work()).await??;
    Ok(())
}

fn main() {}
