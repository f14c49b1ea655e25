use taskscope::task_group;

async fn length(text: &str) -> Result<usize, taskscope::BoxError> {
    Ok(text.len())
}

// A parallel task may outlast the borrow; `spawn_scoped` takes it.
async fn spawned(text: String) {
    let _ = task_group!(|g| {
        let length = g.spawn(length(&text));
        Ok(length.await?)
    })
    .await;
}

// A scoped task borrows from outside of the group, not from its body.
async fn from_the_body() {
    let _ = task_group!(|g| {
        let text = String::from("text");
        let length = g.spawn_scoped(length(&text));
        Ok(length.await?)
    })
    .await;
}

// rustc marks the whole group, as it does with any async closure.
async fn borrowed(text: &str) {
    let _ = task_group!(|g| {
        g.spawn(length(text));
        Ok(())
    })
    .await;
}

fn main() {}
