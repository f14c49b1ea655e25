//! Signals that are none of the check's business, and the switch for those that are.

use taskscope::{BoxError, cancellable, race, stopping};
use tokio::signal;

// Another function: only the body of `main` is read.
async fn shutdown_signal() {
    signal::ctrl_c().await.unwrap();
}

#[taskscope::main]
async fn stops() {
    race! {
        () = shutdown_signal() => {}
        () = stopping() => {}
        () = std::future::ready(()) => {}
    }
}

#[taskscope::main(allow(signals), flavor = "current_thread")]
async fn allowed() -> Result<(), BoxError> {
    race! {
        interrupted = signal::ctrl_c() => interrupted?,
        () = std::future::ready(()) => {}
    }
    Ok(())
}

#[taskscope::main(allow(signals))]
#[cancellable]
async fn allowed_above() {
    drop(tokio::signal::ctrl_c());
}

#[taskscope::main]
async fn others() {
    use tokio::signal::unix::{SignalKind, signal};
    drop(signal(SignalKind::hangup()));
    drop(signal(SignalKind::user_defined1()));
}

fn main() {
    stops();
    allowed().unwrap();
    allowed_above();
        others();
}
