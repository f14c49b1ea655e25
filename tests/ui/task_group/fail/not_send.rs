use std::rc::Rc;
use taskscope::task_group;

async fn work(n: Rc<u32>) {
    tokio::task::yield_now().await;
    drop(n);
}

async fn function() {
    let _ = task_group!(|g| {
        g.spawn(work(Rc::new(1)));
        Ok(())
    })
    .await;
}

// Without the option `local`.
async fn spawns_local() {
    let _ = task_group!(|g| {
        g.spawn_local(work(Rc::new(1)));
        Ok(())
    })
    .await;
}

fn main() {}
