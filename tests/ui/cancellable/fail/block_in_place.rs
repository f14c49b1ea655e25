use taskscope::cancellable;
use tokio::runtime::Handle;
use tokio::task;

async fn work() -> u32 {
    1
}

#[cancellable]
async fn nested() -> u32 {
    let first = tokio::task::block_in_place(|| Handle::current().block_on(work()));
    let second = task::block_in_place(|| 1);
    first + second
}

fn main() {}
