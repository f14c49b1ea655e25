//! Three ways to wedge a program, each named by the watchdog with its line:
//!
//! ```text
//! cargo run -p taskscope-examples --bin stuck -- loop
//! cargo run -p taskscope-examples --bin stuck -- cleanup
//! cargo run -p taskscope-examples --bin stuck -- blocking
//! ```
//!
//! Nothing else is printed, and the program does not end: interrupt it (twice,
//! where even an abort does not help), or send it SIGUSR1 to see what runs.

use std::io;
use std::time::Duration;

use taskscope::{BoxError, cancellable, defer, task_group};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

const STUCK_AFTER: Duration = Duration::from_millis(500);

#[taskscope::main(stuck_after = STUCK_AFTER, worker_threads = 2)]
async fn main() -> Result<(), BoxError> {
    match std::env::args().nth(1).as_deref() {
        Some("loop") => endless_loop().await,
        Some("cleanup") => endless_cleanup().await,
        Some("blocking") => blocking_call().await,
        _ => Err("say which: loop, cleanup or blocking".into()),
    }
}

/// Looks for a cycle, and does not stop when there is none. It is not annotated,
/// as if it were from another crate: no checkpoint of its own.
async fn cycle_length(start: u64) -> u64 {
    let mut seen = start;
    let mut steps = 0;
    loop {
        seen = seen.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        steps += 1;
        // An odd factor and summand: the cycle has all 2^64 values in it.
        if seen == start {
            return steps;
        }
    }
}

#[cancellable]
async fn endless_loop() -> Result<(), BoxError> {
    task_group!(name = "analysis", |g| {
        g.spawn_named("cycle", async {
            let length = cycle_length(7).await; // the loop
            println!("{length}");
        });
        Ok(())
    })
    .await?;
    Ok(())
}

/// A peer that says nothing.
async fn silent_peer() -> io::Result<(TcpListener, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    Ok((listener, stream))
}

#[cancellable]
async fn session() -> Result<(), BoxError> {
    let (_peer, stream) = silent_peer().await?;
    defer! {
        // Waits for a goodbye that does not come; a `timeout` is missing.
        stream.readable().await.ok(); // the cleanup
    }
    sleep(Duration::from_secs(3600)).await;
    Ok(())
}

#[cancellable]
async fn endless_cleanup() -> Result<(), BoxError> {
    task_group!(name = "sessions", |g| {
        g.spawn_named("session", session());
        sleep(Duration::from_millis(100)).await;
        g.cancel();
        Ok(())
    })
    .await?;
    Ok(())
}

/// Looks like any other function: that it blocks cannot be seen at the call.
fn next_job(jobs: &std::sync::mpsc::Receiver<u32>) -> Option<u32> {
    jobs.recv().ok()
}

#[cancellable]
async fn blocking_call() -> Result<(), BoxError> {
    let (_send, jobs) = std::sync::mpsc::channel::<u32>();
    task_group!(name = "jobs", |g| {
        g.spawn_named("worker", async move {
            tokio::task::yield_now().await; // the call comes after it
            while let Some(job) = next_job(&jobs) {
                println!("job {job}");
            }
        });
        Ok(())
    })
    .await?;
    Ok(())
}
