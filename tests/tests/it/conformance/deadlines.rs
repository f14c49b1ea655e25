//! Conformance, G: timeouts and deadlines, all on the paused clock.

use std::future::pending;
use std::time::Duration;

use taskscope::{
    BoxError, Cancelled, Reason, Scope, TaskError, TaskGroup, Value, cancellable, defer, shield,
    timeout, timeout_at,
};
use taskscope_tests::{Driven, Log, counted, paused, paused_once, watch_reports};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[track_caller]
fn expired<T>(outcome: Result<T, Cancelled>) -> Cancelled {
    let Err(cancelled) = outcome else {
        panic!("not cancelled")
    };
    assert!(
        matches!(cancelled.reason(), Reason::Deadline),
        "{cancelled}"
    );
    cancelled
}

#[test]
fn g01_work_within_the_limit_returns_its_value() {
    paused(|| async {
        let start = Instant::now();
        let scope = Scope::new().timeout(HOUR);
        let handle = scope.handle();
        let value = scope.run(async {
            sleep(SECOND).await;
            42
        });
        assert_eq!(value.await.unwrap(), 42);
        assert_eq!(start.elapsed(), SECOND);

        // The timer leaves no trace: nothing happens at the deadline.
        sleep(2 * HOUR).await;
        assert!(!handle.is_cancelled());
        assert!(handle.reason().is_none());
        taskscope::checkpoint().await;
        assert!(!taskscope::is_cancelled());
    });
}

#[test]
fn g01_group_within_its_timeout_returns_its_value() {
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().timeout(HOUR).run(async |g| {
            let task = g.spawn(async {
                sleep(SECOND).await;
                Value(42)
            });
            Ok(task.await?)
        });
        assert_eq!(group.await.unwrap(), 42);
    });
}

#[test]
fn g04_limit_zero_with_a_body_that_does_not_suspend_gives_the_value() {
    paused(|| async {
        assert_eq!(timeout(Duration::ZERO, async { 1 }).await.unwrap(), 1);
        let now = Instant::now();
        assert_eq!(timeout_at(now, async { 2 }).await.unwrap(), 2);
        tokio::time::advance(HOUR).await;
        assert_eq!(timeout_at(now, async { 3 }).await.unwrap(), 3);
        let scope = Scope::new().deadline(now).run(async { 4 });
        assert_eq!(scope.await.unwrap(), 4);
        let group = TaskGroup::<BoxError>::new()
            .timeout(Duration::ZERO)
            .run(async |_| Ok(5));
        assert_eq!(group.await.unwrap(), 5);
    });
}

/// A value that is ready in the same poll as the deadline wins.
#[test]
fn g04_value_ready_together_with_the_deadline_wins() {
    paused(|| async {
        let value = timeout(SECOND, async {
            sleep(SECOND).await;
            "value"
        });
        assert_eq!(value.await.unwrap(), "value");
    });
}

#[test]
fn g05_past_deadline_is_like_zero() {
    #[cancellable]
    async fn body(log: Log) {
        log.add("begins");
        sleep(SECOND).await;
        log.add("never");
    }

    paused(|| async {
        let past = Instant::now();
        tokio::time::advance(HOUR).await;
        let start = Instant::now();
        for (zero, what) in [(false, "past"), (true, "zero")] {
            let log = Log::new();
            let cut = if zero {
                timeout(Duration::ZERO, body(log.clone())).await
            } else {
                timeout_at(past, body(log.clone())).await
            };
            expired(cut);
            log.is(&["begins"]);
            assert_eq!(start.elapsed(), Duration::ZERO, "{what}");
        }
        // Control: in time, it goes on.
        let log = Log::new();
        timeout(HOUR, body(log.clone())).await.unwrap();
        log.is(&["begins", "never"]);
    });
}

/// As with `tokio::time::timeout`.
#[test]
fn g05_zero_polls_once() {
    paused(|| async {
        let mut polls = 0;
        let body = std::future::poll_fn(|_| {
            polls += 1;
            std::task::Poll::<()>::Pending
        });
        expired(timeout(Duration::ZERO, body).await);
        assert_eq!(polls, 1);
        expired(timeout(Duration::ZERO, tokio::task::yield_now()).await);
        // Control: a moment is enough.
        timeout(SECOND, tokio::task::yield_now()).await.unwrap();
    });
}

