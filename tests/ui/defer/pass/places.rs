#![deny(warnings, clippy::pedantic)]

use std::num::ParseIntError;
use taskscope::{cancellable, join, race, task_group, defer, on_cancel};

async fn close(_: u32) {}

#[cancellable]
async fn in_blocks(n: u32) -> u32 {
    match n {
        0 => {
            defer! { close(0).await; }
            close(1).await;
            0
        }
        n if n > 3 => {
            on_cancel! { close(2).await; }
            close(n).await;
            n
        }
        _ => {
            let sum = {
                defer! { close(n).await; }
                n + 1
            };
            unsafe_block(sum)
        }
    }
}

async fn closes(n: u32) -> u32 {
    n
}

#[cancellable]
async fn ends_with_a_value(n: u32) -> u32 {
    defer! { closes(n).await }
    on_cancel! {
        defer! { closes(1).await }
        closes(n).await
    }
    defer! { if n > 0 { close(n).await } }
    closes(n).await
}

fn unsafe_block(n: u32) -> u32 {
    n
}

#[cancellable]
async fn in_branches(n: u32) -> u32 {
    let (a, b) = join!(
        async {
            defer! { close(n).await; }
            close(1).await;
            n
        },
        async {
            on_cancel! { close(n).await; }
            close(2).await;
            n
        }
    );
    race! {
        () = close(a) => {
            defer! { close(b).await; }
            close(3).await;
            a + b
        }
    }
}

#[cancellable]
async fn in_closures(text: &str) -> Result<u32, ParseIntError> {
    let parse = async |text: &str| {
        defer! { close(1).await; }
        text.parse::<u32>()
    };
    let twice = |n| async move {
        defer! { close(n).await; }
        n * 2
    };
    Ok(twice(parse(text).await?).await)
}

#[cancellable]
async fn in_groups(text: String) -> Result<u32, taskscope::BoxError> {
    let n = task_group!(|g| {
        defer! { close(1).await; }
        let n = g.spawn(async move {
            defer! { close(2).await; }
            text.parse::<u32>()
        });
        Ok(n.await?)
    })
    .await?;
    Ok(n)
}

fn main() {
    fn is_send<F: Send>(_: F) {}
    is_send(in_blocks(1));
    is_send(ends_with_a_value(1));
    is_send(in_branches(1));
    is_send(in_closures("1"));
    is_send(in_groups(String::new()));
}
