//! Conformance, H: why something was cancelled.

use std::error::Error;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use taskscope::{
    BoxError, CancelHandle, Cancelled, Reason, Scope, TaskError, TaskGroup, TaskHandle, shield,
    timeout,
};
use taskscope_tests::{both, paused};
use tokio::sync::{Barrier, oneshot};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

async fn cancelled_of<T: std::fmt::Debug>(task: TaskHandle<T>) -> Cancelled {
    match task.await {
        Err(TaskError::Cancelled(cancelled)) => cancelled,
        other => panic!("not cancelled: {other:?}"),
    }
}

#[test]
fn h01_reason_given_to_cancel_is_carried_everywhere() {
    both(|| async {
        let (tell, told) = oneshot::channel();
        let scope = Scope::new().name("origin");
        let handle = scope.handle();
        let watched = scope.handle();
        let run = scope.run(async move {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let mut tasks = Vec::new();
                for _ in 0..3 {
                    let (here, parked) = oneshot::channel();
                    tasks.push(g.spawn(async move {
                        here.send(()).unwrap();
                        pending::<()>().await;
                    }));
                    parked.await?;
                }
                tell.send(tasks).unwrap();
                assert!(handle.reason().is_none(), "none, before");
                assert!(handle.cancel_with(Reason::other("the disk is full")));
                assert!(!handle.cancel_with(Reason::other("too late")));
                pending::<()>().await;
                Ok(())
            });
            group.await.ok();
        });
        let (left, reason) = futures::join!(run, watched.cancelled());
        let left = left.unwrap_err();
        assert_eq!(reason.to_string(), "the disk is full");
        let mut all = vec![left];
        for task in told.await.unwrap() {
            all.push(cancelled_of(task).await);
        }
        for cancelled in all {
            assert!(matches!(cancelled.reason(), Reason::Other(_)));
            assert_eq!(cancelled.reason().to_string(), "the disk is full");
            assert_eq!(cancelled.scope(), "origin");
        }
        assert_eq!(
            watched.reason().unwrap().to_string(),
            "the disk is full",
            "and after the scope has ended"
        );
    });
}

/// Without one given, it was requested; a task names itself as the origin.
#[test]
fn h01_origin_is_the_task_that_was_cancelled() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let one = g.spawn_named("one", pending::<()>());
            let other = g.spawn_named("other", pending::<()>());
            one.cancel();
            other
                .handle()
                .cancel_with(Reason::other("no longer needed"));
            Ok((cancelled_of(one).await, cancelled_of(other).await))
        });
        let (one, other) = group.await.unwrap();
        assert_eq!(one.scope(), "one");
        assert!(matches!(one.reason(), Reason::Requested));
        assert_eq!(other.scope(), "other");
        assert_eq!(other.reason().to_string(), "no longer needed");
    });
}

/// The very same error, not a copy, wherever it is read.
#[test]
fn h01_own_error_is_found_again() {
    both(|| async {
        let scope = Scope::new();
        scope
            .handle()
            .cancel_with(Reason::other(io::Error::from(io::ErrorKind::StorageFull)));
        let left = scope.run(pending::<()>()).await.unwrap_err();
        let Reason::Other(error) = left.reason() else {
            panic!("{left:?}")
        };
        let found = error.downcast_ref::<io::Error>().unwrap();
        assert_eq!(found.kind(), io::ErrorKind::StorageFull);
    });
}

