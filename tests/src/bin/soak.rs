//! A random workload for a while: memory stays flat, and no task is lost.
//!
//! Beside trees of tasks that come and go there is a server, one group that lives
//! all along: with services that end, failures that it deals with, groups that are
//! dropped, and requests whose clients hang up and whose locals panic in their drop.
//!
//! ```text
//! cargo run --release -p taskscope-tests --bin soak -- 5      # minutes
//! ```
//!
//! Every second a line; at the end a verdict, and an exit code. The seed is printed,
//! and taken from `TASKSCOPE_SEED` when that is set.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use taskscope::observe::Watchdog;
use taskscope::tower::{ScopeLayer, ScopeService};
use taskscope::{
    BoxError, Group, OnFailure, ReportKind, Scope, TaskError, TaskGroup, Value, cancellable, defer,
    shield, stats, task_group, tree,
};
use taskscope_tests::Dice;
use tokio::time::sleep;
use tower_layer::Layer;
use tower_service::Service;

const MS: Duration = Duration::from_millis(1);
/// Until memory has found its level.
const WARM_UP: f64 = 0.2;
/// How much more may be in use at the end.
const MOST_GROWTH: f64 = 1.05;

/// What is open and has to be closed again.
#[derive(Default)]
struct Ledger {
    open: AtomicI64,
    cleaned: AtomicU64,
    /// What has happened to the server.
    served: AtomicU64,
}

fn pause(dice: &mut Dice) -> Duration {
    MS * u32::try_from(dice.roll(4)).unwrap_or(0)
}

/// A task with a cleanup: works a little, opens more below it, may fail.
#[cancellable(send)]
async fn work(ledger: Arc<Ledger>, mut dice: Dice, depth: u64) -> Result<(), BoxError> {
    ledger.open.fetch_add(1, Ordering::Relaxed);
    let closing = pause(&mut dice);
    defer! {
        sleep(closing).await;
        ledger.open.fetch_sub(1, Ordering::Relaxed);
        ledger.cleaned.fetch_add(1, Ordering::Relaxed);
    }
    sleep(pause(&mut dice)).await;
    match dice.roll(10) {
        0 => return Err("a failure".into()),
        1 => shield(sleep(pause(&mut dice))).await,
        2 => drop(taskscope::timeout(pause(&mut dice), sleep(MS * 3)).await),
        3 => {
            let (one, other) = (pause(&mut dice), pause(&mut dice));
            taskscope::race! {
                () = sleep(one) => {},
                () = sleep(other) => {},
            }
        }
        4..8 if depth > 0 => below(&ledger, &mut dice, depth).await?,
        _ => {}
    }
    Ok(())
}

#[cancellable(send)]
async fn below(ledger: &Arc<Ledger>, dice: &mut Dice, depth: u64) -> Result<(), BoxError> {
    let (limit, width) = (1 + dice.roll(4) as usize, dice.roll(6));
    let patience = MS * 2 + pause(dice) * 4;
    let done = task_group!(limit = limit, timeout = patience, |g| {
        for _ in 0..width {
            let seed = Dice::new(dice.roll(u64::MAX) | 1);
            g.spawn(work(ledger.clone(), seed, depth - 1));
        }
        if dice.roll(5) == 0 {
            sleep(pause(dice)).await;
            g.cancel();
        }
        Ok(())
    });
    // That some are cancelled or fail is what this is about.
    drop(done.await);
    Ok(())
}

/// One tree, cancelled at a random moment, or dropped, or left alone.
async fn round(ledger: Arc<Ledger>, mut dice: Dice) {
    let scope = Scope::new().grace(Duration::from_secs(30));
    let handle = scope.handle();
    let moment = pause(&mut dice) * 3;
    let cut = dice.roll(3);
    let run = scope.run(work(ledger, dice, 3));
    let cancel = async {
        if cut > 0 {
            sleep(moment).await;
            handle.cancel();
        }
    };
    let (outcome, ()) = tokio::join!(run, cancel);
    drop(outcome);
}

/// What ends below the server, as large as a leak has to be to be seen.
type Result4K = [u8; 4096];

/// Panics when it is dropped, unless a panic is on its way.
struct BadDrop;

impl Drop for BadDrop {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            std::panic::resume_unwind(Box::new("a bad drop"));
        }
    }
}

/// A handler that takes its time, with something that panics if it is cut.
#[cancellable]
async fn handle(ledger: Arc<Ledger>, takes: Duration) -> Result<String, Infallible> {
    ledger.open.fetch_add(1, Ordering::Relaxed);
    defer! {
        sleep(MS).await;
        ledger.open.fetch_sub(1, Ordering::Relaxed);
        ledger.cleaned.fetch_add(1, Ordering::Relaxed);
    }
    let bad = BadDrop;
    sleep(takes).await;
    std::mem::forget(bad);
    Ok("done".to_owned())
}

/// The handlers of the server.
#[derive(Clone)]
struct Handlers(Arc<Ledger>);

impl Service<Duration> for Handlers {
    type Response = String;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<String, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, takes: Duration) -> Self::Future {
        Box::pin(handle(self.0.clone(), takes))
    }
}

