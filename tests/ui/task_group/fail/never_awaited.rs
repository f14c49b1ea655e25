#![deny(unused_must_use)]

use taskscope::{cancellable, task_group};

async fn plain() {
    task_group!(|_g| Ok(()));
    task_group!(limit = 2, local, |g| {
        g.reserve();
        Ok(())
    });
}

#[cancellable]
async fn annotated() {
    task_group!(|_g| Ok(()));
    // Awaited, but its result is not looked at.
    task_group!(|_g| Ok(())).await;
}

fn main() {}
