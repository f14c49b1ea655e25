#![deny(warnings, missing_docs, clippy::pedantic)]
//! Every option, every order.

use std::process::ExitCode;
use std::time::Duration;
use taskscope::{BoxError, cancellable, defer};

async fn step(n: u64) -> u64 {
    n
}

/// Documented.
#[taskscope::main(
    grace = Duration::from_secs(step_seconds()),
    drain = Duration::ZERO,
    stuck_after = Duration::from_secs(1),
    flavor = "multi_thread",
    worker_threads = 1 + 1,
    crate = taskscope
)]
#[allow(clippy::cast_lossless)]
pub async fn every_option() -> Result<(), BoxError> {
    defer! { step(1).await; }
    let n: u64 = "1".parse()?;
    step(n).await;
    Ok(())
}

fn step_seconds() -> u64 {
    1
}

#[cancellable(loops)]
#[taskscope::main(flavor = "current_thread",)]
async fn below() -> ExitCode {
    for n in 0..2 {
        defer! { step(n).await; }
        step(n).await;
    }
    ExitCode::SUCCESS
}

#[taskscope::main]
#[taskscope::cancellable(loops)]
async fn above() -> u64 {
    #![allow(clippy::unused_unit)]
    let mut sum = 0;
    while sum < 3 {
        defer! { step(1).await; }
        sum += 1;
    }
    sum
}

#[taskscope::main()]
async fn without_awaits() -> impl std::process::Termination {
    1u32;
}

mod imported {
    use taskscope::{cancellable, defer, main};

    #[cancellable]
    #[main]
    pub(crate) async fn above() -> u64 {
        defer! { super::step(1).await; }
        super::step(2).await
    }

    #[main]
    #[cancellable]
    pub(crate) async fn below() -> u64 {
        defer! { super::step(1).await; }
        super::step(2).await
    }
}

#[taskscope::main]
#[cancellable(allow(detached))]
async fn main() {
    tokio::task::spawn_blocking(|| {
        every_option().unwrap();
        let _: ExitCode = below();
        let _ = without_awaits();
        assert_eq!(above(), 3);
        assert_eq!(imported::above(), 2);
        assert_eq!(imported::below(), 2);
    })
    .await
    .unwrap();
}
