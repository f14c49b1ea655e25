//! `graceful` under load: 500 clients of `echoload`, and a SIGTERM at a random moment.
//!
//! `TASKSCOPE_LOAD_ROUNDS=100 cargo test -p taskscope-examples --test graceful_load -- --nocapture`

#![cfg(unix)]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use taskscope_tests::{Ended, Program, watched};

const CLIENTS: usize = 500;
const ROUNDS: usize = 5;

/// The latest moment of a signal, after the clients were started.
const LATEST: Duration = Duration::from_millis(500);

/// What the server is given: three seconds to drain and three of grace; and what a machine may need that has
/// other things to do.
const BOUND: Duration = Duration::from_secs(3 + 3 + 2);

/// One end as `echoload` prints it.
struct Client<'a> {
    address: &'a str,
    how: &'a str,
    sent: usize,
    answered: usize,
}

impl<'a> Client<'a> {
    fn parse(line: &'a str) -> Client<'a> {
        let words: Vec<&str> = line.split(' ').collect();
        let [address, how, sent, answered] = words[..] else {
            panic!("{line}");
        };
        Client {
            address,
            how,
            sent: sent.parse().unwrap(),
            answered: answered.parse().unwrap(),
        }
    }
}

/// What the server has noted: who was let in, and how many bytes were answered to those who were closed.
struct Noted<'a> {
    opened: HashSet<&'a str>,
    closed: HashMap<&'a str, usize>,
    failed: Vec<&'a str>,
}

impl<'a> Noted<'a> {
    fn parse(log: &'a str) -> Noted<'a> {
        let mut noted = Noted {
            opened: HashSet::new(),
            closed: HashMap::new(),
            failed: Vec::new(),
        };
        for line in log.lines() {
            let Some((peer, what)) = line.split_once(' ') else {
                continue;
            };
            if what == "opened" {
                assert!(noted.opened.insert(peer), "{line}");
            } else if let Some(bytes) = what.strip_prefix("closed, ") {
                let bytes = bytes.strip_suffix(" bytes").unwrap().parse().unwrap();
                assert!(noted.closed.insert(peer, bytes).is_none(), "{line}");
            } else {
                noted.failed.push(line);
            }
        }
        noted
    }
}

/// What the rounds came to.
#[derive(Debug, Default)]
struct Sum {
    closed: usize,
    /// Never let in: the system had taken the connection, and the server was gone.
    reset: usize,
    refused: usize,
    sent: usize,
    answered: usize,
    cut_short: usize,
    took: Vec<Duration>,
}

/// Runs both programs; gives how they ended, and how long the server took for it.
fn run(log: &str, moment: Duration) -> (Ended, Ended, Duration) {
    let mut server = Program::start(
        env!("CARGO_BIN_EXE_graceful"),
        ["127.0.0.1:0", "--log", log],
    );
    let line = server.line();
    let address = line.strip_prefix("listening on ").unwrap();
    let clients = CLIENTS.to_string();
    let clients = ["--clients", &clients, address];
    let clients = Program::start(env!("CARGO_BIN_EXE_echoload"), clients);
    thread::sleep(moment);
    let since = Instant::now();
    server.send(Signal::TERM);
    let server = server.end();
    let took = since.elapsed();
    (server, clients.end(), took)
}

fn check(server: &Ended, clients: &Ended, log: &str, sum: &mut Sum) {
    // A report of a lost cleanup, or of one that was cut, would be there.
    assert_eq!(server.errors, "");
    assert!(matches!(server.code, Some(0 | 143)), "{server:?}");
    sum.cut_short += usize::from(server.code != Some(0));
    assert_eq!((clients.code, &*clients.errors), (Some(0), ""));
    assert_eq!(clients.lines.len(), CLIENTS);
    assert_eq!(log.lines().last(), Some("closed"));

    let noted = Noted::parse(log);
    assert!(noted.failed.is_empty(), "{:?}", noted.failed);
    assert_eq!(noted.opened.len(), noted.closed.len());
    let before = sum.closed;
    for client in clients.lines.iter().map(|line| Client::parse(line)) {
        sum.sent += client.sent;
        sum.answered += client.answered;
        let let_in = noted.opened.contains(client.address);
        match client.how {
            "closed" => {
                // All that the server has answered has arrived, and then the end.
                assert_eq!(noted.closed.get(client.address), Some(&client.answered));
                sum.closed += 1;
            }
            "reset" => {
                assert!(!let_in, "{} was let in, and reset", client.address);
                sum.reset += 1;
            }
            "refused" => sum.refused += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(noted.opened.len(), sum.closed - before);
}

#[test]
fn a_server_that_is_told_to_end_closes_every_connection_in_order() {
    let rounds = std::env::var("TASKSCOPE_LOAD_ROUNDS");
    let rounds = rounds.map_or(ROUNDS, |rounds| rounds.parse().unwrap());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("graceful-load-{}.log", std::process::id()));
    let mut sum = Sum::default();
    // Close to evenly distributed, however many are taken, and the same each time.
    let moments = (1_u32..).map(|number| (f64::from(number) * 0.618_033_988_749_895).fract());
    for moment in moments.take(rounds) {
        watched(|| {
            let (server, clients, took) = run(path.to_str().unwrap(), LATEST.mul_f64(moment));
            assert!(took < BOUND, "{took:?}");
            let log = fs::read_to_string(&path).unwrap();
            check(&server, &clients, &log, &mut sum);
            sum.took.push(took);
        });
    }
    fs::remove_file(path).unwrap();
    sum.took.sort();
    println!(
        "{rounds} rounds of {CLIENTS} clients: {} closed in order, {} never let in, {} refused; \
         {} bytes sent, {} answered; the end took {:?} at most, {:?} as a rule, {} were cancelled",
        sum.closed,
        sum.reset,
        sum.refused,
        sum.sent,
        sum.answered,
        sum.took[rounds - 1],
        sum.took[rounds / 2],
        sum.cut_short,
    );
}
