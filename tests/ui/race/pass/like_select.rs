#![deny(warnings)]

use std::future::pending;
use std::time::Duration;
use taskscope::{cancellable, race};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, sleep};

// The forms in which `select!` is written, under the other name.
#[cancellable]
async fn worker(mut orders: mpsc::Receiver<u32>, mut closing: oneshot::Receiver<()>) -> u32 {
    let mut served = 0;
    let mut ticks = interval(Duration::from_millis(10));
    let mut late = std::pin::pin!(sleep(Duration::from_secs(1)));
    loop {
        race! {
            biased;
            _ = &mut closing => break,
            Some(order) = orders.recv(), if served < 10 => {
                served += order;
                if order == 0 {
                    continue;
                }
            }
            _ = ticks.tick() => served += 1,
            () = late.as_mut() => return served,
            else => break,
        }
    }
    race! {
        n = async { served + 1 } => n,
        n = pending() => n,
    }
}

fn main() {
    fn is_send<F: Send>(_: F) {}
    is_send(worker(mpsc::channel(1).1, oneshot::channel().1));
}
