//! Reports of every kind that a process can make without ending, as a program sees them.
//! Those of kind `Stuck` end the process: `ending.rs` looks at them.

use std::future::pending;
use std::pin::pin;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use taskscope::observe::Watchdog;
use taskscope::{BoxError, Report, ReportKind, Scope, TaskGroup, blocking, cancellable, defer};
use taskscope_tests::{Driven, both, in_own_process, paused_once, watched};
use tokio::sync::oneshot;
use tokio::task::yield_now;

static SEEN: Mutex<Vec<Report>> = Mutex::new(Vec::new());

/// The reports of a kind that name a scope.
fn seen(kind: ReportKind, scope: &str) -> Vec<Report> {
    let seen = SEEN.lock().unwrap();
    let of_kind = seen.iter().filter(|report| report.kind() == kind);
    let in_scope = of_kind.filter(|report| report.scope().split(" > ").any(|name| name == scope));
    in_scope.cloned().collect()
}

/// Words that the house style avoids, and names that are not the user's.
const AVOIDED: [&str; 8] = [
    "overran",
    "not gone",
    " who ",
    "behind",
    " is to be",
    "was left",
    "__taskscope",
    "{{closure}}",
];

/// One report: what happened, at a line of this file, in a scope.
fn check(report: &Report, scope: &str, line: u32, what: &str) {
    let text = report.to_string();
    assert_eq!(report.scope(), scope, "{text}");
    let at = report.location();
    assert_eq!((at.file(), at.line()), (file!(), line), "{text}");
    let place = match scope {
        "" => format!(" ({at})"),
        scope => format!(" ({at}) in `{scope}`"),
    };
    let (told, rest) = text.split_once(&place).unwrap_or_else(|| panic!("{text}"));
    assert!(told.starts_with(what), "{text}\n{what}");
    assert!(!told.contains('\n'), "{text}");
    assert!(rest.is_empty() || rest.starts_with("; "), "{text}");
    assert!(rest.ends_with(report.help().unwrap_or_default()), "{text}");
    for word in AVOIDED {
        assert!(!text.contains(word), "{word}: {text}");
    }
}

/// The only one of a kind in a scope.
fn check_one(kind: ReportKind, scope: &str, line: u32, what: &str) {
    let name = scope.rsplit(" > ").next().unwrap_or_default();
    match seen(kind, name).as_slice() {
        [report] => check(report, scope, line, what),
        reports => panic!("{kind:?} in {scope}: {reports:?}"),
    }
}

#[cancellable]
async fn armed() {
    defer! { yield_now().await; }
    pending::<()>().await;
}

/// The line of its guard.
const GUARD: u32 = line!() - 5;

#[test]
fn every_report_says_what_happened_and_where() {
    in_own_process(
        "report_texts::every_report_says_what_happened_and_where",
        reports_of_all_kinds,
    );
}

fn reports_of_all_kinds() {
    taskscope::set_report_hook(|report| SEEN.lock().unwrap().push(report.clone()));
    lost_cleanup();
    overrun();
    unreported();
    abandoned();
    stalled();
    unscoped();
    late();
    busy();
    let seen = SEEN.lock().unwrap();
    let help: Vec<_> = seen.iter().filter_map(Report::help).collect();
    assert_eq!(help.len(), 1, "{seen:?}");
    assert!(help[0].contains("taskscope::guide::cancel_safety"));
}

fn lost_cleanup() {
    paused_once(|| async {
        let scope = Scope::new().name("loses").run(async {
            tokio::select! {
                biased;
                () = armed() => {}
                () = yield_now() => {}
            }
        });
        scope.await.unwrap();
        let last = GUARD + 1;
        let text = "lost cleanup: `defer!` was dropped before it had run to its end";
        check_one(ReportKind::LostCleanup, "loses", GUARD, text);
        let [report] = &seen(ReportKind::LostCleanup, "loses")[..] else {
            unreachable!();
        };
        let text = report.to_string();
        let by = ") in `loses`; dropped by its own code after the checkpoint at ";
        let by = format!("{by}{}:{last}:", file!());
        assert!(text.contains(&by), "{text}");
    });
    dropped_by_another_task();
    watched(|| Driven::new(armed()).pending());
    let text = "lost cleanup: `defer!` was dropped before it had run to its end";
    check_one(ReportKind::LostCleanup, "", GUARD, text);
}

/// Both lines say what they are.
fn dropped_by_another_task() {
    paused_once(|| async {
        let scope = Scope::new().name("drops-it").run(async {
            let lost = Scope::new().name("is-dropped").run(armed());
            let mut lost = Driven::new(lost);
            assert!(lost.poll().is_pending());
            drop(lost);
        });
        scope.await.unwrap();
        let text = "lost cleanup: `defer!` was dropped before it had run to its end";
        check_one(ReportKind::LostCleanup, "is-dropped", GUARD, text);
        let [report] = &seen(ReportKind::LostCleanup, "is-dropped")[..] else {
            unreachable!();
        };
        let text = report.to_string();
        let by = ") in `is-dropped`; dropped by code in `drops-it`";
        assert!(text.contains(by), "{text}");
    });
}

