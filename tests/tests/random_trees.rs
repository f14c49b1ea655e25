//! Random trees of calls, joins, groups, shields and scopes, cancelled at random
//! moments: every cleanup that was armed runs exactly once, to its end, after
//! all those inside it, before its boundary returns; nothing is lost.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use taskscope::{BoxError, CancelHandle, Scope, TaskGroup, cancellable, shield};
use taskscope_tests::{Dice, both, caught, reports_of, text_of, watch_reports};
use tokio::task::yield_now;

/// What a piece of code does.
#[derive(Debug)]
enum Plan {
    Yield(u64),
    Ready(u64),
    Forever,
    Panic,
    /// Holds a cleanup that waits this often.
    Frame(u64, Box<Plan>),
    Sequence(Vec<Plan>),
    Boxed(Box<Plan>),
    Shield(Box<Plan>),
    Scope(Box<Plan>),
    Timeout(Box<Plan>),
    TokioJoin(Box<Plan>, Box<Plan>),
    OwnJoin(Box<Plan>, Box<Plan>),
    JoinAll(Vec<Plan>),
    Unordered(Vec<Plan>),
    Group(Vec<Plan>, Box<Plan>),
    Scoped(Vec<Plan>, Box<Plan>),
}

/// What may stand in a tree.
#[derive(Clone, Copy)]
struct Rules {
    forever: bool,
    panics: bool,
}

fn plan(dice: &mut Dice, depth: u64, rules: Rules) -> Plan {
    if depth == 0 {
        return match dice.roll(8) {
            0..3 if rules.forever => Plan::Forever,
            3 if rules.panics && dice.roll(4) == 0 => Plan::Panic,
            4 => Plan::Ready(dice.roll(300)),
            _ => Plan::Yield(dice.roll(10)),
        };
    }
    let finite = Rules {
        forever: false,
        ..rules
    };
    let one = |dice: &mut Dice, rules| Box::new(plan(dice, depth - 1, rules));
    let many = |dice: &mut Dice, most: u64| -> Vec<Plan> {
        let count = 1 + dice.roll(most);
        (0..count).map(|_| plan(dice, depth - 1, rules)).collect()
    };
    // A panic tears other crates' combinators down, with all that is in them.
    let pick = match dice.roll(16) {
        9..13 if rules.panics => 10,
        pick => pick,
    };
    match pick {
        0..4 => Plan::Frame(dice.roll(4), one(dice, rules)),
        4 => Plan::Sequence(many(dice, 3)),
        5 => Plan::Boxed(one(dice, rules)),
        6 => Plan::Shield(one(dice, finite)),
        7 => Plan::Scope(one(dice, rules)),
        8 => Plan::Timeout(one(dice, rules)),
        9 => Plan::TokioJoin(one(dice, rules), one(dice, rules)),
        10 => Plan::OwnJoin(one(dice, rules), one(dice, rules)),
        11 => Plan::JoinAll(many(dice, 40 / (depth * depth))),
        12 => Plan::Unordered(many(dice, 4)),
        13 | 14 => Plan::Group(many(dice, 3), one(dice, rules)),
        _ => Plan::Scoped(many(dice, 3), one(dice, rules)),
    }
}

/// The frames that are there now, each with the one around it.
#[derive(Default)]
struct World {
    live: Mutex<HashMap<u64, u64>>,
    wrong: Mutex<Vec<String>>,
    handles: Mutex<Vec<CancelHandle>>,
    armed: AtomicU64,
    begun: AtomicU64,
    cleaned: AtomicU64,
}

impl World {
    fn arm(&self, around: u64) -> u64 {
        let id = self.armed.fetch_add(1, Ordering::SeqCst) + 1;
        self.live.lock().unwrap().insert(id, around);
        id
    }

    fn begin(&self, id: u64) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let live = self.live.lock().unwrap();
        if !live.contains_key(&id) {
            self.note(format!("{id} cleaned up twice"));
        }
        if let Some((inner, _)) = live.iter().find(|(_, around)| **around == id) {
            self.note(format!(
                "{id} began to clean up before {inner}, inside it, had ended"
            ));
        }
    }

    fn end(&self, id: u64) {
        self.cleaned.fetch_add(1, Ordering::SeqCst);
        self.live.lock().unwrap().remove(&id);
    }

    fn note(&self, wrong: String) {
        self.wrong.lock().unwrap().push(wrong);
    }
}

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

#[cancellable]
async fn frame(world: Arc<World>, around: u64, rounds: u64, inner: Plan) {
    let id = world.arm(around);
    defer! {
        world.begin(id);
        for _ in 0..rounds {
            yield_now().await;
            if taskscope::is_cancelled() {
                world.note(format!("{id} sees the cancellation in its cleanup"));
            }
        }
        world.end(id);
    }
    run(world.clone(), id, inner).await;
}

fn run(world: Arc<World>, around: u64, plan: Plan) -> Boxed<'static> {
    Box::pin(go(world, around, plan))
}

