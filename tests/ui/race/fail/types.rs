use std::future::ready;
use taskscope::{cancellable, race, defer};

async fn no_future() {
    race! {
        _ = 1 + 1 => {}
        () = ready(()) => {}
    }
}

#[cancellable]
async fn pattern() {
    race! {
        Some(_) = ready(1) => {}
        () = ready(()) => {}
    }
}

#[cancellable]
async fn out_of_cleanup() {
    loop {
        defer! {
            race! {
                () = ready(()) => break,
            }
        }
        ready(()).await;
    }
}

#[cancellable]
async fn not_async() {
    let _race = || race! { () = ready(()) => {} };
}

fn main() {}
