use taskscope::{cancellable, defer, on_cancel};

async fn close() {}

#[cancellable]
async fn in_a_let() {
    let guard = defer! { close().await; };
    drop(guard);
}

#[cancellable]
async fn as_an_argument() {
    drop(defer!(close().await));
    println!("{:?}", defer!(close().await));
}

#[cancellable]
async fn in_an_arm(n: u32) {
    match n {
        0 => on_cancel! { close().await; },
        _ => close().await,
    }
}

fn main() {}