#[test]
fn h04_descendants_report_the_ancestors_reason() {
    async fn nested(handles: mpsc::Sender<CancelHandle>, depth: usize, all: Arc<Barrier>) {
        let scope = Scope::new().name(format!("level {depth}"));
        handles.send(scope.handle()).unwrap();
        if depth == 0 {
            let parks = async {
                all.wait().await;
                pending::<()>().await;
            };
            scope.run(parks).await.ok();
        } else {
            let below = Box::pin(nested(handles, depth - 1, all));
            scope.run(below).await.ok();
        }
    }

    both(|| async {
        let (send, handles) = mpsc::channel();
        let all = Arc::new(Barrier::new(3));
        let outer = Scope::new().name("outer");
        let handle = outer.handle();
        let later = send.clone();
        let left = outer.run(async move {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                g.spawn(nested(send.clone(), 3, all.clone()));
                nested(send, 3, all.clone()).await;
                Ok(())
            });
            let cancelling = async {
                all.wait().await;
                handle.cancel_with(Reason::other("outer reason"));
                // Created afterwards, in the cancelled scope.
                let after = Scope::new().name("after");
                later.send(after.handle()).unwrap();
                let inside = later.clone();
                let ran = after.run(async move {
                    inside.send(Scope::new().handle()).unwrap();
                });
                ran.await.unwrap();
                drop(later);
            };
            futures::join!(cancelling, async { group.await.ok() });
        });
        let left = left.await.unwrap_err();
        assert_eq!(left.reason().to_string(), "outer reason");
        assert_eq!(left.scope(), "outer");
        let handles: Vec<_> = handles.into_iter().collect();
        assert_eq!(handles.len(), 4 + 4 + 2);
        for handle in handles {
            let reason = handle.reason().map(|reason| reason.to_string());
            assert_eq!(reason.as_deref(), Some("outer reason"), "{handle:?}");
        }
    });
}

/// A handle of what was spawned into the cancelled group, too.
#[test]
fn h04_late_task_reports_the_groups_reason() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().name("group").run(async |g| {
            let before = g.spawn(pending::<()>());
            g.cancel_with(Reason::other("the reason"));
            let after = g.spawn(pending::<()>());
            Ok([before, after])
        });
        for task in group.await.unwrap() {
            let cancelled = cancelled_of(task).await;
            assert_eq!(cancelled.reason().to_string(), "the reason");
            assert_eq!(cancelled.scope(), "group");
        }
    });
}

#[test]
fn h07_failed_body_or_sibling_is_the_childrens_reason() {
    both(|| async {
        let (tell, told) = oneshot::channel();
        let body_fails = TaskGroup::<BoxError>::new()
            .name("body fails")
            .run(async |g| {
                let (here, parked) = oneshot::channel();
                let child = g.spawn(async move {
                    here.send(()).unwrap();
                    pending::<()>().await;
                });
                parked.await?;
                tell.send(child).unwrap();
                Err::<(), _>("body error".into())
            });
        assert!(body_fails.await.unwrap_err().cancelled().is_none());
        let cancelled = cancelled_of(told.await.unwrap()).await;
        assert!(matches!(cancelled.reason(), Reason::SiblingFailed));
        assert_eq!(cancelled.scope(), "body fails");

        let (tell, told) = oneshot::channel();
        let child_fails = TaskGroup::<BoxError>::new()
            .name("child fails")
            .run(async |g| {
                tell.send(g.spawn(pending::<()>())).unwrap();
                g.spawn(async { Err::<(), _>("child error") });
                let reason = shield(g.handle().cancelled()).await;
                assert!(matches!(reason, Reason::SiblingFailed));
                Ok(())
            });
        assert!(child_fails.await.unwrap_err().cancelled().is_none());
        let cancelled = cancelled_of(told.await.unwrap()).await;
        assert!(matches!(cancelled.reason(), Reason::SiblingFailed));
        assert_eq!(cancelled.scope(), "child fails");
    });
}

