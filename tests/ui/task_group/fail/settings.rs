use taskscope::task_group;

async fn types() {
    let _ = task_group!(limit = "three", |_g| Ok(())).await;
    let _ = task_group!(timeout = 2, |_g| Ok(())).await;
}

async fn syntax() {
    let _ = task_group!(limit 3, |_g| Ok(())).await;
    let _ = task_group!(timeout = std::time::Duration::ZERO |_g| Ok(())).await;
    let _ = task_group!(3, |_g| Ok(())).await;
    let _ = task_group!(|_g| Ok(()), limit = 3).await;
    let _ = task_group!("shop", |_g| Ok(())).await;
    let _ = task_group!(limit = 3; |_g| Ok(())).await;
    let _ = task_group!(error = 3, |_g| Ok(())).await;
    let _ = task_group!(crate = "taskscope", |_g| Ok(())).await;
}

fn main() {}
