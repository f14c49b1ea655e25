//! Conformance, E: cleanup.

use std::future::{pending, ready};
use std::time::Duration;

use futures::FutureExt;
use taskscope::{
    BoxError, CancelHandle, Reason, ReportKind, Scope, TaskError, TaskGroup, cancellable, defer,
    shield,
};
use taskscope_tests::{Log, both, cancel_at, caught, paused, reports_of, text_of, watch_reports};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

#[test]
fn e02_deferred_blocks_run_last_first_one_after_the_other() {
    #[cancellable]
    async fn body(log: Log) {
        defer! {
            log.add("a begins");
            yield_now().await;
            log.add("a ends");
        }
        defer! {
            log.add("b begins");
            yield_now().await;
            yield_now().await;
            log.add("b ends");
        }
        ready(()).await;
        defer! {
            log.add("c begins");
            yield_now().await;
            log.add("c ends");
        }
        log.add("body");
        taskscope::checkpoint().await;
        log.add("passed");
    }

    let cleanup = [
        "c begins", "c ends", "b begins", "b ends", "a begins", "a ends",
    ];
    both(move || async move {
        let log = Log::new();
        Scope::new().run(body(log.clone())).await.unwrap();
        log.is(&[["body", "passed"].as_slice(), &cleanup].concat());
    });
}

#[test]
fn e04_return_break_and_continue_run_what_they_leave() {
    #[cancellable]
    async fn rounds(log: Log, leave_at: Option<(u32, &'static str)>) -> &'static str {
        defer! { log.add("function"); }
        for i in 0..3 {
            defer! { log.add(format!("cleanup {i}")); }
            yield_now().await;
            match leave_at {
                Some((at, "break")) if at == i => break,
                Some((at, "continue")) if at == i => continue,
                Some((at, "return")) if at == i => return "early",
                _ => {}
            }
            log.add(format!("round {i}"));
        }
        log.add("after the loop");
        "end"
    }

    both(|| async {
        let log = Log::new();
        assert_eq!(rounds(log.clone(), None).await, "end");
        log.is(&[
            "round 0",
            "cleanup 0",
            "round 1",
            "cleanup 1",
            "round 2",
            "cleanup 2",
            "after the loop",
            "function",
        ]);

        let log = Log::new();
        assert_eq!(rounds(log.clone(), Some((1, "break"))).await, "end");
        log.is(&[
            "round 0",
            "cleanup 0",
            "cleanup 1",
            "after the loop",
            "function",
        ]);

        let log = Log::new();
        assert_eq!(rounds(log.clone(), Some((1, "continue"))).await, "end");
        log.is(&[
            "round 0",
            "cleanup 0",
            "cleanup 1",
            "round 2",
            "cleanup 2",
            "after the loop",
            "function",
        ]);

        let log = Log::new();
        assert_eq!(rounds(log.clone(), Some((1, "return"))).await, "early");
        log.is(&["round 0", "cleanup 0", "cleanup 1", "function"]);
    });
}

#[test]
fn e05_cancel_runs_the_deferred_blocks_uninterrupted() {
    #[cancellable(allow(detached))]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! {
            log.add("before");
            yield_now().await;
            taskscope::checkpoint().await;
            tokio::spawn(ready(())).await.unwrap();
            helper(&log).await;
            log.add("after");
        }
        here.send(()).unwrap();
        pending::<()>().await;
        log.add("never");
    }

    #[cancellable]
    async fn helper(log: &Log) {
        #[checkpoint]
        for i in 0..3 {
            log.add(format!("step {i}"));
        }
        yield_now().await;
    }

    both(|| async {
        let log = Log::new();
        let left = cancel_at(Scope::new(), |here| body(log.clone(), here)).await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Requested));
        log.is(&["before", "step 0", "step 1", "step 2", "after"]);
    });
}

