use taskscope::cancellable;
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep};
use tokio_util::sync::CancellationToken;

async fn save(_: u32) {}

#[cancellable]
async fn by_path(mut numbers: mpsc::Receiver<u32>) {
    tokio::select! {
        Some(number) = numbers.recv() => {
            tokio::spawn(save(number));
        }
        () = sleep(Duration::from_secs(1)) => {}
        else => {}
    }
}

#[cancellable]
async fn imported(limit: Duration) -> u32 {
    use tokio::select;

    loop {
        select! {
            biased;
            () = save(1) => break 1,
            () = sleep(limit), if !limit.is_zero() => break 2,
        }
    }
}

// The cancellation of the scope needs no branch.
#[cancellable]
async fn on_a_token(token: CancellationToken, mut numbers: mpsc::Receiver<u32>) {
    tokio::select! {
        () = token.cancelled() => {}
        _ = numbers.recv() => {}
    }
}

fn main() {}
