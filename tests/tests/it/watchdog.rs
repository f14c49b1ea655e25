//! The watchdog: what keeps a thread, and what does not leave, is named once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use taskscope::observe::Watchdog;
use taskscope::{BoxError, ReportKind, Scope, TaskGroup, Value, cancellable, defer, shield};
use taskscope_tests::{Seen, both, reports_of, watch_reports, watched};
use tokio::task::yield_now;

/// Longer than a thread of these tests waits for a processor, also on a busy machine.
const STUCK: Duration = Duration::from_millis(250);

/// The reports of one kind that name `name`.
fn reports(kind: ReportKind, name: &str) -> Vec<Seen> {
    let all = reports_of(name).into_iter();
    all.filter(|seen| seen.kind == kind).collect()
}

/// Until there is a report; computes meanwhile, without a checkpoint.
fn compute_until_reported(name: &str) {
    while reports(ReportKind::Busy, name).is_empty() {
        // The lock of the reports would be a call that blocks: not taken until the watchdog
        // has looked.
        let since = Instant::now();
        while since.elapsed() < 2 * STUCK {}
    }
}

fn place(line: u32) -> String {
    format!("tests/tests/it/watchdog.rs:{line}:")
}

#[test]
fn a_loop_without_a_checkpoint_is_named_once_with_the_line_that_called_it() {
    async fn not_annotated(name: &str) {
        compute_until_reported(name);
        // Long enough for another report, if there were one.
        let since = Instant::now();
        while since.elapsed() < 4 * STUCK {}
    }

    #[cancellable]
    async fn task(name: &'static str) -> u32 {
        let line = line!() + 1;
        not_annotated(name).await;
        line
    }

    watch_reports();
    both(|| async {
        static AGAIN: AtomicBool = AtomicBool::new(false);
        let again = AGAIN.swap(true, Ordering::SeqCst);
        let name = if again { "computes_again" } else { "computes" };
        let _watchdog = Watchdog::start(STUCK).unwrap();
        let group = TaskGroup::<BoxError>::new().name("crunch").run(async |g| {
            let task = async move { Value(task(name).await) };
            Ok(g.spawn_named(name, task).await?)
        });
        let line = group.await.unwrap();
        let seen = reports(ReportKind::Busy, &format!("`crunch > {name}`"));
        assert_eq!(seen.len(), 1, "{seen:#?}");
        assert!(seen[0].text.contains(&place(line)), "{seen:#?}");
        if cfg!(target_os = "linux") {
            assert!(seen[0].text.contains("it computes"), "{seen:#?}");
        }
    });
}

#[test]
fn a_call_that_blocks_is_told_from_one_that_computes() {
    #[cancellable(allow(blocking))]
    async fn task() -> u32 {
        let line = line!() + 1;
        yield_now().await;
        while reports(ReportKind::Busy, "blocks_its_thread").is_empty() {
            std::thread::sleep(Duration::from_secs(1));
        }
        line
    }

    watch_reports();
    watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let _watchdog = Watchdog::start(STUCK).unwrap();
        let scope = Scope::new().name("blocks_its_thread");
        let line = runtime.block_on(scope.run(task())).unwrap();
        let seen = reports(ReportKind::Busy, "blocks_its_thread");
        assert!(seen[0].text.contains(&place(line)), "{seen:#?}");
        if cfg!(target_os = "linux") {
            assert!(seen[0].text.contains("blocked in a call"), "{seen:#?}");
        }
    });
}

#[test]
fn who_waits_or_passes_checkpoints_is_not_named() {
    #[cancellable]
    async fn busy_with_checkpoints() {
        let since = Instant::now();
        #[checkpoint]
        while since.elapsed() < 4 * STUCK {}
        tokio::time::sleep(4 * STUCK).await;
    }

    watch_reports();
    watched(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        let _watchdog = Watchdog::start(STUCK).unwrap();
        let scope = Scope::new().name("in_good_order");
        runtime
            .block_on(scope.run(busy_with_checkpoints()))
            .unwrap();
        let seen = reports_of("in_good_order");
        assert!(seen.is_empty(), "{seen:?}");
    });
}

#[test]
fn work_on_the_blocking_pool_may_take_its_time() {
    watch_reports();
    both(|| async {
        let _watchdog = Watchdog::start(STUCK).unwrap();
        let scope = Scope::new().name("on_the_pool");
        let work = taskscope::blocking(|| std::thread::sleep(4 * STUCK));
        scope.run(work).await.unwrap();
        assert!(reports_of("on_the_pool").is_empty());
    });
}

#[test]
fn a_cleanup_that_does_not_end_is_named_with_its_lines() {
    #[cancellable]
    async fn task(name: &str) {
        defer! { // cleanup line
            while reports(ReportKind::Late, name).is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await; // await line
            }
            tokio::time::sleep(4 * STUCK).await;
        }
        std::future::pending::<()>().await
    }

    let line_of = |marker: &str| {
        let source = include_str!("watchdog.rs");
        let line = source.lines().position(|line| line.ends_with(marker));
        u32::try_from(line.unwrap() + 1).unwrap()
    };
    watch_reports();
    both(move || async move {
        static AGAIN: AtomicBool = AtomicBool::new(false);
        let again = AGAIN.swap(true, Ordering::SeqCst);
        let name = if again {
            "cleans_up_again"
        } else {
            "cleans_up"
        };
        let _watchdog = Watchdog::start(STUCK).unwrap();
        let scope = Scope::new().name("shop");
        let handle = scope.handle();
        let group = scope.run(async {
            let group = TaskGroup::<BoxError>::new().name("workers").run(async |g| {
                g.spawn_named(name, task(name));
                tokio::time::sleep(Duration::from_millis(1)).await;
                handle.cancel();
                Ok(())
            });
            group.await.ok();
        });
        group.await.ok();
        let seen = reports(ReportKind::Late, &format!("`shop > workers > {name}`"));
        assert_eq!(seen.len(), 1, "{seen:#?}");
        let text = &seen[0].text;
        let cleanup = format!(
            "in the cleanup of `defer!` at {}",
            place(line_of("// cleanup line"))
        );
        assert!(text.contains(&cleanup), "{text}");
        let last = format!("last checkpoint ({}", place(line_of("// await line")));
        assert!(text.contains(&last), "{text}");
        assert!(text.contains("(requested)"), "{text}");
    });
}

#[test]
fn a_shield_that_outlives_its_cancellation_is_named() {
    watch_reports();
    both(|| async {
        let _watchdog = Watchdog::start(STUCK).unwrap();
        let scope = Scope::new().name("shielded_for_long");
        let handle = scope.handle();
        let shielded = shield(async {
            yield_now().await;
            handle.cancel();
            while reports(ReportKind::Late, "shielded_for_long").is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        scope.run(shielded).await.unwrap();
        let seen = reports(ReportKind::Late, "shielded_for_long");
        assert!(seen[0].text.contains("it is in `shield` at"), "{seen:#?}");
    });
}

#[test]
fn what_leaves_in_time_is_not_named() {
    watch_reports();
    both(|| async {
        let _watchdog = Watchdog::start(STUCK).unwrap();
        let scope = Scope::new().name("leaves_in_time");
        scope.handle().cancel();
        assert!(scope.run(taskscope::checkpoint()).await.is_err());
        tokio::time::sleep(4 * STUCK).await;
        assert!(reports_of("leaves_in_time").is_empty());
    });
}
