//! Contestants that do the same work, measured in turn.

use std::future::Future;
use std::hint::black_box;
use std::sync::LazyLock;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use crate::report::Row;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds for one piece of the work.
    Nanoseconds,
    /// Bytes of a future.
    Bytes,
    /// Allocations for one piece of the work.
    Allocations,
}

/// How much is done in one round.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    divisor: usize,
}

impl Size {
    /// What the table is made of.
    pub const FULL: Size = Size { divisor: 1 };
    /// For measures that are repeated many times.
    pub const SHORT: Size = Size { divisor: 20 };
    /// Enough to see that all of it runs; the times mean nothing.
    pub const QUICK: Size = Size { divisor: 200 };

    /// The share of `full` that this size does.
    #[must_use]
    pub fn of(self, full: usize) -> usize {
        (full / self.divisor).max(2)
    }
}

/// One who does the work: each call is a round and gives its cost.
pub struct Contestant {
    /// Its name in the table.
    pub name: &'static str,
    round: Box<dyn Fn() -> f64>,
}

impl Contestant {
    /// A contestant whose rounds are calls of `round`.
    pub fn new(name: &'static str, round: impl Fn() -> f64 + 'static) -> Contestant {
        let round = Box::new(round);
        Contestant { name, round }
    }

    /// One whose work runs in a task of a runtime with a thread for each core, as in
    /// a server.
    pub fn on_workers<F>(name: &'static str, count: usize, work: fn(usize) -> F) -> Contestant
    where
        F: Future<Output = f64> + Send + 'static,
    {
        static WORKERS: LazyLock<Runtime> =
            LazyLock::new(|| Runtime::new().expect("a runtime can be built"));
        Contestant::new(name, move || {
            let task = WORKERS.spawn(work(count));
            WORKERS.block_on(task).expect("the work does not panic")
        })
    }

    /// One whose work stays on one thread.
    pub fn on_one_thread<F>(name: &'static str, count: usize, work: fn(usize) -> F) -> Contestant
    where
        F: Future<Output = f64> + 'static,
    {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime can be built");
        Contestant::new(name, move || runtime.block_on(work(count)))
    }

    /// Does the work once and gives what it cost.
    #[must_use]
    pub fn round(&self) -> f64 {
        (self.round)()
    }
}

/// One to compare with: a row of the table.
pub struct Peer {
    /// The row's name.
    pub row: &'static str,
    /// The ratio to be reached; none where the row is for information.
    pub goal: Option<f64>,
    /// What the goal allows on top of the peer's cost.
    pub allowance: f64,
    /// Who does the work.
    pub contestant: Contestant,
}

impl Peer {
    /// A peer that a goal is set against.
    pub fn with_goal(row: &'static str, goal: f64, contestant: Contestant) -> Peer {
        Peer {
            row,
            goal: Some(goal),
            allowance: 0.0,
            contestant,
        }
    }

    /// A peer for information.
    pub fn for_information(row: &'static str, contestant: Contestant) -> Peer {
        Peer {
            row,
            goal: None,
            allowance: 0.0,
            contestant,
        }
    }
}

/// The same work, done by us and by others.
pub struct Family {
    /// What is counted.
    pub unit: Unit,
    /// Ours.
    pub ours: Contestant,
    /// The others.
    pub peers: Vec<Peer>,
}

impl Family {
    /// A family whose cost is time.
    #[must_use]
    pub fn timed(ours: Contestant, peers: Vec<Peer>) -> Family {
        Family {
            unit: Unit::Nanoseconds,
            ours,
            peers,
        }
    }

    /// Leaves out the peers whose row is not wanted.
    pub fn retain(&mut self, wanted: impl Fn(&str) -> bool) {
        self.peers.retain(|peer| wanted(peer.row));
    }

    /// Measures all in turn, after a round of warm-up: ours, a peer, the next peer,
    /// ours again.
    #[must_use]
    pub fn measure(&self, rounds: usize) -> Vec<Row> {
        let mut costs = vec![Vec::new(); 1 + self.peers.len()];
        for round in 0..=rounds {
            let peers = self.peers.iter().map(|peer| &peer.contestant);
            for (at, contestant) in std::iter::once(&self.ours).chain(peers).enumerate() {
                let cost = contestant.round();
                if round > 0 {
                    costs[at].push(cost);
                }
            }
        }
        let medians: Vec<f64> = costs.into_iter().map(median).collect();
        let rows = self.peers.iter().zip(&medians[1..]);
        rows.map(|(peer, theirs)| Row::new(self, peer, medians[0], *theirs))
            .collect()
    }
}

/// The value in the middle.
pub(crate) fn median(mut costs: Vec<f64>) -> f64 {
    costs.sort_unstable_by(f64::total_cmp);
    costs[costs.len() / 2]
}

/// Nanoseconds of `work` for each of `count` pieces.
pub async fn timed(count: usize, work: impl Future) -> f64 {
    let start = Instant::now();
    black_box(work.await);
    since(start, count)
}

/// Nanoseconds since `start` for each of `count` pieces.
#[must_use]
pub fn since(start: Instant, count: usize) -> f64 {
    start.elapsed().as_nanos() as f64 / count as f64
}
