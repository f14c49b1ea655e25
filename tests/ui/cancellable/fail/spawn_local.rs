use std::rc::Rc;
use taskscope::cancellable;
use tokio::task;

async fn work(n: Rc<u32>) -> u32 {
    *n
}

#[cancellable]
async fn function() {
    tokio::task::spawn_local(work(Rc::new(1)));
    task::spawn_local(work(Rc::new(2)));
}

fn main() {}
