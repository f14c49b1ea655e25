use taskscope::{BoxError, Group, cancellable};

async fn work() {}

// The group at hand is the one to spawn into.
#[cancellable]
async fn function(tasks: &Group<'_, BoxError>) {
    tasks.spawn(work());
    tokio::spawn(work());
}

fn main() {}
