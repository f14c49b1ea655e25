#![deny(warnings)]

use taskscope::{BoxError, Group, cancellable};
use tokio::task::JoinSet;

struct Pool(u32);

impl Pool {
    fn spawn(&self, n: u32) -> u32 {
        self.0 + n
    }
    fn abort(&self) {}
    fn timeout(&self, n: u32, m: &mut u32) -> u32 {
        self.0 + n + *m
    }
    fn block_on(&self, n: u32) -> u32 {
        self.0 + n
    }
    fn blocking_send(&self, n: u32) -> u32 {
        self.0 + n
    }

    // Methods of `self` are the user's own, whatever they are called.
    #[cancellable]
    async fn of_self(&self) -> u32 {
        self.spawn(1) + Self::spawn(self, 2) + self.block_on(3) + self.blocking_send(4)
    }
}

#[cancellable]
async fn others(pool: &Pool, group: &Group<'_, BoxError>, tasks: &mut JoinSet<u32>) -> u32 {
    pool.abort();
    group.spawn(async {});
    tasks.spawn(async { 1 });
    tasks.abort_all();
    pool.spawn(1) + pool.timeout(2, &mut 3)
}

fn main() {
    fn is_future<F: Future>(_: F) {}
    is_future(Pool(1).of_self());
    let _ = others;
}
