use taskscope::task_group;

async fn missing() {
    let _ = task_group!().await;
    let _ = task_group!(limit = 1).await;
}

async fn already_async() {
    let _ = task_group!(async |_g| Ok(())).await;
}

async fn other_forms() {
    let _ = task_group!({ Ok(()) }).await;
    let _ = task_group!(g => { Ok(()) }).await;
    let _ = task_group!(|| { Ok(()) }).await;
    let _ = task_group!(|g, h| { Ok(()) }).await;
}

async fn half_typed() {
    let _ = task_group!(|g| {
        g.
    })
    .await;
}

async fn leaves_cleanup() {
    let _ = task_group!(|_g| {
        taskscope::defer! { return; }
        Ok(())
    })
    .await;
}

fn main() {
    drop((missing(), already_async(), other_forms(), half_typed(), leaves_cleanup()));
}