/// What must be left in order is, whatever the time.
#[test]
fn g05_zero_waits_for_the_cleanup() {
    #[cancellable]
    async fn body(log: Log) {
        defer! {
            sleep(SECOND).await;
            log.add("clean");
        }
        sleep(SECOND).await;
    }

    paused(|| async {
        let log = Log::new();
        expired(timeout(Duration::ZERO, body(log.clone())).await);
        log.is(&["clean"]);
    });
}

#[test]
fn g06_absurdly_large_durations_mean_never() {
    paused(|| async {
        for large in [Duration::MAX, Duration::MAX - SECOND, 1000 * YEAR] {
            let (open, gate) = oneshot::channel();
            let mut run = Driven::new(timeout(large, gate));
            run.pending();
            for _ in 0..10 {
                tokio::time::advance(YEAR).await;
                run.pending();
            }
            open.send("value").unwrap();
            assert_eq!(run.finish().unwrap().unwrap(), "value");
        }

        let group = TaskGroup::<BoxError>::new()
            .timeout(Duration::MAX)
            .grace(Duration::MAX)
            .run(async |g| {
                sleep(HOUR).await;
                let task = g.spawn(pending::<()>());
                g.cancel();
                Ok(task)
            });
        let outcome = group.await.unwrap().await;
        assert!(
            matches!(outcome, Err(TaskError::Cancelled(_))),
            "{outcome:?}"
        );
    });
}

/// As a value that a clock far in the future is compared with.
#[test]
fn g06_large_but_possible_durations_expire() {
    paused(|| async {
        let mut run = Driven::new(timeout(20 * YEAR, pending::<()>()));
        run.pending();
        for _ in 0..19 {
            tokio::time::advance(YEAR).await;
            run.pending();
        }
        tokio::time::advance(YEAR + SECOND).await;
        expired(run.finish());
    });
}

#[test]
fn g08_outer_limit_cuts_through_a_longer_inner_one() {
    #[cancellable]
    async fn outer(log: Log, inner: Scope<'static>) {
        let inner = inner.run(async {
            sleep(HOUR).await;
            log.add("inner body went on");
        });
        inner.await.ok();
        log.add("between");
    }

    paused(|| async {
        let start = Instant::now();
        let log = Log::new();
        let (tell, told) = oneshot::channel();
        let seen = log.clone();
        let cut = Scope::new().name("outer").timeout(SECOND).run(async move {
            let inner = Scope::new().name("inner").timeout(2 * SECOND);
            tell.send(inner.handle()).unwrap();
            outer(seen, inner).await;
        });
        let cut = expired(cut.await);
        assert_eq!(cut.scope(), "outer");
        assert_eq!(start.elapsed(), SECOND);
        log.is(&[]);
        // The inner one did not expire: it inherited, and did not absorb.
        sleep(HOUR).await;
        let inner = told.await.unwrap();
        assert!(matches!(inner.reason(), Some(Reason::Deadline)));

        // Control: the other way round, the inner one expires and absorbs.
        let log = Log::new();
        let inner = Scope::new().name("inner").timeout(SECOND);
        let run = timeout(2 * SECOND, outer(log.clone(), inner));
        run.await.unwrap();
        log.is(&["between"]);
    });
}

#[test]
fn g09_same_deadline_on_both_levels_is_the_outer_one() {
    paused(|| async {
        let log = Log::new();
        let at = Instant::now() + SECOND;
        let seen = log.clone();
        let outer = Scope::new().name("outer").deadline(at).run(async move {
            let inner = Scope::new().name("inner").deadline(at);
            inner.run(pending::<()>()).await.ok();
            seen.add("never");
        });
        let cut = expired(outer.await);
        assert_eq!(cut.scope(), "outer");
        log.is(&[]);
        assert_eq!(Instant::now(), at);
    });
}

/// The same through a group between them.
#[test]
fn g09_same_deadline_with_a_task_between() {
    paused(|| async {
        let log = Log::new();
        let at = Instant::now() + SECOND;
        let seen = log.clone();
        let outer = Scope::new().name("outer").deadline(at).run(async move {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let in_task = seen.clone();
                g.spawn(async move {
                    let inner = Scope::new().name("inner").deadline(at);
                    let inner = inner.run(pending::<()>()).await;
                    in_task.add(format!("{inner:?}"));
                    taskscope::checkpoint().await;
                    in_task.add("never");
                });
                Ok(())
            });
            group.await.ok();
            seen.add("never");
        });
        let cut = expired(outer.await);
        assert_eq!(cut.scope(), "outer");
        assert!(!log.has("never"), "{log:?}");
    });
}

