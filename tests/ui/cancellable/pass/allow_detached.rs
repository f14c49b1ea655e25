#![deny(warnings)]

use taskscope::cancellable;
use tokio::task::{self, JoinSet};

#[cancellable(allow(detached))]
async fn function() -> u32 {
    let task = tokio::spawn(async { 1 });
    let other = task::spawn_blocking(|| 2);
    let thread = std::thread::spawn(|| 3);
    let mut set = JoinSet::new();
    set.spawn(async { 4 });
    thread.join().unwrap() + task.await.unwrap() + other.await.unwrap() + set.join_all().await[0]
}

struct Client;

#[cancellable(allow(detached))]
impl Client {
    async fn method(&self) {
        tokio::spawn(async {}).await.unwrap();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(function().await, 10);
    Client.method().await;
}
