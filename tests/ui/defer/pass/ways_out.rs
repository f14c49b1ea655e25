#![deny(warnings)]
#![deny(clippy::pedantic)]

use std::fmt::Display;
use std::num::ParseIntError;
use taskscope::{cancellable, defer};

async fn close(_: &mut Vec<u32>) {}

async fn step(n: u32) -> u32 {
    n
}

// The return type reaches the body: errors convert, values coerce.
#[cancellable]
async fn top(text: &str) -> Result<Box<dyn Display + Send>, Box<dyn std::error::Error + Send + Sync>> {
    let mut log = vec![1];
    defer! { close(&mut log).await; }
    log.push(text.parse()?);
    if text.is_empty() {
        return Err("empty".into());
    }
    taskscope::defer! { step(1).await; }
    log.push(item(step(2).await));
    fn item(n: u32) -> u32 {
        n
    }
    Ok(Box::new(log.len()))
}

#[cancellable]
async fn jumps(text: &str) -> Result<u32, ParseIntError> {
    let mut log = Vec::new();
    let found = 'outer: loop {
        defer! { close(&mut log).await; }
        for i in 0..3 {
            defer! { step(i).await; }
            let Some(n) = log.get(1) else {
                defer! { step(3).await; }
                continue 'outer;
            };
            match i {
                0 => continue,
                1 => break 'outer *n,
                2 => break,
                _ => return text.parse(),
            }
        }
        log.push(text.parse::<u32>()?);
    };
    'block: {
        defer! { step(4).await; }
        if found == 1 {
            break 'block;
        }
        log.push(1);
    }
    Ok(found)
}

#[cancellable]
async fn values(open: bool) -> u32 {
    let n = if open {
        defer! { step(1).await; }
        step(2).await
    } else {
        defer! { step(3).await; }
        return 4;
    };
    let block = async {
        defer! { step(1).await; }
        "1".parse::<u32>()?;
        Ok::<_, ParseIntError>(n)
    };
    let closure = async |n: u32| -> Result<u32, ParseIntError> {
        defer! { step(n).await; }
        "1".parse()
    };
    let inferred = async |n: u32| {
        defer! { step(n).await; }
        n + 1
    };
    block.await.unwrap_or(0) + closure(1).await.unwrap_or(0) + inferred(1).await
}

#[cancellable]
async fn borrowed<'a>(values: &'a mut Vec<u32>, more: &[u32]) -> &'a mut u32 {
    defer! { step(1).await; }
    for n in more {
        defer! { step(*n).await; }
        values.push(*n);
    }
    &mut values[0]
}

#[cancellable]
async fn opaque(n: u32) -> impl Iterator<Item = u32> {
    defer! { step(1).await; }
    0..step(n).await
}

#[cancellable]
async fn forever() -> ! {
    loop {
        defer! { step(1).await; }
        step(2).await;
    }
}

#[cancellable]
async fn in_cleanup() {
    defer! {
        for i in 0..3 {
            defer! { step(i).await; }
            if step(i).await == 1 {
                break;
            }
        }
        defer! { step(1).await; }
        step(2).await;
    }
    step(1).await;
}

fn main() {
    fn send<F: Send>(_: F) {}
    send(top(""));
    send(jumps(""));
    send(values(true));
    send(borrowed(&mut vec![1], &[]));
    send(opaque(1));
    send(forever());
    send(in_cleanup());
}
