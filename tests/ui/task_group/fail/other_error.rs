use taskscope::{Group, task_group};

struct MyError;

async fn tick() {}

// A function for all groups is generic over `E`.
fn start(g: &Group<'_>) {
    g.service(tick());
}

async fn run() {
    let _ = task_group!(error = MyError, |g| {
        start(&g);
        Ok(())
    })
    .await;
}

fn main() {}
