//! What a `defer!` and a `timeout` cost.

use std::hint::black_box;
use std::time::Duration;

use taskscope::{Scope, cancellable, defer};

use crate::awaits::{Once, polled_on};
use crate::family::{Contestant, Family, Peer, Size, timed};

/// What a `defer!` may cost on top of its cleanup.
const DEFER_ALLOWANCE: f64 = 60.0;

/// The families of this module.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    let count = size.of(300_000);
    let inline = Contestant::on_one_thread("awaited inline, + 60 ns", count, inline);
    let defer = Peer {
        allowance: DEFER_ALLOWANCE,
        ..Peer::with_goal("defer", 1.0, inline)
    };
    let tokios = Contestant::on_one_thread("tokio::time::timeout", count, timeout_of_tokio);
    vec![
        Family::timed(
            Contestant::on_one_thread("defer!", count, deferred),
            vec![defer],
        ),
        Family::timed(
            Contestant::on_one_thread("timeout", count, timeout),
            vec![Peer::with_goal("timeout", 1.10, tokios)],
        ),
    ]
}

async fn cleanup(n: usize) {
    black_box(n);
}

async fn deferred(count: usize) -> f64 {
    #[cancellable]
    async fn once(n: usize) {
        defer! { cleanup(n).await; }
        black_box(n);
    }
    let all = async {
        for n in 0..count {
            once(n).await;
        }
    };
    timed(count, Scope::new().run(all)).await
}

async fn inline(count: usize) -> f64 {
    async fn once(n: usize) {
        black_box(n);
        cleanup(n).await;
    }
    let all = async {
        for n in 0..count {
            once(n).await;
        }
    };
    timed(count, Scope::new().run(all)).await
}

const LONG: Duration = Duration::from_secs(60);

async fn timeout(count: usize) -> f64 {
    let all = async {
        for _ in 0..count {
            taskscope::timeout(LONG, Once::default())
                .await
                .expect("it is in time");
        }
    };
    timed(count, polled_on(all)).await
}

async fn timeout_of_tokio(count: usize) -> f64 {
    let all = async {
        for _ in 0..count {
            tokio::time::timeout(LONG, Once::default())
                .await
                .expect("it is in time");
        }
    };
    timed(count, polled_on(all)).await
}
