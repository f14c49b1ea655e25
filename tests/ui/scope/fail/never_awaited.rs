#![deny(unused_must_use)]

use std::time::Duration;
use taskscope::{CancelHandle, Group, Scope, TaskGroup, TaskSet};
use taskscope::{cancelled, checkpoint, shield, stopping, timeout, timeout_at};

async fn work() -> Result<(), taskscope::BoxError> {
    Ok(())
}

async fn scopes(limit: Duration) {
    Scope::new();
    Scope::new().name("a");
    Scope::new().run(work());
    timeout(limit, work());
    timeout_at(tokio::time::Instant::now(), work());
    shield(work());
}

async fn groups(group: &Group<'_>, mut tasks: TaskSet<()>) {
    TaskGroup::<()>::new();
    TaskGroup::new().run(|_: Group<'_>| work());
    group.reserve();
    group.reserve().await;
    tasks.next();
}

async fn of_the_scope(handle: &CancelHandle) {
    checkpoint();
    cancelled();
    stopping();
    handle.cancelled();
}

fn main() {}