#[test]
fn h08_deadline_is_a_kind_of_its_own() {
    paused(|| async {
        let late = timeout(SECOND, pending::<()>()).await.unwrap_err();
        assert!(matches!(late.reason(), Reason::Deadline));
        assert_eq!(io::Error::from(late).kind(), io::ErrorKind::TimedOut);

        let scope = Scope::new().deadline(Instant::now() + SECOND);
        let late = scope.run(pending::<()>()).await.unwrap_err();
        assert!(matches!(late.reason(), Reason::Deadline));

        let (tell, told) = oneshot::channel();
        let group = TaskGroup::<BoxError>::new()
            .name("group")
            .timeout(SECOND)
            .run(async |g| {
                tell.send(g.spawn(pending::<()>())).unwrap();
                Ok(())
            });
        let late = group.await.unwrap_err();
        assert!(matches!(
            late.cancelled().unwrap().reason(),
            Reason::Deadline
        ));
        let child = cancelled_of(told.await.unwrap()).await;
        assert!(matches!(child.reason(), Reason::Deadline));
        assert_eq!(child.scope(), "group");

        // Control: cancelled by hand, it is another.
        let scope = Scope::new().timeout(SECOND);
        scope.handle().cancel();
        let left = scope.run(pending::<()>()).await.unwrap_err();
        assert!(matches!(left.reason(), Reason::Requested));
        assert_eq!(io::Error::from(left).kind(), io::ErrorKind::Interrupted);
    });
}

#[test]
fn h09_of_timeout_and_cancel_the_first_is_recorded() {
    paused(|| async {
        // Cancelled at 1 s, with the deadline to come while it is leaving.
        let scope = Scope::new().timeout(2 * SECOND);
        let handle = scope.handle();
        let run = scope.run(shield(tokio::time::sleep(5 * SECOND)));
        let (outcome, ()) = futures::join!(run, async {
            tokio::time::sleep(SECOND).await;
            handle.cancel_with(Reason::other("finished early"));
        });
        // The shield was all there was: it has its value, the reason stays.
        outcome.unwrap();
        assert_eq!(handle.reason().unwrap().to_string(), "finished early");

        // The deadline at 1 s, and a cancel at 2 s.
        let scope = Scope::new().timeout(SECOND);
        let handle = scope.handle();
        let run = scope.run(async {
            shield(tokio::time::sleep(5 * SECOND)).await;
            taskscope::checkpoint().await;
        });
        let (outcome, ()) = futures::join!(run, async {
            tokio::time::sleep(2 * SECOND).await;
            assert!(!handle.cancel_with(Reason::other("too slow")));
        });
        assert!(matches!(outcome.unwrap_err().reason(), Reason::Deadline));
        assert!(matches!(handle.reason(), Some(Reason::Deadline)));
    });
}

/// Stacked: the inner one cancelled first keeps its own reason, and the outer
/// one has another.
#[test]
fn h09_stacked_scopes_record_what_reached_them_first() {
    paused(|| async {
        for (inner_at, outer_at, recorded) in [(1, 2, "inner"), (2, 1, "outer")] {
            let (tell, told) = oneshot::channel();
            let outer = Scope::new();
            let cancel_outer = outer.handle();
            let run = outer.run(async move {
                let inner = Scope::new();
                tell.send(inner.handle()).unwrap();
                let slow = shield(tokio::time::sleep(5 * SECOND));
                let run = inner.run(async {
                    slow.await;
                    taskscope::checkpoint().await;
                });
                run.await.ok();
            });
            let cancelling = async {
                let inner = told.await.unwrap();
                let cancel_inner = async {
                    tokio::time::sleep(inner_at * SECOND).await;
                    inner.cancel_with(Reason::other("inner"));
                };
                let cancel_outer = async {
                    tokio::time::sleep(outer_at * SECOND).await;
                    cancel_outer.cancel_with(Reason::other("outer"));
                };
                futures::join!(cancel_inner, cancel_outer);
                assert_eq!(inner.reason().unwrap().to_string(), recorded);
            };
            let (left, ()) = futures::join!(run, cancelling);
            assert_eq!(left.unwrap_err().reason().to_string(), "outer");
        }
    });
}

