#![deny(warnings)]

use std::process::ExitCode;
use taskscope::{BoxError, cancellable, checkpoint, defer};

#[tokio::main]
#[cancellable]
async fn below() -> Result<u32, BoxError> {
    let mut log = Vec::new();
    {
        defer! {
            checkpoint().await;
            log.push("nested");
        }
        checkpoint().await;
    }
    assert_eq!(log, ["nested"]);
    defer! {
        checkpoint().await;
        log.push("top");
    }
    let n: u32 = "7".parse()?;
    if n > 7 {
        return Err("too much".into());
    }
    Ok(n)
}

#[cancellable]
#[tokio::main(flavor = "current_thread")]
async fn above() -> Result<u32, BoxError> {
    defer! { checkpoint().await; }
    checkpoint().await;
    Ok("7".parse()?)
}

#[tokio::main(flavor = "current_thread")]
#[cancellable(loops)]
async fn opaque() -> impl std::fmt::Display {
    let mut n = 0;
    while n < 3 {
        n += 1;
    }
    n
}

#[tokio::main(worker_threads = 1)]
#[cancellable]
async fn no_type() {
    defer! { checkpoint().await; }
    checkpoint().await;
}

#[tokio::main(flavor = "current_thread")]
#[cancellable(allow(detached))]
async fn main() -> ExitCode {
    let others = tokio::task::spawn_blocking(|| {
        assert_eq!(below().unwrap(), 7);
        assert_eq!(above().unwrap(), 7);
        assert_eq!(opaque().to_string(), "3");
        no_type();
    });
    others.await.unwrap();
    ExitCode::SUCCESS
}