#[test]
fn g10_both_deadlines_passed_while_the_thread_was_busy() {
    paused(|| async {
        let start = Instant::now();
        let log = Log::new();
        let seen = log.clone();
        let outer = Scope::new()
            .name("outer")
            .timeout(2 * SECOND)
            .run(async move {
                let inner = Scope::new().name("inner").timeout(SECOND).run(async {
                    // Busy, as far as the clock can tell.
                    tokio::time::advance(3 * SECOND).await;
                    pending::<()>().await;
                });
                let inner = inner.await;
                seen.add(inner.unwrap_err().scope());
                sleep(HOUR).await;
                seen.add("never");
            });
        let cut = expired(outer.await);
        assert_eq!(cut.scope(), "outer");
        assert_eq!(start.elapsed(), 3 * SECOND);
        assert!(!log.has("never"), "{log:?}");
    });
}

/// The inner one is handled first; the outer one still stops the next await.
#[test]
fn g10_inner_first_then_the_outer() {
    #[cancellable]
    async fn body(log: Log) {
        let inner = timeout(SECOND, async {
            defer! {
                sleep(5 * SECOND).await;
            }
            pending::<()>().await;
        });
        inner.await.ok();
        log.add("never");
    }

    #[cancellable]
    async fn in_time(log: Log) {
        timeout(SECOND, pending::<()>()).await.ok();
        log.add("inner is over");
        sleep(HOUR).await;
        log.add("never");
    }

    paused(|| async {
        let start = Instant::now();
        let log = Log::new();
        expired(timeout(2 * SECOND, body(log.clone())).await);
        log.is(&[]);
        assert_eq!(start.elapsed(), 6 * SECOND, "the cleanup is not cut");

        let start = Instant::now();
        expired(timeout(2 * SECOND, in_time(log.clone())).await);
        log.is(&["inner is over"]);
        assert_eq!(start.elapsed(), 2 * SECOND);
    });
}

#[test]
fn g12_error_while_leaving_stands_beside_the_timeout() {
    async fn fails_late() -> Result<(), BoxError> {
        shield(sleep(2 * SECOND)).await;
        Err("division by zero".into())
    }

    paused(|| async {
        let group = TaskGroup::<BoxError>::new().timeout(SECOND).run(async |g| {
            g.spawn_named("late", fails_late());
            Ok(())
        });
        let failed = group.await.unwrap_err();
        let errors: Vec<_> = failed.errors().map(ToString::to_string).collect();
        assert_eq!(errors, ["division by zero"]);
        let cancelled = failed.cancelled().expect("the timeout is kept");
        assert!(matches!(cancelled.reason(), Reason::Deadline));
        let text = failed.to_string();
        assert!(text.contains("division by zero"), "{text}");
        assert!(text.contains("deadline"), "{text}");
        assert_eq!(failed.into_first().to_string(), "division by zero");
    });
}

/// Under `timeout`, whose result has no place for an error, it is attached.
#[test]
fn g12_error_while_leaving_is_attached_to_the_timeout() {
    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_named("late", async {
                shield(sleep(2 * SECOND)).await;
                Err::<(), _>("division by zero")
            });
            Ok(())
        });
        let cut = expired(timeout(SECOND, group).await);
        assert_eq!(cut.attached().len(), 1, "{cut}");
        assert!(cut.attached()[0].contains("division by zero"), "{cut}");
        assert!(cut.attached()[0].contains("late"), "{cut}");
        assert!(cut.to_string().contains("division by zero"), "{cut}");
    });
}

/// In the body itself the error is its value: the timeout came too late.
#[test]
fn g12_error_of_a_body_that_passes_no_checkpoint() {
    paused(|| async {
        let run = timeout(SECOND, async {
            shield(sleep(2 * SECOND)).await;
            Err::<(), _>("division by zero")
        });
        assert_eq!(run.await.unwrap(), Err("division by zero"));
    });
}

#[test]
fn g15_timeout_returns_after_the_cleanup() {
    #[cancellable]
    async fn body(log: Log) {
        defer! {
            log.add("cleanup begins");
            sleep(3 * SECOND).await;
            log.add("cleanup ends");
        }
        pending::<()>().await;
    }

    paused(|| async {
        for limit in [SECOND, Duration::ZERO] {
            let start = Instant::now();
            let log = Log::new();
            let cut = timeout(limit, body(log.clone())).await;
            log.add("returned");
            expired(cut);
            log.is(&["cleanup begins", "cleanup ends", "returned"]);
            assert_eq!(start.elapsed(), limit + 3 * SECOND);
        }
    });
}

