use taskscope::{cancellable, defer};

async fn close() {}

async fn not_cancellable() {
    defer! { close().await; }
    close().await;
}

#[cancellable]
async fn in_closure() {
    let work = || {
        defer! { close().await; }
        1
    };
    work();
}

#[cancellable]
async fn in_inner_function() {
    async fn inner() {
        taskscope::defer! { close().await; }
        close().await;
    }
    inner().await;
}

fn main() {
    drop((not_cancellable(), in_closure(), in_inner_function()));
}
