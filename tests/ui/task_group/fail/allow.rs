use std::time::Duration;
use taskscope::{cancellable, task_group};

async fn work() {}

async fn one_by_one() {
    let _ = task_group!(allow(detached), |_g| {
        tokio::spawn(work());
        std::thread::sleep(Duration::ZERO);
        Ok(())
    })
    .await;
}

// What the function allows is allowed in its groups, and not the other way round.
#[cancellable(allow(blocking))]
async fn handed_on() {
    let _ = task_group!(allow(detached), |_g| {
        tokio::spawn(work());
        std::thread::sleep(Duration::ZERO);
        Ok(())
    })
    .await;
    tokio::spawn(work());
}

async fn mistakes() {
    let _ = task_group!(allow(detach), |_g| Ok(())).await;
    let _ = task_group!(allow, |_g| Ok(())).await;
    let _ = task_group!(allow(blocking), allow(detached), |_g| Ok(())).await;
}

fn main() {}