#[test]
fn e06_everybody_gets_the_answer_after_the_cleanup() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! {
            for _ in 0..5 {
                yield_now().await;
            }
            log.add("cleanup");
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        // The one who opened the scope.
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        log.add("boundary");
        log.is(&["cleanup", "boundary"]);

        // The handle.
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, reached) = oneshot::channel();
            let task = g.spawn(body(log.clone(), here));
            reached.await?;
            assert!(task.cancel());
            assert!(!task.is_finished());
            assert!(matches!(task.await, Err(TaskError::Cancelled(_))));
            log.add("handle");
            Ok(())
        });
        group.await.unwrap();
        log.is(&["cleanup", "handle"]);

        // The group.
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, reached) = oneshot::channel();
            g.spawn(body(log.clone(), here));
            reached.await?;
            g.cancel();
            Ok(())
        });
        group.await.unwrap();
        log.add("group");
        log.is(&["cleanup", "group"]);
    });
}

/// The same in time: the group ends when the cleanup does, not earlier, not
/// later.
#[test]
fn e06_the_group_ends_with_the_cleanup() {
    #[cancellable]
    async fn body() {
        defer! { sleep(Duration::from_secs(3)).await; }
        pending::<()>().await;
    }

    paused(|| async {
        let start = Instant::now();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn(body());
            sleep(Duration::from_secs(1)).await;
            g.cancel();
            Ok(task)
        });
        let task = group.await.unwrap();
        assert_eq!(start.elapsed(), Duration::from_secs(4));
        assert!(matches!(task.await, Err(TaskError::Cancelled(_))));
    });
}

#[test]
fn e07_cleanup_runs_once_however_often_it_is_cancelled() {
    #[cancellable]
    async fn body(log: Log, handle: CancelHandle, here: oneshot::Sender<()>) {
        defer! {
            log.add("begins");
            for _ in 0..5 {
                handle.cancel();
                handle.cancel_with(Reason::Shutdown);
                yield_now().await;
            }
            log.add("ends");
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let outer = Scope::new();
        let outer_handle = outer.handle();
        let run = outer.run(cancel_at(scope, |here| body(log.clone(), handle, here)));
        let left = run.await.unwrap().unwrap_err();
        assert!(
            matches!(left.reason(), Reason::Requested),
            "the first reason stays"
        );
        log.is(&["begins", "ends"]);
        assert!(!outer_handle.is_cancelled());

        // Cancelled on another level meanwhile: still once, still not cut.
        let log = Log::new();
        let outer = Scope::new();
        let outer_handle = outer.handle();
        let inner = outer.run(cancel_at(Scope::new(), |here| {
            body(log.clone(), outer_handle, here)
        }));
        let left = inner.await.unwrap_err();
        assert!(matches!(left.reason(), Reason::Requested));
        log.is(&["begins", "ends"]);
    });
}

#[test]
fn e08_cleanup_that_panics_after_a_cancel() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("outer cleanup"); }
        defer! {
            yield_now().await;
            log.add("inner cleanup");
            panic!("the cleanup broke");
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        // A scope: resumed at the boundary, once the rest is left.
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let panic = caught(cancel_at(scope, |here| body(log.clone(), here)))
            .await
            .unwrap_err();
        assert_eq!(text_of(&*panic), "the cleanup broke");
        log.is(&["inner cleanup", "outer cleanup"]);
        let reason = handle.cancelled().now_or_never();
        assert!(matches!(reason, Some(Reason::Requested)), "{reason:?}");

        // A task: listed with its name, and resumed by the group.
        let log = Log::new();
        let seen = log.clone();
        let group = TaskGroup::<BoxError>::new().run(async move |g| {
            let (here, reached) = oneshot::channel();
            let task = g.spawn_named("breaks", body(log.clone(), here));
            reached.await?;
            assert!(task.cancel());
            match shield(task).await {
                Err(TaskError::Panicked(message)) => log.add(message),
                other => panic!("{other:?}"),
            }
            Ok(())
        });
        let panic = caught(group).await.unwrap_err();
        assert!(text_of(&*panic).contains("the cleanup broke"));
        seen.is(&["inner cleanup", "outer cleanup", "the cleanup broke"]);
    });
}

