//! Random trees of calls, joins, groups, shields and scopes, cancelled at random
//! moments: every cleanup that was armed runs exactly once, to its end, after
//! all those inside it, before its boundary returns; nothing is lost.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use taskscope::{BoxError, CancelHandle, Scope, TaskGroup, Value, cancellable, defer, shield};
use taskscope_tests::{
    Dice, Driven, Moving, both, caught, inside, reports_of, text_of, watch_reports, watched,
};
use tokio::runtime::{Builder, Handle, Runtime};
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
    /// Services that end by themselves, each with a result.
    Services(Vec<Plan>, Box<Plan>),
    /// A collection that is polled again outside of the scope that unwound it.
    Outside(Vec<Plan>),
    /// A group that is dropped from outside after so many polls.
    Dropped(u64, Vec<Plan>),
    /// Polled with wakers whose clones lie elsewhere.
    Moving(Box<Plan>),
    /// Beside a value that panics when it is dropped.
    BadDrop(Box<Plan>),
}

/// What may stand in a tree.
#[derive(Clone, Copy)]
struct Rules {
    forever: bool,
    panics: bool,
    /// In a collection that is polled again after it was unwound, which is a panic.
    again: bool,
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
    let pick = match dice.roll(21) {
        9..13 if rules.panics || rules.again => 10,
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
        15 => Plan::Scoped(many(dice, 3), one(dice, rules)),
        16 => Plan::Services(many(dice, 3), one(dice, rules)),
        17 => {
            let again = Rules {
                again: true,
                ..finite
            };
            Plan::Outside((0..=dice.roll(3)).map(|_| *one(dice, again)).collect())
        }
        18 => Plan::Dropped(dice.roll(8), many(dice, 3)),
        19 if rules.panics => Plan::BadDrop(one(dice, rules)),
        _ => Plan::Moving(one(dice, rules)),
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
    /// Where groups spawn, if it is not where they run.
    runtimes: Vec<Handle>,
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

    /// Polls a group where it spawns on one of the runtimes, if there are any.
    async fn spawning<F: Future>(&self, which: usize, group: F) -> F::Output {
        match self.runtimes.iter().cycle().nth(which) {
            Some(runtime) => inside(runtime, group).await,
            None => group.await,
        }
    }

    fn note(&self, wrong: String) {
        self.wrong.lock().unwrap().push(wrong);
    }
}

/// Panics when it is dropped, unless a panic is on its way.
struct BadDrop;

impl Drop for BadDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            resume_unwind(Box::new("planned"));
        }
    }
}

/// The result of a service, while it is kept.
struct Kept(Arc<AtomicU64>);

impl Kept {
    fn new(kept: Arc<AtomicU64>) -> Kept {
        kept.fetch_add(1, Ordering::SeqCst);
        Kept(kept)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
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
    let below = |plan| run(world.clone(), around, plan);
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
                below(plan).await;
            }
        }
        Plan::Boxed(inner) => {
            let again: Boxed<'_> = Box::pin(below(*inner));
            again.await;
        }
        Plan::Shield(inner) => shield(below(*inner)).await,
        Plan::Scope(inner) => {
            let scope = Scope::new();
            world.handles.lock().unwrap().push(scope.handle());
            scope.run(below(*inner)).await.ok();
        }
        Plan::Timeout(inner) if world.runtimes.is_empty() => {
            taskscope::timeout(hour, below(*inner)).await.ok();
        }
        // Its timer would be that of a runtime that ends.
        Plan::Timeout(inner) => drop(Scope::new().run(below(*inner)).await),
        Plan::TokioJoin(a, b) => {
            tokio::join!(below(*a), below(*b));
        }
        Plan::OwnJoin(a, b) => {
            taskscope::join!(below(*a), below(*b));
        }
        Plan::JoinAll(plans) => {
            futures::future::join_all(plans.into_iter().map(below)).await;
        }
        Plan::Unordered(plans) => {
            // In one await: a loop over `next()` has a checkpoint in each round,
            // and one that is stopped there leaves the others unpolled.
            let all: FuturesUnordered<_> = plans.into_iter().map(below).collect();
            all.for_each(std::future::ready).await;
        }
        Plan::Group(children, body) => {
            let spawns = children.len();
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                world.handles.lock().unwrap().push(g.handle());
                for child in children {
                    g.spawn(below(child));
                }
                below(*body).await;
                Ok(())
            });
            world.spawning(spawns, group).await.ok();
        }
        Plan::Scoped(children, body) => {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                for child in children {
                    g.spawn_scoped(below(child));
                }
                below(*body).await;
                Ok(())
            });
            group.await.ok();
        }
        Plan::Services(services, body) => {
            let kept = Arc::new(AtomicU64::new(0));
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                for service in services {
                    let (work, kept) = (below(service), kept.clone());
                    drop(g.service(async move {
                        work.await;
                        Value(Kept::new(kept))
                    }));
                }
                if world.runtimes.is_empty() {
                    g.defer(all_are_dropped(world.clone(), kept.clone()));
                }
                below(*body).await;
                Ok(())
            });
            group.await.ok();
        }
        Plan::Outside(plans) => {
            let all = plans.into_iter().map(below).collect();
            shield(outside(&world, all)).await;
        }
        Plan::Dropped(polls, plans) => dropped(&world, polls, plans).await,
        Plan::Moving(inner) => Moving::new(below(*inner)).await,
        Plan::BadDrop(inner) => {
            let _bad = BadDrop;
            below(*inner).await;
        }
    }
}

