use std::cell::Cell;
use taskscope::{BoxError, cancellable, defer, task_group};
use tokio::task::yield_now;

// The code below the `defer!` borrows `count` across its awaits, since the cleanup uses it later.
#[cancellable]
async fn counts() {
    let count = Cell::new(0);
    defer! { println!("{}", count.get()); }
    yield_now().await;
    count.set(1);
}

// The cleanup borrows it, too.
#[cancellable]
async fn counted() {
    let count = Cell::new(0);
    defer! { println!("{}", count.get()); }
    yield_now().await;
}

async fn spawned() -> Result<(), BoxError> {
    task_group!(|g| {
        g.spawn(counts());
        g.spawn(counted());
        Ok(())
    })
    .await?;
    Ok(())
}

fn main() {}