/// One task fails; another, leaving because of it, fails in what it does last.
#[test]
fn e09_cleanup_failing_after_the_function_failed() {
    #[cancellable]
    async fn last_words(here: oneshot::Sender<()>) -> Result<(), BoxError> {
        shield(async {
            here.send(()).unwrap();
            taskscope::cancelled().now_or_never();
            for _ in 0..5 {
                yield_now().await;
            }
            Err("secondary".into())
        })
        .await
    }

    both(|| async {
        let failed = TaskGroup::<BoxError>::new()
            .run(async |g| {
                let (here, reached) = oneshot::channel();
                g.spawn_named("flush", last_words(here));
                reached.await?;
                Err::<(), _>("primary".into())
            })
            .await
            .unwrap_err();
        let errors: Vec<_> = failed.errors().map(ToString::to_string).collect();
        assert!(errors.contains(&"primary".to_owned()), "{failed}");
        assert!(errors.contains(&"secondary".to_owned()), "{failed}");
        assert_eq!(errors.len(), 2);
        let text = failed.to_string();
        assert!(
            text.contains("primary") && text.contains("secondary"),
            "{text}"
        );
    });
}

/// A cleanup can only panic; the error it follows is reported, not lost.
#[test]
fn e09_cleanup_panicking_after_a_sibling_failed() {
    #[cancellable]
    async fn breaks(here: oneshot::Sender<()>) {
        defer! { panic!("e09 secondary"); }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        watch_reports();
        let group = TaskGroup::<BoxError>::new()
            .name("e09 group")
            .run(async |g| {
                let (here, reached) = oneshot::channel();
                g.spawn_named("breaks", breaks(here));
                reached.await?;
                g.spawn_named("fails", async { Err::<(), BoxError>("e09 primary".into()) });
                pending::<()>().await;
                Ok(())
            });
        let panic = caught(group).await.unwrap_err();
        let text = text_of(&*panic);
        assert!(text.contains("e09 secondary"), "{text}");
        assert!(
            text.contains("e09 primary") || !reports_of("e09 primary").is_empty(),
            "the first failure is not lost"
        );
    });
}

#[test]
fn e12_cleanup_that_exceeds_the_grace_period_is_cut_and_named() {
    #[cancellable]
    async fn body(log: Log) {
        defer! { log.add("outer cleanup"); }
        defer! {
            let _mark = log.mark("cleanup's local");
            log.add("begins");
            sleep(Duration::from_secs(3600)).await;
            log.add("never");
        }
        pending::<()>().await;
    }

    paused(|| async {
        watch_reports();
        let log = Log::new();
        let start = Instant::now();
        let grace = Duration::from_secs(5);
        let scope = Scope::new().name("e12 scope").grace(grace);
        let handle = scope.handle();
        let run = scope.run(body(log.clone()));
        let (left, ()) = futures::join!(run, async {
            sleep(Duration::from_secs(1)).await;
            handle.cancel();
        });
        let left = left.unwrap_err();
        let elapsed = start.elapsed();
        assert!(elapsed >= Duration::from_secs(6), "{elapsed:?}");
        assert!(elapsed < Duration::from_millis(6100), "{elapsed:?}");
        log.is(&["begins", "drop cleanup's local", "outer cleanup"]);

        assert!(matches!(left.reason(), Reason::Requested));
        assert_eq!(left.attached().len(), 1, "{left}");
        let reports = reports_of("e12 scope");
        assert!(
            reports.iter().any(|r| r.kind == ReportKind::Overrun),
            "{reports:?}"
        );
        let text = &reports[0].text;
        assert!(text.contains("cleanup.rs"), "says where: {text}");
        assert!(text.contains("5.0s"), "says how long: {text}");
    });
}

/// Within its grace period a cleanup is left alone; without one it takes what
/// it takes.
#[test]
fn e12_cleanup_within_its_grace_period_is_not_cut() {
    #[cancellable]
    async fn body(log: Log, takes: Duration) {
        defer! {
            sleep(takes).await;
            log.add("ends");
        }
        pending::<()>().await;
    }

    paused(|| async {
        let hour = Duration::from_secs(3600);
        let log = Log::new();
        let late = Scope::new().timeout(Duration::from_secs(1)).grace(hour * 2);
        let left = late.run(body(log.clone(), hour)).await.unwrap_err();
        assert!(left.attached().is_empty());
        let none = Scope::new().timeout(Duration::from_secs(1));
        assert!(none.run(body(log.clone(), hour * 100)).await.is_err());
        log.is(&["ends", "ends"]);
    });
}

