use taskscope::{Value, task_group};

trait Store {
    async fn load(&self, id: u32) -> u32;
}

// With `#[cancellable(send)]` on the trait, it compiles.
async fn load<S: Store + Send + Sync + 'static>(store: S) {
    let _ = task_group!(|g| {
        let task = g.spawn(async move { Value(store.load(1).await) });
        Ok(task.await?)
    })
    .await;
}

fn main() {}