#[test]
fn h10_never_cancelled_without_a_reason() {
    const ROUNDS: usize = 1000;
    const READS: usize = 100;

    both(|| async {
        let (send, handles) = mpsc::channel::<CancelHandle>();
        let canceller = std::thread::spawn(move || {
            for handle in handles {
                handle.cancel_with(Reason::other("the final reason"));
            }
        });
        let mut seen = 0;
        for _ in 0..ROUNDS {
            let parent = Scope::new();
            let (send_child, child) = mpsc::channel();
            let handle = parent.handle();
            let mut run = taskscope_tests::Driven::new(parent.run(async move {
                let child = Scope::new();
                send_child.send(child.handle()).unwrap();
                child.run(pending::<()>()).await.ok();
            }));
            run.pending();
            let child = child.recv().unwrap();
            send.send(handle.clone()).unwrap();
            let mut reads = 0;
            while reads < READS || !child.is_cancelled() {
                reads += 1;
                for handle in [&handle, &child] {
                    let cancelled = handle.is_cancelled();
                    let reason = handle.reason();
                    assert!(!cancelled || reason.is_some(), "without a reason");
                    if let Some(reason) = reason {
                        assert_eq!(reason.to_string(), "the final reason");
                        assert!(handle.is_cancelled());
                        seen += 1;
                    }
                }
            }
            let left = run.finish().unwrap_err();
            assert_eq!(left.reason().to_string(), "the final reason");
        }
        assert!(seen > 0);
        drop(send);
        canceller.join().unwrap();
    });
}

#[test]
fn h11_cancelled_is_a_readable_error() {
    fn is_error<T: Error + Clone + Send + Sync + 'static>() {}
    is_error::<Cancelled>();
    fn is_shared<T: Clone + Send + Sync + 'static>() {}
    is_shared::<Reason>();
    is_shared::<CancelHandle>();

    both(|| async {
        let scope = Scope::new().name("import");
        let cause = io::Error::other("the disk is full");
        scope.handle().cancel_with(Reason::other(cause));
        let left = scope.run(pending::<()>()).await.unwrap_err();
        for text in [left.to_string(), left.clone().to_string()] {
            assert!(text.contains("import"), "{text}");
            assert!(text.contains("cancelled"), "{text}");
            assert!(text.contains("the disk is full"), "{text}");
        }
        let source = left.source().expect("the cause");
        assert!(source.downcast_ref::<io::Error>().is_some());

        // As a source of others: found along the chain.
        let wrapped: io::Error = left.clone().into();
        assert!(wrapped.get_ref().unwrap().is::<Cancelled>());
        let told = TaskError::Cancelled(left);
        assert!(told.source().unwrap().is::<Cancelled>());
        assert!(told.to_string().contains("the disk is full"), "{told}");
    });
}

/// Each reason says in its own words what it is.
#[test]
fn h11_display_names_the_kind() {
    both(|| async {
        let reasons = [
            Reason::Requested,
            Reason::Deadline,
            Reason::SiblingFailed,
            Reason::Shutdown,
            Reason::Dropped,
            Reason::Ended,
            Reason::other("a reason of one's own"),
        ];
        let mut texts = Vec::new();
        for reason in reasons {
            let scope = Scope::new().name("import");
            scope.handle().cancel_with(reason.clone());
            let left = scope.run(pending::<()>()).await.unwrap_err();
            assert_eq!(
                std::mem::discriminant(left.reason()),
                std::mem::discriminant(&reason)
            );
            assert!(left.to_string().contains(&reason.to_string()), "{left}");
            assert_eq!(left.source().is_some(), matches!(reason, Reason::Other(_)));
            texts.push(left.to_string());
        }
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 7, "{texts:?}");
    });
}

/// The one who asks from outside is told the same.
#[test]
fn h11_waiting_for_the_cancellation_gives_the_reason() {
    both(|| async {
        let asked = Arc::new(AtomicBool::new(false));
        let scope = Scope::new();
        let handle = scope.handle();
        let seen = asked.clone();
        let inside = scope.run(async move {
            handle.cancel_with(Reason::other("why"));
            let reason = taskscope::cancelled().await;
            assert_eq!(reason.to_string(), "why");
            seen.store(true, Ordering::SeqCst);
        });
        inside.await.unwrap();
        assert!(asked.load(Ordering::SeqCst));
    });
}
