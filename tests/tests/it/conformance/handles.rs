//! Conformance, I: the handle of a single task.

use std::future::pending;

use taskscope::{BoxError, Reason, TaskError, TaskGroup, TaskHandle, Value, cancellable, defer};
use taskscope_tests::{Log, both, counted};
use tokio::sync::oneshot;

#[test]
fn i01_cancelling_through_a_handle_stops_only_that_child() {
    #[cancellable]
    async fn parks(log: Log, here: oneshot::Sender<()>) {
        defer! {
            tokio::task::yield_now().await;
            log.add("cleaned up");
        }
        here.send(()).unwrap();
        pending::<()>().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (open, gate) = oneshot::channel::<()>();
            let sibling = g.spawn(async move {
                gate.await.unwrap();
                taskscope::checkpoint().await;
                Value(11)
            });
            let (here, parked) = oneshot::channel();
            let child = g.spawn(parks(log.clone(), here));
            parked.await?;
            assert!(child.cancel());
            assert!(!child.cancel(), "it was cancelled before");
            let outcome = child.await;
            log.add("outcome");
            assert!(
                matches!(outcome, Err(TaskError::Cancelled(_))),
                "{outcome:?}"
            );
            open.send(()).unwrap();
            Ok(sibling.await?)
        });
        assert_eq!(group.await.unwrap(), 11);
        log.is(&["cleaned up", "outcome"]);
    });
}

/// What is below the child goes with it.
#[test]
fn i01_what_is_below_the_child_is_cancelled_too() {
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, parked) = oneshot::channel();
            let below = log.clone();
            let child = g.spawn(async move {
                let nested = TaskGroup::<BoxError>::new().run(async |g| {
                    g.spawn(async move {
                        let _mark = below.mark("grandchild");
                        here.send(()).unwrap();
                        pending::<()>().await;
                    });
                    Ok(())
                });
                nested.await
            });
            parked.await?;
            child.cancel();
            let outcome = child.await;
            log.add("outcome");
            assert!(
                matches!(outcome, Err(TaskError::Cancelled(_))),
                "{outcome:?}"
            );
            Ok(())
        });
        group.await.unwrap();
        log.is(&["drop grandchild", "outcome"]);
    });
}

#[test]
fn i02_awaiting_a_cancelled_child_gives_a_value_and_does_not_cancel() {
    #[cancellable]
    async fn awaits(child: TaskHandle<()>, log: Log) {
        let outcome = child.await;
        let Err(TaskError::Cancelled(cancelled)) = outcome else {
            panic!("{outcome:?}")
        };
        assert!(matches!(cancelled.reason(), Reason::Requested));
        assert_eq!(cancelled.scope(), "child");
        assert!(!taskscope::is_cancelled());
        taskscope::checkpoint().await;
        log.add("the awaiter goes on");
    }

    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, parked) = oneshot::channel();
            let child = g.spawn_named("child", async move {
                here.send(()).unwrap();
                pending::<()>().await;
            });
            parked.await?;
            let cancel = child.handle();
            let awaiter = g.spawn(awaits(child, log.clone()));
            cancel.cancel();
            Ok(awaiter.await?)
        });
        group.await.unwrap();
        log.is(&["the awaiter goes on"]);
    });
}

/// The other way round: cancelling who waits leaves the task alone.
#[test]
fn i02_cancelling_the_awaiter_leaves_the_child_alone() {
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (open, gate) = oneshot::channel::<()>();
            let done = log.clone();
            let child = g.spawn(async move {
                gate.await.unwrap();
                taskscope::checkpoint().await;
                done.add("child done");
            });
            let (here, waits) = oneshot::channel();
            let awaiter = g.spawn(async move {
                here.send(()).unwrap();
                child.await
            });
            waits.await?;
            awaiter.cancel();
            let outcome = awaiter.await;
            assert!(
                matches!(outcome, Err(TaskError::Cancelled(_))),
                "{outcome:?}"
            );
            open.send(()).unwrap();
            Ok(())
        });
        group.await.unwrap();
        log.is(&["child done"]);
    });
}

