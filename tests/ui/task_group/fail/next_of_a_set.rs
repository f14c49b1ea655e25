use taskscope::{TaskSet, Value, task_group};

// What comes next, if anything does, may have failed: `.transpose()?`.
async fn total() {
    let _ = task_group!(|g| {
        let mut tasks: TaskSet<u32> = (0..4).map(|n| g.spawn(async move { Value(n) })).collect();
        let mut total = 0;
        while let Some(n) = tasks.next().await? {
            total += n;
        }
        Ok(total)
    })
    .await;
}

fn main() {}
