//! Runs a case and compares what was seen with the model, and with what must
//! hold for every run.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, Once, mpsc};
use std::time::Duration;

use taskscope::{Report, ReportKind};
use taskscope_tests::text_of;

use super::interpret::{Seen, run_root};
use super::model::Model;
use super::trace::{Event, Fault, What};
use super::tree::{Case, Clock, Plan, Role, Work};

const PATIENCE: Duration = Duration::from_secs(30);

type Checked = Result<(), String>;

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
    // Reports and counters belong to the process.
    let _turn = crate::counting::alone();
    REPORTS.lock().unwrap().clear();
    let before = taskscope::stats();
    let (plan, root) = Plan::of(case);
    let model = (case.clock == Clock::Apart).then(|| Model::of(&root));
    let seen = run(case, root)?;
    let after = taskscope::stats();
    let reports = std::mem::take(&mut *REPORTS.lock().unwrap());
    let cut = |stats: &taskscope::Stats| (stats.lost_cleanups, stats.overruns);
    if cut(&before) != cut(&after) || after.live_tasks != 0 {
        return Err(format!(
            "cleanups were lost or cut, or tasks are left: {after:?}, {reports:?}"
        ));
    }
    nesting(&plan, &seen.events)?;
    once_each(&plan, &seen.events)?;
    told_once(&seen.events, &reports)?;
    if seen.end > plan.total {
        return Err(format!("took {} ms of {}", seen.end, plan.total));
    }
    match model {
        Some(model) if !model.open => predicted(&plan, &model, &seen, &reports),
        _ => Ok(()),
    }
}

/// Everything is as the model says.
fn predicted(plan: &Plan, model: &Model, seen: &Seen, reports: &[(ReportKind, String)]) -> Checked {
    reported(model, reports)?;
    strands(plan, model, seen)?;
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
    let clock = case.clock;
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
            tokio::time::timeout(bound, run_root(root, clock)).await
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

/// Whatever began is gone once, an armed cleanup runs once and to its end, and
/// so does what is shielded.
fn once_each(plan: &Plan, events: &[Event]) -> Checked {
    let count = |id: usize, what: fn(&What) -> bool| {
        let same = |event: &&Event| event.id == id && what(&event.what);
        events.iter().filter(same).count()
    };
    let calm = plan.at.iter().all(|at| at.role != Role::Panic);
    for (id, at) in plan.at.iter().enumerate() {
        let begun = count(id, |what| *what == What::Begins);
        let gone = count(id, |what| *what == What::Gone);
        let ended = count(id, |what| matches!(what, What::Ends(_)));
        let cleans = count(id, |what| *what == What::CleanupBegins);
        let cleaned = count(id, |what| *what == What::CleanupEnds);
        let parent = at.parent.map_or(0, |id| count(id, |w| *w == What::Begins));
        let ok = begun <= 1
            && gone == begun
            && ended <= begun
            && cleans <= begun
            && (!calm || cleaned == cleans)
            && match at.role {
                Role::Defer => cleans == begun,
                Role::Shield => !calm || ended == begun,
                Role::ShieldedTask => begun == parent && (!calm || ended == begun),
                Role::None | Role::Panic => true,
            };
        if !ok {
            return Err(format!(
                "{id}, {:?}: began {begun} times, ended {ended}, gone {gone}, cleanup {cleans} \
                 begun {cleaned} ended",
                at.role
            ));
        }
    }
    Ok(())
}

/// No error is told twice, and what is attached was reported. A panic that a
/// group resumes may be a failure of a task further out.
fn told_once(events: &[Event], reports: &[(ReportKind, String)]) -> Checked {
    let mut told: Vec<Fault> = Vec::new();
    for (kind, text) in reports {
        match Fault::in_text(text) {
            Some(fault) if *kind == ReportKind::Unreported => told.push(fault),
            _ => return Err(format!("an unexpected report: {text}")),
        }
    }
    let reported = told.clone();
    told.retain(|fault| matches!(fault, Fault::Error(_)));
    for event in events {
        let cut = match &event.what {
            What::Cut(cut) => Some(cut),
            What::GroupFailed {
                failures,
                cancelled,
            } => {
                told.extend(failures);
                cancelled.as_ref()
            }
            _ => None,
        };
        let attached = cut.map_or(&[][..], |cut| &cut.attached);
        if let Some(fault) = attached.iter().find(|fault| !reported.contains(fault)) {
            return Err(format!("{fault:?} was attached and not reported"));
        }
    }
    told.sort_unstable();
    match told.windows(2).find(|two| two[0] == two[1]) {
        Some(twice) => Err(format!("{:?} was told twice", twice[0])),
        None => Ok(()),
    }
}

/// What no caller was told is reported, and nothing else.
fn reported(model: &Model, reports: &[(ReportKind, String)]) -> Checked {
    let mut should = model.reported.clone();
    let texts = reports.iter().map(|(_, text)| Fault::of_text(text));
    let mut is: Vec<_> = texts.collect();
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
