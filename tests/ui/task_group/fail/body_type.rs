use taskscope::{BoxError, task_group};

async fn work() -> Result<u32, std::io::Error> {
    Ok(1)
}

async fn no_result() {
    let _ = task_group!(|g| {
        g.spawn(work());
    })
    .await;
}

async fn wrong_error() {
    let _ = task_group!(error = std::num::ParseIntError, |_g| Ok(work().await?)).await;
}

async fn wrong_value() -> Result<String, BoxError> {
    Ok(task_group!(|_g| Ok(work().await?)).await?)
}

// The value of the task, not of the body: `Ok(task.await?)`.
async fn result_of_a_task() {
    let _ = task_group!(|g| {
        let task = g.spawn(work());
        task.await
    })
    .await;
}

fn main() {}