#[test]
fn i04_cancelling_a_finished_child_says_so_and_keeps_the_result() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, done) = oneshot::channel();
            let child = g.spawn(async move { Value(5) });
            let watched = g.spawn(async move {
                here.send(()).unwrap();
            });
            done.await?;
            watched.await?;
            while !child.is_finished() {
                tokio::task::yield_now().await;
            }
            assert!(!child.cancel());
            assert!(!child.cancel_handle().cancel());
            Ok(child.await?)
        });
        assert_eq!(group.await.unwrap(), 5);

        // And after its group has ended.
        let group = TaskGroup::<BoxError>::new().run(async |g| Ok(g.spawn(async { Value(6) })));
        let child = group.await.unwrap();
        assert!(!child.cancel());
        assert_eq!(child.await.unwrap(), 6);

        // Control: one that has not finished is cancelled, and says that.
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let child = g.spawn(pending::<()>());
            assert!(!child.is_finished());
            assert!(child.cancel());
            Ok(child)
        });
        let child = group.await.unwrap();
        assert!(child.is_finished());
        assert!(matches!(child.await, Err(TaskError::Cancelled(_))));
    });
}

#[test]
fn i05_handle_yields_the_value_inside_and_after_the_group() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let inside = g.spawn(async { Value(6) });
            let after = g.spawn(async { Ok::<_, BoxError>(6) });
            let scoped = g.spawn_scoped(async { Value(7) });
            assert_eq!(inside.await?, 6);
            Ok((after, scoped))
        });
        let (after, scoped) = group.await.unwrap();
        assert!(after.is_finished() && scoped.is_finished());
        assert_eq!(after.await.unwrap(), 6);
        assert_eq!(scoped.await.unwrap(), 7);
    });
}

/// Its outcome is there once the future is gone, with all it holds.
#[test]
fn i05_the_future_is_gone_when_the_handle_yields() {
    both(|| async {
        let (work, counts) = counted(async {
            tokio::task::yield_now().await;
            Value(1)
        });
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            assert_eq!(counts.drops(), 0);
            let value = g.spawn(work).await?;
            assert_eq!(counts.drops(), 1);
            Ok(value)
        });
        assert_eq!(group.await.unwrap(), 1);
    });
}

#[test]
fn i06_awaiting_a_failed_child_tells_so_and_the_group_still_fails() {
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            // The child fails once somebody waits for it: a task that has not started when its group is cancelled never does.
            let (waits, waited_for) = tokio::sync::oneshot::channel();
            let child = g.spawn_named("child", async {
                let _ = waited_for.await;
                Err::<(), _>("the cause")
            });
            let told = log.clone();
            let awaiter = g.spawn(async move {
                let _ = waits.send(());
                let outcome = taskscope::shield(child).await;
                told.add(format!("{outcome:?}"));
            });
            awaiter.await?;
            Ok(())
        });
        let failed = group.await.unwrap_err();
        log.is(&["Err(Failed)"]);
        assert_eq!(failed.failures().len(), 1, "{failed}");
        assert_eq!(failed.first().unwrap().name(), "child");
        assert_eq!(failed.errors().next().unwrap().to_string(), "the cause");

        // The awaiter that passes it on is no second failure.
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let child = g.spawn_named("child", async { Err::<(), _>("the cause") });
            child.await?;
            Ok(())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(failed.failures().len(), 1, "{failed}");
    });
}

/// Nor is a sibling that passes it on.
#[test]
fn i06_a_sibling_that_passes_the_failure_on_is_no_second_one() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let child = g.spawn_named("child", async { Err::<(), _>("the cause") });
            g.spawn_named("passes on", taskscope::shield(child));
            Ok(())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(failed.first().unwrap().name(), "child");
        assert_eq!(failed.failures().len(), 1, "{failed}");
    });
}