/// A task that fails, in a server that sees to it.
async fn fails() -> Result<(), BoxError> {
    Err("a failure that was dealt with".repeat(10).into())
}

/// Begins a group with a task that fails, and drops it.
async fn drop_a_group() {
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        g.spawn(async {
            shield(sleep(MS)).await;
            fails().await
        });
        std::future::pending::<()>().await;
        Ok(())
    });
    drop(tokio::time::timeout(MS, group).await);
}

/// One thing that happens to a server.
async fn serve_once(g: &Group<'_>, service: &mut Server, ledger: &Arc<Ledger>, dice: &mut Dice) {
    match dice.roll(4) {
        0 => drop(g.service(async { Value::<Result4K>([0; 4096]) })),
        1 => drop(g.spawn(fails()).await),
        2 => drop_a_group().await,
        _ => {
            let response = service.call(pause(dice) * 2);
            let patience = pause(dice);
            // The client hangs up where it has waited long enough.
            let answer = tokio::time::timeout(patience, response).await;
            if let Ok(Ok(text)) = answer {
                assert_eq!(text, "done");
            }
        }
    }
    ledger.served.fetch_add(1, Ordering::Relaxed);
}

type Server = ScopeService<Handlers, Duration, String>;

/// A group that lives all along.
async fn server(ledger: Arc<Ledger>, mut dice: Dice, until: Instant) {
    let group = TaskGroup::<BoxError>::new().name("server");
    let group = group.on_failure(OnFailure::Continue).run(async |g| {
        let layer = ScopeLayer::new(&g, |error: TaskError| format!("no answer: {error}"));
        let mut service = layer.layer(Handlers(ledger.clone()));
        while Instant::now() < until {
            serve_once(&g, &mut service, &ledger, &mut dice).await;
        }
        Ok(())
    });
    let error = group.await.expect_err("tasks have failed");
    let failures = error.failures().len();
    println!(
        "the server had {failures} failures, and omitted {}",
        error.omitted()
    );
}

/// What the process has in memory, in pages.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0)
}

async fn soak(ledger: Arc<Ledger>, mut dice: Dice, until: Instant) {
    let group = TaskGroup::<BoxError>::new().name("soak").limit(64);
    let group = group.on_failure(OnFailure::Continue).run(async |g| {
        while Instant::now() < until {
            let permit = g.reserve().await;
            permit.spawn(round(ledger.clone(), Dice::new(dice.roll(u64::MAX) | 1)));
        }
        Ok(())
    });
    group.await.expect("rounds do not fail");
}

fn seed() -> u64 {
    let given = std::env::var("TASKSCOPE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        now.map_or(1, |now| now.as_nanos() as u64)
    })
}

/// Watches from outside; gives the highest memory after the warm-up, and at the end.
fn watch(ledger: &Ledger, length: Duration, until: Instant) -> (u64, u64) {
    let (mut early, mut late) = (0, 0);
    while Instant::now() < until {
        std::thread::sleep((length / 20).min(Duration::from_secs(1)));
        let gone = 1.0
            - until
                .saturating_duration_since(Instant::now())
                .as_secs_f64()
                / length.as_secs_f64();
        let pages = resident();
        match gone {
            ..WARM_UP => {}
            WARM_UP..0.6 => early = early.max(pages),
            _ => late = late.max(pages),
        }
        let cleaned = ledger.cleaned.load(Ordering::Relaxed);
        let served = ledger.served.load(Ordering::Relaxed);
        println!(
            "{:3.0} %  {pages} pages, {cleaned} cleaned up, {served} served, {:?}",
            gone * 100.0,
            stats()
        );
    }
    (early, late)
}

fn main() -> ExitCode {
    let minutes: f64 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1.0);
    let (length, seed) = (Duration::from_secs_f64(60.0 * minutes), seed() | 1);
    println!("TASKSCOPE_SEED={seed}");
    // Failures of what was cancelled meanwhile are part of the plan.
    taskscope::set_report_hook(|report| {
        if report.kind() != ReportKind::Unreported {
            eprintln!("taskscope: {report}");
        }
    });
    let _watchdog = Watchdog::start(Duration::from_secs(20)).expect("a thread");
    let ledger = Arc::new(Ledger::default());
    let until = Instant::now() + length;
    let worker = std::thread::spawn({
        let ledger = ledger.clone();
        move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let server = tokio::spawn(server(ledger.clone(), Dice::new(seed ^ 2), until));
                soak(ledger, Dice::new(seed), until).await;
                server.await.expect("the server ends in order");
            });
        }
    });
    let (early, late) = watch(&ledger, length, until);
    let ended = worker.join().is_ok();
    let open = ledger.open.load(Ordering::Relaxed);
    let stats = stats();
    let grown = late as f64 / early.max(1) as f64;
    println!(
        "{open} open, {grown:.3} of the memory, {stats:?}\n{}",
        tree()
    );
    let lost = stats.live_tasks + stats.lost_cleanups + stats.overruns + stats.aborted;
    let good = ended && open == 0 && lost == 0 && tree().is_empty() && grown <= MOST_GROWTH;
    println!("{}", if good { "good" } else { "BAD" });
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
