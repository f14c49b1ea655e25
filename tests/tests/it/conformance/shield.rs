//! Conformance, F: the shield.

use std::future::pending;
use std::time::Duration;

use taskscope::{
    BoxError, CancelHandle, Reason, Scope, TaskError, TaskGroup, Value, cancellable, defer, shield,
};
use taskscope_tests::{Log, both, cancel_at, counted, one_worker, paused};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

#[test]
fn f01_outer_cancel_is_delivered_after_the_shield() {
    #[cancellable]
    async fn body(log: Log, handle: CancelHandle) {
        let inner = log.clone();
        shield(async move {
            handle.cancel();
            taskscope::checkpoint().await;
            yield_now().await;
            inner.add("inside");
            nested(&inner).await;
        })
        .await;
        log.add("after the shield");
        taskscope::checkpoint().await;
        log.add("never");
    }

    #[cancellable]
    async fn nested(log: &Log) {
        yield_now().await;
        log.add("called inside");
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let left = scope.run(body(log.clone(), handle)).await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Requested));
        log.is(&["inside", "called inside", "after the shield"]);
    });
}

/// Nested shields are one: the cancel waits for the outermost.
#[test]
fn f01_nested_shields() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        let inner = log.clone();
        shield(async move {
            shield(async { here.send(()).unwrap() }).await;
            for _ in 0..5 {
                yield_now().await;
            }
            inner.add("between");
        })
        .await;
        log.add("after");
        yield_now().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        log.is(&["between", "after"]);
    });
}

#[test]
fn f02_value_and_error_come_out_unchanged() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>, go: oneshot::Receiver<()>) {
        let value = shield(async {
            here.send(()).unwrap();
            go.await.unwrap();
            Ok::<u32, BoxError>(42)
        })
        .await;
        log.add(format!("{value:?}"));
        // A shield is not a checkpoint: a second one is entered.
        let error = shield(async {
            yield_now().await;
            Err::<u32, BoxError>("expected".into())
        })
        .await;
        log.add(format!("{error:?}"));
        yield_now().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let (here, reached) = oneshot::channel();
        let (let_go, go) = oneshot::channel();
        let run = scope.run(body(log.clone(), here, go));
        let (left, ()) = futures::join!(run, async {
            reached.await.unwrap();
            handle.cancel();
            yield_now().await;
            let_go.send(()).unwrap();
        });
        assert!(left.is_err());
        log.is(&["Ok(42)", "Err(\"expected\")"]);
    });
}

#[test]
fn f07_children_of_a_group_inside_the_shield_are_protected() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        let inner = log.clone();
        let sum = shield(async move {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let before = g.spawn(child(inner.clone(), 1));
                here.send(()).unwrap();
                for _ in 0..5 {
                    yield_now().await;
                }
                let after = g.spawn(child(inner.clone(), 2));
                Ok(before.await?.0 + after.await?.0)
            });
            group.await.unwrap()
        })
        .await;
        log.add(format!("sum {sum}"));
        yield_now().await;
        log.add("never");
    }

    #[cancellable]
    async fn child(log: Log, i: u32) -> Result<Value<u32>, BoxError> {
        for _ in 0..20 {
            yield_now().await;
            assert!(!taskscope::is_cancelled());
        }
        log.add(format!("child {i}"));
        Ok(Value(i))
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        assert_eq!(log.count("child 1") + log.count("child 2"), 2);
        assert_eq!(log.entries()[2..], ["sum 3"]);
    });
}

#[test]
#[allow(clippy::async_yields_async)] // handing out the handle is the point
fn f08_shield_around_the_spawn_alone_protects_nobody() {
    one_worker(|| async {
        let (control, controls) = counted(async {});
        let (work, counts) = counted(async {});
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            shield(async { g.spawn(control) }).await.await?;

            let running = log.clone();
            let (here, reached) = oneshot::channel();
            let child = shield(async {
                g.spawn(async move {
                    let _mark = running.mark("running child");
                    here.send(()).unwrap();
                    pending::<()>().await;
                })
            });
            let child = child.await;
            reached.await?;
            g.cancel();
            let late = shield(async { g.spawn(work) }).await;
            let (child, late) = shield(async { (child.await, late.await) }).await;
            assert!(matches!(child, Err(TaskError::Cancelled(_))), "{child:?}");
            assert!(matches!(late, Err(TaskError::Cancelled(_))), "{late:?}");
            Ok(())
        });
        group.await.unwrap();
        assert_eq!(controls.polls(), 1);
        assert_eq!((counts.polls(), counts.drops()), (0, 1));
        log.is(&["drop running child"]);
    });
}

