//! Contestants that do the same work, measured in turn.

use std::cell::OnceCell;
use std::future::Future;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tokio::task::{JoinError, LocalSet, spawn_local};

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
    /// Instructions for one piece of the work.
    Instructions,
}

/// How much is done in one round.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    thousandths: usize,
}

impl Size {
    /// What the table is made of.
    pub const FULL: Size = Size { thousandths: 1000 };
    /// For measures that are repeated many times.
    pub const SHORT: Size = Size { thousandths: 50 };
    /// For a count of instructions, in which what happens now and then is not to show. `skynet`
    /// has a level more in three times as much.
    pub const COUNTED: Size = Size { thousandths: 40 };
    /// Three times [`COUNTED`](Size::COUNTED).
    pub const THRICE: Size = Size { thousandths: 120 };
    /// Enough to see that all of it runs; the times mean nothing.
    pub const QUICK: Size = Size { thousandths: 5 };

    /// The share of `full` that this size does.
    #[must_use]
    pub fn of(self, full: usize) -> usize {
        (full * self.thousandths / 1000).max(2)
    }
}

/// A round of work, which returns its cost.
type Round = Rc<dyn Fn() -> f64>;

/// The same work on the calling thread, for a count of its instructions.
pub(crate) struct Countable {
    /// Pieces of the work.
    pub(crate) pieces: usize,
    /// Does all of them.
    pub(crate) round: Round,
}

/// Rounds in a runtime on the calling thread, which is made for the first one.
fn on_this_thread<F>(round: impl Fn() -> F + 'static) -> Round
where
    F: Future<Output = Result<f64, JoinError>>,
{
    let runtime = OnceCell::new();
    Rc::new(move || {
        let runtime = runtime.get_or_init(|| {
            let runtime = Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built")
        });
        let done = runtime.block_on(async { round().await });
        done.expect("the work does not panic")
    })
}

/// One who does the work: each call is a round and gives its cost.
pub struct Contestant {
    /// Its name in the table.
    pub name: &'static str,
    round: Round,
    countable: Option<Countable>,
}

impl Contestant {
    /// A contestant whose rounds are calls of `round`.
    pub fn new(name: &'static str, round: impl Fn() -> f64 + 'static) -> Contestant {
        Contestant {
            name,
            round: Rc::new(round),
            countable: None,
        }
    }

    /// One whose work runs in a task of a runtime with a thread for each core, as in
    /// a server.
    pub fn on_workers<F>(name: &'static str, count: usize, work: fn(usize) -> F) -> Contestant
    where
        F: Future<Output = f64> + Send + 'static,
    {
        static WORKERS: LazyLock<Runtime> =
            LazyLock::new(|| Runtime::new().expect("a runtime can be built"));
        let round = move || {
            let task = WORKERS.spawn(work(count));
            WORKERS.block_on(task).expect("the work does not panic")
        };
        Contestant {
            name,
            round: Rc::new(round),
            countable: Some(Countable {
                pieces: count,
                round: on_this_thread(move || tokio::spawn(work(count))),
            }),
        }
    }

    /// One whose work runs in a task that stays on one thread.
    pub fn on_one_thread<F>(name: &'static str, count: usize, work: fn(usize) -> F) -> Contestant
    where
        F: Future<Output = f64> + 'static,
    {
        let task = move || async move { spawn_local(work(count)).await };
        let round = on_this_thread(move || async move { LocalSet::new().run_until(task()).await });
        Contestant {
            name,
            round: round.clone(),
            countable: Some(Countable {
                pieces: count,
                round,
            }),
        }
    }

    /// The work, if a count of its instructions says something.
    pub(crate) fn countable(&self) -> Option<&Countable> {
        self.countable.as_ref()
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

    /// The same family, whose work depends on time or on the number of cores: a count
    /// of its instructions would say nothing.
    #[must_use]
    pub fn uncounted(mut self) -> Family {
        let peers = self.peers.iter_mut().map(|peer| &mut peer.contestant);
        for contestant in std::iter::once(&mut self.ours).chain(peers) {
            contestant.countable = None;
        }
        self
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
