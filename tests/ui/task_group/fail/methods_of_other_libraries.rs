use std::time::Duration;
use taskscope::{BoxError, Scope, TaskGroup, TaskSet, Value, cancellable, task_group};

async fn work() -> Result<u32, BoxError> {
    Ok(1)
}

#[cancellable]
async fn before_the_group_runs() {
    let group = TaskGroup::new();
    let task = group.spawn(async {
        let text = std::str::from_utf8(b"1")?;
        Ok(text.len())
    });
    println!("{}", task.await.unwrap());
    TaskGroup::<BoxError>::new().limit(3).service(work());
}

async fn waits_for_the_group() {
    let mut group = TaskGroup::<BoxError>::new();
    while let Some(done) = group.join_next().await {
        done.unwrap();
    }
}

#[cancellable]
async fn in_the_body() -> Result<(), BoxError> {
    task_group!(|g| {
        g.start_soon(work);
        while let Some(done) = g.join_next().await {
            println!("{done:?}");
        }
        g.abort_all();
        Ok(())
    })
    .await?;
    Ok(())
}

#[cancellable]
async fn handles() -> Result<(), BoxError> {
    task_group!(|g| {
        let task = g.spawn(work());
        task.abort();
        g.spawn(work()).detach();
        task.join().await?;
        Ok(())
    })
    .await?;
    Ok(())
}

#[cancellable]
async fn sets() -> Result<(), BoxError> {
    task_group!(|g| {
        let mut set = TaskSet::new();
        set.push(g.spawn(async { Value(1) }));
        set.spawn(work());
        while let Some(done) = set.join_next().await {
            println!("{done:?}");
        }
        set.abort_all();
        Ok(())
    })
    .await?;
    Ok(())
}

#[cancellable]
async fn scopes() {
    let scope = Scope::new().timeout(Duration::from_secs(1));
    scope.spawn(work());
    scope.cancel();
    let handle = scope.handle();
    let child = handle.child_token();
    child.cancelled().await;
    let _guard = handle.clone().drop_guard();
    handle.run_until_cancelled(work()).await;
}

fn main() {}