#[test]
fn f10_flag_and_deadline_read_as_none_inside() {
    #[cancellable]
    async fn body(log: Log, deadline: Instant) {
        assert_eq!(
            taskscope::deadline(),
            Some(deadline),
            "control: seen outside"
        );
        assert!(!taskscope::is_cancelled());
        let inner = log.clone();
        shield(async move {
            assert_eq!(taskscope::deadline(), None);
            sleep(Duration::from_secs(10)).await; // past the deadline
            assert_eq!(taskscope::deadline(), None);
            assert!(!taskscope::is_cancelled());
            inner.add("inside");
        })
        .await;
        assert!(taskscope::is_cancelled());
        assert_eq!(taskscope::deadline(), Some(deadline));
        assert!(deadline < Instant::now());
        log.add("outside");
        taskscope::checkpoint().await;
        log.add("never");
    }

    paused(|| async {
        let log = Log::new();
        let deadline = Instant::now() + Duration::from_secs(1);
        let left = Scope::new()
            .deadline(deadline)
            .run(body(log.clone(), deadline))
            .await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Deadline));
        log.is(&["inside", "outside"]);
    });
}

#[test]
fn f11_shielded_task_is_not_spun() {
    #[cancellable]
    async fn in_shield(work: impl Future<Output = ()>) {
        shield(work).await;
    }

    #[cancellable]
    async fn in_cleanup(work: impl Future<Output = ()>) {
        defer! { work.await; }
        pending::<()>().await;
    }

    paused(|| async {
        let half = Duration::from_millis(500);
        let (work, counts) = counted(sleep(half));
        let scope = Scope::new();
        let handle = scope.handle();
        let (run, polls) = counted(scope.run(in_shield(work)));
        let start = Instant::now();
        let (left, ()) = futures::join!(run, async {
            yield_now().await;
            handle.cancel();
        });
        left.unwrap();
        assert!(start.elapsed() >= half);
        assert!(counts.polls() < 10, "{} polls of the work", counts.polls());
        assert!(polls.polls() < 10, "{} polls of the scope", polls.polls());

        let (work, counts) = counted(sleep(half));
        let scope = Scope::new();
        scope.handle();
        let handle = scope.handle();
        let (run, polls) = counted(scope.run(in_cleanup(work)));
        let start = Instant::now();
        let (left, ()) = futures::join!(run, async {
            yield_now().await;
            handle.cancel();
        });
        assert!(left.is_err());
        assert!(start.elapsed() >= half);
        assert!(
            counts.polls() < 10,
            "{} polls of the cleanup",
            counts.polls()
        );
        assert!(polls.polls() < 12, "{} polls of the scope", polls.polls());
    });
}

#[test]
fn f12_group_waits_for_a_shielded_child_when_a_sibling_fails() {
    #[cancellable]
    async fn shielded(log: Log, here: oneshot::Sender<()>, go: oneshot::Receiver<()>) {
        shield(async {
            here.send(()).unwrap();
            go.await.unwrap();
            for _ in 0..5 {
                yield_now().await;
            }
            log.add("shielded work ended");
        })
        .await;
        yield_now().await;
        log.add("never");
    }

    /// Cancelled because of the sibling, and only then lets the shielded one go.
    #[cancellable]
    async fn body(let_go: oneshot::Sender<()>) -> Result<(), BoxError> {
        defer! { let_go.send(()).unwrap(); }
        pending().await
    }

    both(|| async {
        let log = Log::new();
        let failed = TaskGroup::<BoxError>::new()
            .run(async |g| {
                let (here, reached) = oneshot::channel();
                let (let_go, go) = oneshot::channel();
                g.spawn(shielded(log.clone(), here, go));
                reached.await?;
                log.add("sibling fails");
                g.spawn(async { Err::<(), BoxError>("on purpose".into()) });
                body(let_go).await
            })
            .await
            .unwrap_err();
        log.add("group returned");
        assert_eq!(failed.failures().len(), 1, "{failed}");
        log.is(&["sibling fails", "shielded work ended", "group returned"]);
    });
}