#[test]
fn g16_timeout_around_a_group_is_one_timeout() {
    #[cancellable]
    async fn child(log: Log, i: u32) {
        defer! {
            sleep(i * SECOND).await;
            log.add("child gone");
        }
        pending::<()>().await;
    }

    paused(|| async {
        let start = Instant::now();
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            for i in 0..5 {
                g.spawn(child(log.clone(), i));
            }
            Ok(())
        });
        let cut = timeout(SECOND, group).await;
        log.add("returned");
        let cut = expired(cut);
        assert_eq!(cut.scope(), "timeout");
        assert!(cut.attached().is_empty(), "{cut}");
        assert_eq!(log.count("child gone"), 5);
        assert_eq!(log.at("returned"), 5);
        assert_eq!(start.elapsed(), 5 * SECOND);
    });
}

#[test]
fn g16_timeout_of_the_group_is_one_timeout() {
    paused(|| async {
        let log = Log::new();
        let start = Instant::now();
        let group = TaskGroup::<BoxError>::new()
            .name("limited")
            .timeout(SECOND)
            .run(async |g| {
                for _ in 0..5 {
                    let mark = log.mark("child");
                    g.spawn(async move {
                        let _mark = mark;
                        pending::<()>().await;
                    });
                }
                Ok(())
            });
        let cut = group.await.unwrap_err();
        assert!(cut.failures().is_empty(), "{cut}");
        let cancelled = cut.cancelled().unwrap();
        assert!(matches!(cancelled.reason(), Reason::Deadline));
        assert_eq!(cancelled.scope(), "limited");
        assert_eq!(log.count("drop child"), 5);
        assert_eq!(start.elapsed(), SECOND);
    });
}

#[test]
fn g18_running_deadline_can_be_moved_or_removed() {
    paused(|| async {
        for removed in [false, true] {
            let start = Instant::now();
            let scope = Scope::new().timeout(2 * SECOND);
            let handle = scope.handle();
            assert_eq!(handle.deadline(), None, "it counts from `run`");
            let moved = (!removed).then(|| start + 10 * SECOND);
            let run = scope.run(async {
                assert_eq!(taskscope::deadline(), Some(start + 2 * SECOND));
                sleep(5 * SECOND).await;
                assert_eq!(taskscope::deadline(), moved);
                "survived"
            });
            let moving = async {
                sleep(SECOND).await;
                assert_eq!(handle.deadline(), Some(start + 2 * SECOND));
                handle.set_deadline(moved);
                assert_eq!(handle.deadline(), moved);
            };
            let (outcome, ()) = futures::join!(run, moving);
            assert_eq!(outcome.unwrap(), "survived");
            assert_eq!(start.elapsed(), 5 * SECOND);
        }
    });
}

/// A moved deadline still fires, later or earlier than the first one.
#[test]
fn g18_moved_deadline_fires() {
    paused(|| async {
        for (limit, moved) in [(2, 5), (5, 2)] {
            let start = Instant::now();
            let scope = Scope::new().timeout(limit * SECOND);
            let handle = scope.handle();
            let moving = async {
                sleep(SECOND).await;
                handle.set_deadline(start + moved * SECOND);
            };
            let (outcome, ()) = futures::join!(scope.run(pending::<()>()), moving);
            expired(outcome);
            assert_eq!(start.elapsed(), moved * SECOND);
        }
    });
}

#[test]
fn g19_deadline_moved_into_the_past_fires_and_stays_fired() {
    #[cancellable]
    async fn body(log: Log, handle: taskscope::CancelHandle) {
        defer! {
            // It has fired: this undoes nothing.
            handle.set_deadline(Instant::now() + HOUR);
            sleep(SECOND).await;
            handle.set_deadline(None);
            assert!(handle.is_cancelled());
            log.add("cleaned up");
        }
        sleep(SECOND).await;
        handle.set_deadline(Instant::now() - SECOND);
        log.add("moved");
        sleep(HOUR).await;
        log.add("never");
    }

    paused(|| async {
        let start = Instant::now();
        let log = Log::new();
        let scope = Scope::new().timeout(HOUR);
        let handle = scope.handle();
        expired(scope.run(body(log.clone(), handle)).await);
        log.is(&["moved", "cleaned up"]);
        assert_eq!(start.elapsed(), 2 * SECOND);
    });
}

