use taskscope::task_group;

async fn groups() {
    let _ = task_group!(nam = "a", |_g| Ok(())).await;
    let _ = task_group!(size = 3, |_g| Ok(())).await;
    let _ = task_group!(limit = 1, limit = 2, |_g| Ok(())).await;
}

fn main() {
    drop(groups());
}
