//! A random workload for a while: memory stays flat, and no task is lost.
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

use taskscope::observe::Watchdog;
use taskscope::{
    BoxError, OnFailure, ReportKind, Scope, TaskGroup, cancellable, defer, shield, stats,
    task_group, tree,
};
use taskscope_tests::Dice;
use tokio::time::sleep;

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
        println!(
            "{:3.0} %  {pages} pages, {cleaned} cleaned up, {:?}",
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
            runtime.block_on(soak(ledger, Dice::new(seed), until));
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
