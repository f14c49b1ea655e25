#![deny(warnings)]
//! What the help for the branches of `futures::select!` says to write.

use std::future::{pending, ready};
use taskscope::race;

async fn completes() -> u32 {
    race! {
        Some(n) = ready(None) => n,
        else => 0,
    }
}

async fn polls_once() -> u32 {
    race! {
        biased;
        n = pending() => n,
        () = ready(()) => 1,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!((completes().await, polls_once().await), (0, 1));
}
