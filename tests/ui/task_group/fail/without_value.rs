use taskscope::task_group;

async fn work() {}

async fn no_last_line() {
    let _ = task_group!(|g| {
        g.spawn(work());
    })
    .await;
    let _ = task_group!(|g| {
        let task = g.spawn(work());
        g.spawn(work()).await?;
        println!("{task:?}");
    })
    .await;
    let _ = task_group!(|g| {
        for _ in 0..3 {
            g.spawn(work());
        }
    })
    .await;
    let _ = task_group!(|_g| {}).await;
}

async fn a_handle() {
    let _ = task_group!(|g| {
        g.spawn(work());
        g.spawn(work())
    })
    .await;
    let _ = task_group!(|g| g.service(work())).await;
}

fn main() {
    drop((no_last_line(), a_handle()));
}
