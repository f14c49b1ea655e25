use std::time::Duration;
use taskscope::{cancellable, task_group};

async fn work() {}

// Outside of annotated code, a group reads its own body.
async fn plain() {
    let _ = task_group!(|tasks| {
        tasks.spawn(work());
        tokio::spawn(work());
        std::thread::sleep(Duration::ZERO);
        tokio::select! { () = work() => {} }
        if tasks.is_empty() {
            loop {
                std::hint::spin_loop();
            }
        }
        Ok(())
    })
    .await;
}

// Inside, it is read once.
#[cancellable]
async fn annotated() {
    let _ = task_group!(name = "outer", |outer| {
        tokio::spawn(work());
        task_group!(local, |inner| {
            tokio::task::spawn_local(work());
            std::thread::spawn(|| {});
            Ok(())
        })
        .await?;
        Ok(())
    })
    .await;
}

fn main() {}
