use taskscope::{cancellable, defer};

async fn close() {}

#[cancellable]
async fn in_function() {
    close().await;
    defer! { close().await; }
}

#[cancellable]
async fn in_branch(open: bool) {
    if open {
        taskscope::defer! { close().await; }
    }
    close().await;
}

#[cancellable]
async fn before_items() {
    defer!(close().await);
    fn item() {}
    const _: fn() = item;
}

#[cancellable]
async fn as_expression(open: bool) {
    match open {
        true => defer! { close().await; },
        false => close().await,
    }
}

fn main() {
    drop((in_function(), in_branch(true), before_items(), as_expression(true)));
}
