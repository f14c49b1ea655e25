use taskscope::cancellable;
use tokio::task::JoinSet;

async fn work() {}

#[cancellable]
async fn function() {
    let mut tasks = JoinSet::new();
    tasks.spawn(work());
    while tasks.join_next().await.is_some() {}

    let others: JoinSet<u32> = tokio::task::JoinSet::default();
    drop(others);
}

fn main() {}