fn overrun() {
    #[cancellable]
    async fn lingers() {
        defer! { pending::<()>().await }
        pending::<()>().await;
    }
    let guard = line!() - 3;

    paused_once(move || async move {
        let scope = Scope::new().name("exceeds").grace(Duration::from_secs(3));
        let handle = scope.handle();
        let (cancelled, _) = tokio::join!(scope.run(lingers()), async { handle.cancel() });
        let text = "the cleanup of `defer!` exceeded the grace period and was dropped after 3.0s";
        check_one(ReportKind::Overrun, "exceeds", guard, text);
        assert!(cancelled.unwrap_err().attached()[0].starts_with(text));
    });
}

fn unreported() {
    paused_once(|| async {
        let group = TaskGroup::<BoxError>::new().name("forgets");
        let line = line!() + 2;
        let group = group.run(async |g| {
            let task = g.spawn_named("told", async {});
            task.on_done(|_| panic!("on purpose"));
            Ok(())
        });
        group.await.unwrap();
        let text = "a callback of `on_done` panicked: on purpose";
        check_one(ReportKind::Unreported, "forgets > told", line, text);
    });
}

fn abandoned() {
    both(|| async {
        let (begin, begun) = oneshot::channel();
        let (end, ended) = mpsc::channel::<()>();
        let line = line!() + 2;
        let scope = Scope::new().name("abandons").run(async {
            let work = blocking(move || {
                begin.send(()).unwrap();
                ended.recv().ok();
            });
            tokio::select! {
                biased;
                () = work => {}
                begun = begun => begun.unwrap(),
            }
        });
        scope.await.unwrap();
        let text = "blocking work still runs, though the future that waited for it was dropped";
        check_one(ReportKind::Abandoned, "abandons", line, text);
        SEEN.lock().unwrap().clear_of(ReportKind::Abandoned);
        end.send(()).ok();
    });
}

fn stalled() {
    paused_once(|| async {
        let line = line!() + 3;
        let group = TaskGroup::<BoxError>::new().name("stalls").limit(1);
        let group = group.run(async |g| {
            let (first, siblings) = (g.clone(), g.handle());
            g.spawn_named("holds", async move {
                let queued = first.spawn_named("queued", async {});
                queued.await.ok();
            });
            while seen(ReportKind::Stalled, "stalls").is_empty() {
                yield_now().await;
            }
            siblings.cancel();
            Ok(())
        });
        group.await.ok();
        let text = "stalled: task `holds` waits for task `queued`, which waits for a place under \
                    the limit of the group; the only place is held by tasks that wait like this; \
                    raise the limit, or spawn what they wait for into another group";
        check_one(ReportKind::Stalled, "stalls", line + 1, text);
    });
}

fn unscoped() {
    let line = line!() + 1;
    watched(|| Driven::new(taskscope::stopping()).pending());
    let text = "`stopping()` is called and awaited outside any scope, where it never completes; \
                call it inside the scope that it should follow, or use that scope's `CancelHandle`";
    check_one(ReportKind::Unscoped, "", line, text);
}

fn late() {
    #[cancellable]
    async fn lingers(end: oneshot::Receiver<()>) {
        defer! { end.await.ok(); }
        taskscope::checkpoint().await;
        pending::<()>().await
    }
    let guard = line!() - 4;

    both(move || async move {
        let _watchdog = Watchdog::start(Duration::from_millis(20)).unwrap();
        let (end, ended) = oneshot::channel();
        let scope = Scope::new().name("lingers");
        let handle = scope.handle();
        let mut run = pin!(scope.run(lingers(ended)));
        assert!(futures::poll!(&mut run).is_pending());
        handle.cancel();
        while seen(ReportKind::Late, "lingers").is_empty() {
            assert!(futures::poll!(&mut run).is_pending());
            yield_now().await;
        }
        end.send(()).unwrap();
        run.await.unwrap_err();
        let report = seen(ReportKind::Late, "lingers").remove(0);
        let line = report.location().line();
        assert!((guard..guard + 3).contains(&line), "{report}");
        check(&report, "lingers", line, "late: still running ");
        let cleanup = format!("it is in the cleanup of `defer!` at {}:{guard}:", file!());
        let text = report.to_string();
        assert!(
            text.contains(" after it was cancelled (requested); "),
            "{text}"
        );
        assert!(text.contains(&cleanup), "{text}");
        SEEN.lock().unwrap().clear_of(ReportKind::Late);
    });
}

fn busy() {
    both(|| async {
        let _watchdog = Watchdog::start(Duration::from_millis(20)).unwrap();
        let line = line!() + 2;
        let scope = Scope::new().name("computes").run(async {
            taskscope::checkpoint().await;
            while seen(ReportKind::Busy, "computes").is_empty() {
                std::thread::yield_now();
            }
        });
        scope.await.unwrap();
        let text = "busy: one poll has kept the thread `";
        check_one(ReportKind::Busy, "computes", line, text);
        SEEN.lock().unwrap().clear_of(ReportKind::Busy);
    });
}

/// Forgets reports of a kind, for the same again on another runtime.
trait ClearOf {
    fn clear_of(&mut self, kind: ReportKind);
}

impl ClearOf for Vec<Report> {
    fn clear_of(&mut self, kind: ReportKind) {
        self.retain(|report| report.kind() != kind);
    }
}