#[test]
fn e14_timeout_inside_a_cleanup_works_and_does_not_leak() {
    #[cancellable]
    async fn body(log: Log) {
        defer! {
            let flush = taskscope::timeout(Duration::from_secs(2), pending::<()>()).await;
            log.add(match flush.unwrap_err().reason() {
                Reason::Deadline => "flush timed out",
                _ => "flush ended otherwise",
            });
            let quick = taskscope::timeout(Duration::from_secs(2), sleep(Duration::from_secs(1)));
            log.add(format!("quick: {}", quick.await.is_ok()));
        }
        pending::<()>().await;
    }

    paused(|| async {
        let log = Log::new();
        let start = Instant::now();
        let scope = Scope::new().name("e14");
        let handle = scope.handle();
        let run = scope.run(body(log.clone()));
        let (left, ()) = futures::join!(run, async {
            sleep(Duration::from_secs(1)).await;
            handle.cancel();
        });
        let left = left.unwrap_err();
        assert!(matches!(left.reason(), Reason::Requested), "{left}");
        assert_eq!(left.scope(), "e14");
        assert!(left.attached().is_empty(), "{left}");
        assert_eq!(start.elapsed(), Duration::from_secs(4));
        log.is(&["flush timed out", "quick: true"]);
    });
}

#[test]
fn e15_group_inside_a_cleanup_runs_its_children_to_the_end() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! {
            let closing = TaskGroup::<BoxError>::new().run(async |g| {
                for i in 0..3 {
                    g.spawn(close(log.clone(), i));
                }
                Ok("closed")
            });
            log.add(closing.await.unwrap());
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    #[cancellable]
    async fn close(log: Log, i: u32) {
        for _ in 0..=i * 3 {
            yield_now().await;
            taskscope::checkpoint().await;
            assert!(!taskscope::is_cancelled());
        }
        log.add(format!("child {i}"));
    }

    both(|| async {
        let log = Log::new();
        let left = cancel_at(Scope::new(), |here| body(log.clone(), here)).await;
        assert!(left.is_err());
        let mut entries = log.entries();
        assert_eq!(entries.pop().as_deref(), Some("closed"));
        entries.sort();
        assert_eq!(entries, ["child 0", "child 1", "child 2"]);
    });
}

#[test]
fn e18_order_is_strictly_inside_out() {
    #[cancellable]
    async fn owner(log: Log, here: oneshot::Sender<()>) {
        defer! {
            yield_now().await;
            log.add("owner");
        }
        callee(&log, here).await;
        log.add("never");
    }

    #[cancellable]
    async fn callee(log: &Log, here: oneshot::Sender<()>) {
        defer! {
            yield_now().await;
            log.add("callee");
        }
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (up, ready) = oneshot::channel();
            g.spawn(child(log.clone(), up));
            ready.await?;
            here.send(()).unwrap();
            body_frame(log).await;
            Ok(())
        });
        group.await.unwrap();
        log.add("never");
    }

    #[cancellable]
    async fn body_frame(log: &Log) {
        defer! { log.add("body"); }
        pending::<()>().await;
    }

    #[cancellable]
    async fn child(log: Log, up: oneshot::Sender<()>) {
        defer! {
            for _ in 0..10 {
                yield_now().await;
            }
            log.add("child");
        }
        grandchild(&log, up).await;
    }

    #[cancellable]
    async fn grandchild(log: &Log, up: oneshot::Sender<()>) {
        defer! {
            for _ in 0..10 {
                yield_now().await;
            }
            log.add("grandchild");
        }
        up.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        let log = Log::new();
        let left = cancel_at(Scope::new(), |here| owner(log.clone(), here)).await;
        assert!(left.is_err());
        log.add("boundary");
        assert!(log.at("grandchild") < log.at("child"));
        assert!(log.at("child") < log.at("callee"));
        assert!(log.at("body") < log.at("callee"));
        let entries = log.entries();
        assert_eq!(entries[3..], ["callee", "owner", "boundary"], "{entries:?}");
    });
}
