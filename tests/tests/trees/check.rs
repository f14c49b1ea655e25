//! Runs a case and compares what was seen with the model, and with what must
//! hold for every run.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, mpsc};
use std::time::Duration;

use taskscope::{Report, ReportKind};
use taskscope_tests::text_of;

use crate::interpret::{Seen, run_root};
use crate::model::Model;
use crate::trace::{Event, Fault, What};
use crate::tree::{Case, Plan, Work};

const PATIENCE: Duration = Duration::from_secs(30);

type Checked = Result<(), String>;

/// Reports and counters belong to the process: one case at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static REPORTS: Mutex<Vec<(ReportKind, String)>> = Mutex::new(Vec::new());

fn watch_reports() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        taskscope::set_report_hook(|report: &Report| {
            let seen = (report.kind(), report.to_string());
            REPORTS.lock().unwrap().push(seen);
        });
    });
}

/// Checks one case; the error says what is wrong.
pub(crate) fn try_check(case: &Case) -> Checked {
    watch_reports();
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner());
    REPORTS.lock().unwrap().clear();
    let before = taskscope::stats();
    let (plan, root) = Plan::of(case);
    let model = Model::of(&root);
    let seen = run(case, root)?;
    let after = taskscope::stats();
    let reports = std::mem::take(&mut *REPORTS.lock().unwrap());
    if before != after {
        return Err(format!("cleanups were lost or cut: {after:?}, {reports:?}"));
    }
    nesting(&plan, &seen.events)?;
    once_each(&plan, &seen.events)?;
    reported(&model, &reports)?;
    strands(&plan, &model, &seen)?;
    same(
        "the outcomes",
        &by_task(&model.outcomes),
        &by_task(&seen.outcomes),
    )?;
    same("the panic", &model.panic, &seen.panic)?;
    same("the end", &model.end, &seen.end)
}

/// Runs the tree under a watchdog that prints it when it hangs.
fn run(case: &Case, root: Work) -> Result<Seen, String> {
    let (done, waits) = mpsc::channel::<()>();
    let text = format!("{case:?}");
    std::thread::spawn(move || {
        if waits.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("\nwatchdog: this tree spins:\n{text}");
            std::process::abort();
        }
    });
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            // Longer than any tree can take.
            let bound = Duration::from_secs(300 * 24 * 3600);
            tokio::time::timeout(bound, run_root(root)).await
        })
    }));
    drop(done);
    match outcome {
        Ok(Ok(seen)) => Ok(seen),
        Ok(Err(_)) => Err("hangs".to_owned()),
        Err(panic) => Err(format!("panicked: {}", text_of(&*panic))),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, model: &T, seen: &T) -> Checked {
    if model == seen {
        return Ok(());
    }
    Err(format!(
        "{what}\n  should be {model:?}\n  but is    {seen:?}"
    ))
}

fn by_task<T: Clone>(outcomes: &[(usize, T)]) -> BTreeMap<usize, T> {
    outcomes.iter().cloned().collect()
}

/// What is inside begins after what is outside, and is gone before it.
fn nesting(plan: &Plan, events: &[Event]) -> Checked {
    let mut open = vec![0i32; plan.at.len()];
    for event in events {
        let parent = plan.at[event.id].parent;
        match event.what {
            What::Begins => {
                open[event.id] += 1;
                if parent.is_some_and(|parent| open[parent] != 1) {
                    return Err(format!("{} began outside of its parent", event.id));
                }
            }
            What::Gone => {
                open[event.id] -= 1;
                let inside = |id: usize| plan.at[id].parent == Some(event.id);
                if let Some(child) = (0..open.len()).find(|&id| inside(id) && open[id] != 0) {
                    return Err(format!("{child} outlived {}", event.id));
                }
            }
            _ if open[event.id] != 1 => {
                return Err(format!("{event:?} when it was not running"));
            }
            _ => {}
        }
    }
    match open.iter().position(|&open| open != 0) {
        Some(id) => Err(format!("{id} was never gone")),
        None => Ok(()),
    }
}

/// Whatever began is gone once, and an armed cleanup begins once.
fn once_each(plan: &Plan, events: &[Event]) -> Checked {
    let count = |id: usize, what: &What| {
        let same = |event: &&Event| event.id == id && event.what == *what;
        events.iter().filter(same).count()
    };
    for id in 0..plan.at.len() {
        let begun = count(id, &What::Begins);
        let cleaned = count(id, &What::CleanupBegins);
        let ok = begun <= 1
            && count(id, &What::Gone) == begun
            && cleaned <= begun
            && (!plan.at[id].is_defer || cleaned == begun);
        if !ok {
            return Err(format!("{id} began {begun} times, {cleaned} cleanups"));
        }
    }
    Ok(())
}

/// What no caller was told is reported, and nothing else.
fn reported(model: &Model, reports: &[(ReportKind, String)]) -> Checked {
    let mut should = model.reported.clone();
    let mut is = Vec::new();
    for (kind, text) in reports {
        match Fault::in_text(text) {
            Some(fault) if *kind == ReportKind::Unreported => is.push(fault),
            _ => return Err(format!("an unexpected report: {text}")),
        }
    }
    should.sort_unstable();
    is.sort_unstable();
    same("the reports", &should, &is)
}

/// Each strand does what the model says, when it says so.
fn strands(plan: &Plan, model: &Model, seen: &Seen) -> Checked {
    let part = |events: &[Event]| {
        let mut strands: BTreeMap<usize, Vec<Event>> = BTreeMap::new();
        for event in events {
            let strand = plan.at[event.id].strand;
            strands.entry(strand).or_default().push(event.clone());
        }
        strands
    };
    let (should, is) = (part(&model.events), part(&seen.events));
    for strand in should.keys().chain(is.keys()) {
        let none = Vec::new();
        let should = should.get(strand).unwrap_or(&none);
        let is = is.get(strand).unwrap_or(&none);
        if should != is {
            return Err(format!(
                "strand {strand}\n  should be{}\n  but is{}",
                listed(should),
                listed(is)
            ));
        }
    }
    Ok(())
}

fn listed(events: &[Event]) -> String {
    let lines = events
        .iter()
        .map(|event| format!("\n    {:>10} {:>3} {:?}", event.at, event.id, event.what));
    lines.collect()
}
