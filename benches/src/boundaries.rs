//! What a `defer!`, a `timeout`, a `join!` and a `race!` cost.

use std::future::ready;
use std::hint::black_box;
use std::time::Duration;

use taskscope::{Scope, cancellable, defer};

use crate::awaits::{Once, polled_rounds};
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
        ..Peer::with_goal("defer", 0.75, inline)
    };
    let ready_tokios =
        Contestant::on_one_thread("tokio::time::timeout", count, timeout_ready_of_tokio);
    let joined = Contestant::on_one_thread("tokio::join!", count, join_of_tokio);
    let selected = Contestant::on_one_thread("tokio::select!", count, race_of_tokio);
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
        Family::timed(
            Contestant::on_one_thread("timeout", count, timeout_ready),
            vec![Peer::with_goal("timeout_ready", 1.10, ready_tokios)],
        ),
        Family::timed(
            Contestant::on_one_thread("join!", count, join),
            vec![Peer::with_goal("join_macro", 1.30, joined)],
        ),
        Family::timed(
            Contestant::on_one_thread("race!", count, race),
            vec![Peer::with_goal("race_macro", 1.30, selected)],
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

/// The same work, ours in a scope.
macro_rules! twice {
    (async fn $ours:ident, $tokios:ident: $our_round:expr, $their_round:expr) => {
        async fn $ours(count: usize) -> f64 {
            let all = polled_rounds(count, async || _ = black_box($our_round));
            timed(count, Scope::new().run(all)).await
        }

        async fn $tokios(count: usize) -> f64 {
            let all = polled_rounds(count, async || _ = black_box($their_round));
            timed(count, all).await
        }
    };
}

twice! {
    async fn timeout, timeout_of_tokio:
    taskscope::timeout(LONG, Once::default()).await,
    tokio::time::timeout(LONG, Once::default()).await
}

twice! {
    async fn timeout_ready, timeout_ready_of_tokio:
    taskscope::timeout(LONG, ready(1)).await,
    tokio::time::timeout(LONG, ready(1)).await
}

fn once() -> Once {
    Once::default()
}

twice! {
    async fn join, join_of_tokio:
    taskscope::join!(once(), once(), once()),
    tokio::join!(once(), once(), once())
}

twice! {
    async fn race, race_of_tokio:
    taskscope::race! { _ = once() => 1, _ = once() => 2, _ = once() => 3 },
    tokio::select! { _ = once() => 1, _ = once() => 2, _ = once() => 3 }
}
