use std::time::Duration;
use taskscope::cancellable;

#[async_trait::async_trait]
trait Store {
    async fn load(&self, key: &str) -> u32;
}

struct Memory;

// `async_trait` has made it a plain function by the time `cancellable` reads it.
#[async_trait::async_trait]
impl Store for Memory {
    #[cancellable]
    async fn load(&self, key: &str) -> u32 {
        tokio::spawn(async {});
        std::thread::sleep(Duration::ZERO);
        key.len() as u32
    }
}

fn main() {}
