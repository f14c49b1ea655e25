use futures::executor;
use taskscope::cancellable;
use tokio::runtime::{Handle, Runtime};

async fn work() -> u32 {
    1
}

#[cancellable]
async fn by_path() -> u32 {
    let first = futures::executor::block_on(work());
    let second = executor::block_on(async { work().await });
    let third = Handle::block_on(&Handle::current(), work());
    first + second + third
}

struct App {
    runtime: Runtime,
}

impl App {
    #[cancellable]
    async fn by_method(&self) -> u32 {
        Handle::current().block_on(work()) + self.runtime.block_on(async { work().await })
    }
}

fn main() {}