#[cancellable]
async fn go(world: Arc<World>, around: u64, plan: Plan) {
    let inside = |plan| run(world.clone(), around, plan);
    let hour = Duration::from_secs(3600);
    match plan {
        Plan::Yield(times) => {
            for _ in 0..times {
                yield_now().await;
            }
        }
        Plan::Ready(times) => {
            for _ in 0..times {
                std::future::ready(()).await;
            }
        }
        Plan::Forever => std::future::pending().await,
        Plan::Panic => resume_unwind(Box::new("planned")),
        Plan::Frame(rounds, inner) => frame(world.clone(), around, rounds, *inner).await,
        Plan::Sequence(plans) => {
            for plan in plans {
                inside(plan).await;
            }
        }
        Plan::Boxed(inner) => {
            let again: Boxed<'_> = Box::pin(inside(*inner));
            again.await;
        }
        Plan::Shield(inner) => shield(inside(*inner)).await,
        Plan::Scope(inner) => {
            let scope = Scope::new();
            world.handles.lock().unwrap().push(scope.handle());
            scope.run(inside(*inner)).await.ok();
        }
        Plan::Timeout(inner) => {
            taskscope::timeout(hour, inside(*inner)).await.ok();
        }
        Plan::TokioJoin(a, b) => {
            tokio::join!(inside(*a), inside(*b));
        }
        Plan::OwnJoin(a, b) => {
            taskscope::join!(inside(*a), inside(*b));
        }
        Plan::JoinAll(plans) => {
            futures::future::join_all(plans.into_iter().map(inside)).await;
        }
        Plan::Unordered(plans) => {
            // In one await: a loop over `next()` has a checkpoint in each round,
            // and one that is stopped there leaves the others unpolled.
            let all: FuturesUnordered<_> = plans.into_iter().map(inside).collect();
            all.for_each(std::future::ready).await;
        }
        Plan::Group(children, body) => {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                world.handles.lock().unwrap().push(g.handle());
                for child in children {
                    g.spawn(inside(child));
                }
                inside(*body).await;
                Ok(())
            });
            group.await.ok();
        }
        Plan::Scoped(children, body) => {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                for child in children {
                    g.spawn_scoped(inside(child));
                }
                inside(*body).await;
                Ok(())
            });
            group.await.ok();
        }
    }
}

async fn check(seed: u64, rules: Rules) -> (u64, bool) {
    let name = format!("tree {seed} with panics: {}", rules.panics);
    let mut dice = Dice::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..8 {
        dice.roll(2);
    }
    let depth = 2 + dice.roll(5);
    let plan = plan(&mut dice, depth, rules);
    let shape = format!("{plan:?}");
    let world = Arc::new(World::default());
    let scope = Scope::new().name(name.clone());
    let handle = scope.handle();

    let (before, inner) = (dice.roll(60), dice.roll(3));
    let others = world.clone();
    let cancelling = async move {
        for round in 0..before {
            yield_now().await;
            if inner > 0 && round % 16 == 15 {
                let some = others.handles.lock().unwrap().pop();
                some.map(|handle| handle.cancel());
            }
        }
        handle.cancel();
    };
    // From the same task, from another one, or from another thread.
    let running = scope.run(run(world.clone(), 0, plan));
    let outcome = match dice.roll(3) {
        0 => caught(async { futures::join!(running, cancelling).0 }).await,
        1 => {
            let task = tokio::spawn(cancelling);
            let outcome = caught(running).await;
            task.await.unwrap();
            outcome
        }
        _ => {
            let thread = std::thread::spawn(|| futures::executor::block_on(cancelling));
            let outcome = caught(running).await;
            thread.join().unwrap();
            outcome
        }
    };

    if let Err(panic) = &outcome {
        assert_eq!(text_of(&**panic), "planned", "{name}: {shape}");
        assert!(rules.panics);
    }
    let wrong = world.wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{name}: {wrong:?}\n{shape}");
    let counts = [&world.armed, &world.begun, &world.cleaned].map(|n| n.load(Ordering::SeqCst));
    assert_eq!(
        counts, [counts[0]; 3],
        "armed, begun, cleaned: {name}: {shape}"
    );
    assert!(world.live.lock().unwrap().is_empty(), "{name}: {shape}");
    let reports = reports_of(&format!("`{name}`"));
    assert!(reports.is_empty(), "{name}: {reports:?}\n{shape}");
    (counts[0], matches!(outcome, Ok(Err(_))))
}

const SEEDS: u64 = 400;

#[test]
fn every_cleanup_runs_once_and_in_order() {
    watch_reports();
    both(|| async {
        let rules = Rules {
            forever: true,
            panics: false,
        };
        let (mut armed, mut left) = (0, 0);
        for seed in 1..=SEEDS {
            let (frames, cancelled) = check(seed, rules).await;
            armed += frames;
            left += u64::from(cancelled);
        }
        assert!(armed > SEEDS, "control: {armed} cleanups");
        assert!(
            left > SEEDS / 4 && left < SEEDS,
            "control: {left} of {SEEDS} were cut"
        );
    });
}

#[test]
fn every_cleanup_runs_once_and_in_order_with_panics() {
    watch_reports();
    both(|| async {
        let rules = Rules {
            forever: true,
            panics: true,
        };
        let mut armed = 0;
        for seed in 1..=SEEDS {
            armed += check(seed, rules).await.0;
        }
        assert!(armed > SEEDS, "control: {armed} cleanups");
    });
}