/// From another task, while it is parked.
#[test]
fn g19_moving_into_the_past_wakes() {
    paused(|| async {
        let start = Instant::now();
        let scope = Scope::new().timeout(HOUR);
        let handle = scope.handle();
        let moving = tokio::spawn(async move {
            sleep(SECOND).await;
            handle.set_deadline(start);
        });
        expired(scope.run(pending::<()>()).await);
        assert_eq!(start.elapsed(), SECOND);
        moving.await.unwrap();
    });
}

#[test]
fn g21_limit_inside_a_shield_works_under_a_cancelled_scope() {
    #[cancellable]
    async fn body(log: Log, handle: taskscope::CancelHandle) {
        shield(async {
            let limited = timeout(5 * SECOND, async {
                sleep(SECOND).await;
                handle.cancel();
                sleep(SECOND).await;
                log.add("not ended by the outer cancel");
                sleep(HOUR).await;
            });
            let cut = expired(limited.await);
            log.add(cut.scope());
        })
        .await;
        taskscope::checkpoint().await;
        log.add("never");
    }

    paused(|| async {
        // Cancelled in the middle.
        let start = Instant::now();
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let left = scope.run(body(log.clone(), handle)).await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Requested));
        log.is(&["not ended by the outer cancel", "timeout"]);
        assert_eq!(start.elapsed(), 5 * SECOND);

        // Cancelled before: in plain code, where the await is no checkpoint.
        let start = Instant::now();
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let seen = log.clone();
        let left = scope.run(async move {
            handle.cancel();
            let cut = shield(async { timeout(5 * SECOND, sleep(HOUR)).await }).await;
            seen.add(expired(cut).scope());
            taskscope::checkpoint().await;
            seen.add("never");
        });
        assert!(matches!(
            left.await.unwrap_err().reason(),
            Reason::Requested
        ));
        log.is(&["timeout"]);
        assert_eq!(start.elapsed(), 5 * SECOND);
    });
}

/// Made outside of the shield and run inside it: where it runs is what counts.
#[test]
fn g21_limit_made_just_outside_the_shield() {
    paused(|| async {
        let start = Instant::now();
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let seen = log.clone();
        let left = scope.run(async move {
            handle.cancel();
            let cut = shield(timeout(5 * SECOND, sleep(HOUR))).await;
            seen.add(expired(cut).scope());
            taskscope::checkpoint().await;
            seen.add("never");
        });
        assert!(left.await.is_err());
        log.is(&["timeout"]);
        assert_eq!(start.elapsed(), 5 * SECOND);
    });
}

#[test]
fn g23_cancelling_who_awaits_a_timeout_cancels_the_work() {
    paused(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, reached) = oneshot::channel();
            let work = log.clone();
            let (inner, counts) = counted(async move {
                let _mark = work.mark("work");
                here.send(()).unwrap();
                sleep(10 * SECOND).await;
                work.add("never");
            });
            let after = log.clone();
            let task = g.spawn(async move {
                timeout(HOUR, inner).await.ok();
                after.add("never");
            });
            reached.await?;
            assert_eq!(counts.polls(), 1, "control: it was running");
            task.cancel();
            let Err(TaskError::Cancelled(cancelled)) = task.await else {
                panic!("not cancelled")
            };
            assert!(matches!(cancelled.reason(), Reason::Requested));
            assert_eq!(counts.drops(), 1);
            Ok(())
        });
        let start = Instant::now();
        group.await.unwrap();
        sleep(HOUR).await;
        log.is(&["drop work"]);
        assert_eq!(start.elapsed(), HOUR);
    });
}

#[test]
fn g25_all_timing_obeys_the_paused_clock() {
    let wall = std::time::Instant::now();
    paused_once(|| async {
        let start = Instant::now();
        for _ in 0..100 {
            expired(timeout(HOUR, pending::<()>()).await);
            let group = TaskGroup::<BoxError>::new().timeout(HOUR).run(async |g| {
                g.spawn(pending::<()>());
                Ok(())
            });
            assert!(group.await.is_err());
        }
        assert_eq!(start.elapsed(), 200 * HOUR);

        // The grace period, too.
        let overrun = Scope::new().grace(HOUR).timeout(HOUR).run(async {
            shield(sleep(1000 * HOUR)).await;
        });
        expired(overrun.await);
        assert_eq!(start.elapsed(), 202 * HOUR);
    });
    assert!(wall.elapsed() < 10 * SECOND, "took {:?}", wall.elapsed());
}
