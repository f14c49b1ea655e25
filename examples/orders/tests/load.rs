//! The service under load, and signals at random moments: no order lost, none forgotten, nothing torn.
//!
//! `ORDERS_ROUNDS` sets how many rounds (10 if not set), `ORDERS_SEED` repeats a run.

#![cfg(unix)]

#[allow(dead_code, reason = "shared by two tests")]
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use support::client::{ask, cut_off, order, request};
use support::{Service, database, run, until};

const CLIENTS: u64 = 24;

/// Enough for dice; xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What the clients of all rounds have seen.
#[derive(Default)]
struct Seen {
    confirmed: Mutex<Vec<String>>,
    requests: AtomicU64,
    cut_off: AtomicU64,
}

/// Sends orders until the service is gone.
async fn client(
    address: SocketAddr,
    name: String,
    mut dice: Dice,
    seen: Arc<Seen>,
    over: Arc<AtomicBool>,
) {
    for count in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        let id = format!("{name}-{count}");
        let customer = match dice.below(20) {
            0 => "nobody",
            1 | 2 => "bob@busy.example",
            _ => "ann@shop.example",
        };
        let lines = 1 + dice.below(20) as usize;
        let post = request("POST", "/orders", "", &order(&id, customer, lines));
        seen.requests.fetch_add(1, Ordering::Relaxed);
        let sent = if dice.below(8) == 0 {
            seen.cut_off.fetch_add(1, Ordering::Relaxed);
            let length = match dice.below(4) {
                0 => dice.below(post.len() as u64) as usize,
                _ => post.len(),
            };
            let after = Duration::from_micros(dice.below(8_000));
            cut_off(address, &post, length, after).await
        } else {
            ask(address, &post).await.map(|(status, _)| {
                if status == 201 {
                    seen.confirmed.lock().unwrap().push(id);
                }
            })
        };
        if sent.is_err() && over.load(Ordering::Relaxed) {
            return;
        }
    }
}

async fn round(path: &Path, number: u64, dice: &mut Dice, seen: &Arc<Seen>) {
    let service = Service::start(path, &["--retry-ms", "10", "--expiry-ms", "50"]);
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let dice = Dice(dice.below(u64::MAX - 1) + 1);
            let name = format!("{number}-{n}");
            tokio::spawn(client(
                service.address,
                name,
                dice,
                seen.clone(),
                over.clone(),
            ))
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50 + dice.below(900))).await;
    let signal = if dice.below(2) == 0 {
        Signal::TERM
    } else {
        Signal::KILL
    };
    over.store(true, Ordering::Relaxed);
    service.send(signal);
    let ended = service.wait().await;
    if signal == Signal::TERM {
        ended.clean();
    } else {
        assert_eq!(ended.code, None, "killed, and it says {}", ended.stderr);
    }
    for client in clients {
        client.await.unwrap();
    }
    database::check(path).await;
    let confirmed = seen.confirmed.lock().unwrap().clone();
    database::has_all(path, &confirmed).await;
}

/// After a last start everything that was stored is done, or given up after five attempts.
async fn finish(path: &Path) {
    let service = Service::start(path, &["--retry-ms", "1"]);
    until(async || {
        let mut database = database::open(path).await;
        database::count(&mut database, "SELECT count(*) FROM outbox").await == 0
    })
    .await;
    service.stop().await;
    database::check(path).await;
    let mut database = database::open(path).await;
    let given_up = "SELECT count(*) FROM dead_letters JOIN orders ON id = order_id
        WHERE task != 'notify' OR attempts != 5 OR customer != 'nobody'";
    assert_eq!(database::count(&mut database, given_up).await, 0);
}

#[test]
fn no_order_is_lost_forgotten_or_torn_whenever_the_service_ends() {
    let rounds = number("ORDERS_ROUNDS").unwrap_or(10);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("ORDERS_SEED").unwrap_or(now.as_micros() as u64);
    println!("ORDERS_SEED={seed}");
    run("load", async |path| {
        let mut dice = Dice(seed | 1);
        let seen = Arc::new(Seen::default());
        for number in 0..rounds {
            round(&path, number, &mut dice, &seen).await;
        }
        finish(&path).await;
        let confirmed = seen.confirmed.lock().unwrap().len();
        println!(
            "{rounds} rounds, {} requests, {confirmed} confirmed, {} cut off",
            seen.requests.load(Ordering::Relaxed),
            seen.cut_off.load(Ordering::Relaxed),
        );
        assert!(confirmed > 0);
    });
}
