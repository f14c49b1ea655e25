use std::num::ParseIntError;
use taskscope::task_group;

async fn number() -> u32 {
    1
}

async fn fails_with_text() -> Result<u32, String> {
    Ok(1)
}

async fn plain_value() {
    let _ = task_group!(|g| {
        g.spawn(number());
        Ok(())
    })
    .await;
}

async fn plain_value_of_blocking_work() {
    let _ = task_group!(|g| {
        g.spawn_blocking(|| 1);
        Ok(())
    })
    .await;
}

async fn other_error() {
    let _ = task_group!(error = ParseIntError, |g| {
        g.spawn(fails_with_text());
        Ok(())
    })
    .await;
}

async fn plain_value_of_a_closure() -> usize {
    taskscope::blocking(|| std::env::args().count()).await
}

fn main() {}