/// Runs when the services of a group have ended, and the group has not.
async fn all_are_dropped(world: Arc<World>, kept: Arc<AtomicU64>) -> Result<(), BoxError> {
    // A thread may not have come to drop what it has just ended.
    for _ in 0..10_000 {
        if kept.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.note("results of services that have ended are kept".to_owned());
    Ok(())
}

/// Begins a group and drops it. The scope around adopts its tasks, not the frame.
async fn dropped(world: &Arc<World>, polls: u64, plans: Vec<Plan>) {
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        for plan in plans {
            g.spawn(run(world.clone(), 0, plan));
        }
        std::future::pending::<()>().await;
        Ok(())
    });
    let mut group = pin!(world.spawning(0, group));
    for _ in 0..polls {
        if futures::poll!(group.as_mut()).is_ready() {
            return;
        }
        yield_now().await;
    }
}

/// Polls a collection to its end, each time in a scope of its own, whatever the
/// scopes before have unwound in it. Shielded and not annotated: else it would be
/// dropped between two of them, with members in the middle of their cleanup.
async fn outside(world: &World, mut all: FuturesUnordered<Boxed<'static>>) {
    let mut first = None;
    loop {
        let scope = Scope::new();
        world.handles.lock().unwrap().push(scope.handle());
        match caught(scope.run(all.next())).await {
            Ok(Ok(None)) => break,
            Ok(_) => {}
            Err(panic) if text_of(&*panic).contains("is polled again") => {}
            Err(panic) => drop(first.get_or_insert(panic)),
        }
    }
    if let Some(panic) = first {
        resume_unwind(panic);
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

/// How many trees are tried; `TASKSCOPE_SEEDS` says otherwise.
fn seeds() -> u64 {
    let seeds = std::env::var("TASKSCOPE_SEEDS").ok();
    seeds.and_then(|seeds| seeds.parse().ok()).unwrap_or(400)
}

#[test]
fn every_cleanup_runs_once_and_in_order() {
    watch_reports();
    both(|| async {
        let rules = Rules {
            forever: true,
            panics: false,
            again: false,
        };
        let (mut armed, mut left) = (0, 0);
        for seed in 1..=seeds() {
            let (frames, cancelled) = check(seed, rules).await;
            armed += frames;
            left += u64::from(cancelled);
        }
        assert!(armed > seeds(), "control: {armed} cleanups");
        assert!(
            left > seeds() / 4 && left < seeds(),
            "control: {left} of {} were cut",
            seeds()
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
            again: false,
        };
        let mut armed = 0;
        for seed in 1..=seeds() {
            armed += check(seed, rules).await.0;
        }
        assert!(armed > seeds(), "control: {armed} cleanups");
    });
}

fn turn(runtimes: &[Runtime]) {
    for runtime in runtimes {
        runtime.block_on(yield_now());
    }
}

/// Groups spawn on runtimes that are dropped one by one, at random moments.
fn check_runtimes(seed: u64) {
    let mut dice = Dice::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let rules = Rules {
        forever: true,
        panics: false,
        again: false,
    };
    let (depth, count) = (1 + dice.roll(4), 1 + dice.roll(3));
    let plans: Vec<_> = (0..3).map(|_| plan(&mut dice, depth, rules)).collect();
    let shape = format!("{plans:?}");
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let mut runtimes: Vec<_> = (0..count).map(|_| runtime()).collect();
    let world = Arc::new(World {
        runtimes: runtimes.iter().map(|r| r.handle().clone()).collect(),
        ..World::default()
    });

    let first = runtimes[0].handle().clone();
    let name = format!("group {seed} whose runtimes end");
    let group = TaskGroup::<BoxError>::new().name(name.clone()).run({
        let world = world.clone();
        async move |g| {
            for plan in plans {
                g.spawn(run(world.clone(), 0, plan));
            }
            Ok(())
        }
    });
    let mut group = Driven::new(async move { inside(&first, group).await.is_ok() });
    let mut ended = group.poll().is_ready();
    let cut = dice.roll(3) == 0;
    while !runtimes.is_empty() {
        for _ in 0..dice.roll(40) {
            turn(&runtimes);
        }
        if cut {
            let some = world.handles.lock().unwrap().pop();
            some.map(|handle| handle.cancel());
        }
        ended = ended || group.poll().is_ready();
        drop(runtimes.swap_remove(dice.roll(runtimes.len() as u64) as usize));
    }
    if !ended {
        let last = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| group.finish()));
        assert!(
            last.is_ok(),
            "{name} never returns:\n{}\n{shape}",
            taskscope::tree()
        );
    }
    assert!(!taskscope::tree().to_string().contains(&name), "{shape}");
}

#[test]
fn a_group_returns_when_the_runtimes_of_its_tasks_end_first() {
    watch_reports();
    watched(|| {
        for seed in 1..=seeds() {
            check_runtimes(seed);
        }
    });
}
