//! Tasks on a timeline: what ran when, below what, and how it was left.
//!
//! ```text
//! cargo run -p taskscope-examples --features timeline --bin timeline -- trace.json
//! ```
//!
//! prints the events, and writes a file that <https://ui.perfetto.dev> and
//! `chrome://tracing` open. Each task is a bar below that of the task whose group
//! it is in; a cancellation, and the beginning and end of each cleanup, are marks.

use std::time::Duration;

use taskscope::{BoxError, cancellable, defer, task_group};
use tokio::time::sleep;
use tracing_chrome::{ChromeLayerBuilder, TraceStyle};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

const STEP: Duration = Duration::from_millis(5);

#[taskscope::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let file = std::env::args().nth(1);
    let (chrome, _flush) = ChromeLayerBuilder::new()
        .file(file.unwrap_or_else(|| "trace.json".to_owned()))
        .trace_style(TraceStyle::Async)
        .include_args(true)
        .build();
    let lines = fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    tracing_subscriber::registry()
        .with(chrome)
        .with(lines)
        .init();
    shop().await
}

/// Fetches prices; what is not there in time is left in order.
#[cancellable]
async fn shop() -> Result<(), BoxError> {
    let late = task_group!(name = "prices", timeout = STEP * 8, |g| {
        for (number, seller) in ["corner", "market", "far away"].into_iter().enumerate() {
            g.spawn_named(seller, prices(3 * number as u32 + 1));
        }
        Ok(())
    })
    .await;
    match late {
        Err(error) if error.cancelled().is_some() => Ok(()),
        other => Ok(other?),
    }
}

/// Asks for a few prices side by side, on a connection that is closed afterwards.
#[cancellable]
async fn prices(steps: u32) -> Result<(), BoxError> {
    sleep(STEP).await;
    defer! {
        sleep(STEP).await; // says goodbye
    }
    task_group!(name = "requests", |g| {
        for _ in 0..2 {
            g.spawn_named("request", sleep(STEP * steps));
        }
        Ok(())
    })
    .await?;
    Ok(())
}
