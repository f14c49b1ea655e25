//! Conformance, C: down the tree, and no further.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use taskscope::{
    BoxError, CancelHandle, OnFailure, Reason, Scope, TaskError, TaskGroup, Value, cancellable,
    defer,
};
use taskscope_tests::{Driven, Log, both, cancel_at, counted, one_worker};
use tokio::sync::{Barrier, oneshot};
use tokio::time::Instant;

#[test]
fn c01_cancelling_a_parent_reaches_every_descendant() {
    const WIDTH: usize = 3;
    const DEPTH: usize = 3;

    // WIDTH ^ DEPTH leaves, each in a group inside a task inside a group …
    fn level(
        log: Log,
        depth: usize,
        all: Arc<Barrier>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> {
        Box::pin(async move {
            if depth == 0 {
                return leaf(log, all).await;
            }
            let grown = TaskGroup::<BoxError>::new().run(async |g| {
                for _ in 0..WIDTH {
                    g.spawn(level(log.clone(), depth - 1, all.clone()));
                }
                Ok(())
            });
            Ok(grown.await?)
        })
    }

    #[cancellable]
    async fn leaf(log: Log, all: Arc<Barrier>) -> Result<(), BoxError> {
        defer! {
            log.add(format!("left, cancelled: {}", taskscope::is_cancelled()));
        }
        all.wait().await;
        log.add("parked");
        pending().await
    }

    both(|| async {
        let leaves = WIDTH.pow(DEPTH as u32);
        let log = Log::new();
        let all = Arc::new(Barrier::new(leaves + 1));
        let scope = Scope::new();
        let handle = scope.handle();
        let run = scope.run(level(log.clone(), DEPTH, all.clone()));
        let (outcome, ()) = futures::join!(run, async {
            all.wait().await;
            handle.cancel();
        });
        assert!(matches!(outcome.unwrap_err().reason(), Reason::Requested));
        // A cleanup is shielded: what it asks is answered `false`.
        assert_eq!(log.count("left, cancelled: false"), leaves, "{log:?}");
    });
}

/// In one step: when `cancel` has returned, every flag is set.
#[test]
fn c01_all_flags_are_set_at_once() {
    async fn nested(handles: std::sync::mpsc::Sender<CancelHandle>, depth: usize) {
        let scope = Scope::new();
        handles.send(scope.handle()).unwrap();
        if depth == 0 {
            scope.run(pending::<()>()).await.ok();
        } else {
            scope.run(Box::pin(nested(handles, depth - 1))).await.ok();
        }
    }

    both(|| async {
        let (send, handles) = std::sync::mpsc::channel();
        let mut run = Driven::new(nested(send, 20));
        run.pending();
        let handles: Vec<_> = handles.try_iter().collect();
        assert_eq!(handles.len(), 21);
        assert!(handles.iter().all(|h| !h.is_cancelled()));
        handles[0].cancel();
        assert!(handles.iter().all(CancelHandle::is_cancelled));
        run.finish();
    });
}

#[test]
fn c02_cancelling_a_child_leaves_parent_and_siblings_alone() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (open, gate) = oneshot::channel::<()>();
            let sibling = g.spawn(async move {
                gate.await?;
                taskscope::checkpoint().await;
                assert!(!taskscope::is_cancelled());
                Ok::<_, oneshot::error::RecvError>(11)
            });
            let (here, reached) = oneshot::channel();
            let child = g.spawn(async move {
                here.send(()).unwrap();
                pending::<()>().await;
            });
            reached.await?;
            assert!(child.cancel());
            let left = child.await;
            assert!(matches!(left, Err(TaskError::Cancelled(_))), "{left:?}");

            assert!(!taskscope::is_cancelled());
            assert!(!g.handle().is_cancelled());
            taskscope::checkpoint().await;
            open.send(()).unwrap();
            Ok(sibling.await?)
        });
        assert_eq!(group.await.unwrap(), 11);
    });
}

#[test]
fn c02_cancelling_an_inner_scope_leaves_the_outer_one_alone() {
    both(|| async {
        let outer = Scope::new();
        let outer_handle = outer.handle();
        let outcome = outer.run(async {
            let left = cancel_at(Scope::new(), |here| async move {
                here.send(()).unwrap();
                pending::<()>().await;
            });
            assert!(left.await.is_err());
            taskscope::checkpoint().await;
            assert!(!taskscope::is_cancelled());
            "goes on"
        });
        assert_eq!(outcome.await.unwrap(), "goes on");
        assert!(!outer_handle.is_cancelled());
    });
}

/// Entering it is no checkpoint; the first one inside is.
#[test]
fn c04_scope_under_a_cancelled_parent_is_born_cancelled() {
    #[cancellable]
    async fn inside(log: Log) {
        log.add("entered");
        taskscope::checkpoint().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let outer = Scope::new().name("outer");
        let handle = outer.handle();
        let (tell, told) = oneshot::channel();
        let inner_log = log.clone();
        let mut run = Driven::new(outer.run(async move {
            let before = Scope::new();
            assert!(
                !before.handle().is_cancelled(),
                "not, while the parent is not"
            );
            handle.cancel();
            let after = Scope::new().name("inner");
            let born = (
                before.handle().is_cancelled(),
                after.handle().is_cancelled(),
            );
            tell.send(born).unwrap();
            after.run(inside(inner_log.clone())).await.ok();
            inner_log.add("never");
        }));
        // One poll is enough: there is nothing to wait for.
        let std::task::Poll::Ready(outcome) = run.poll() else {
            panic!("left in its first poll")
        };
        assert_eq!(outcome.unwrap_err().scope(), "outer");
        assert_eq!(told.await, Ok((true, true)), "the flags, without a poll");
        log.is(&["entered"]);
    });
}

/// The same for a task spawned into a group whose outer scope is cancelled.
#[test]
fn c04_child_under_a_cancelled_scope_is_born_cancelled() {
    both(|| async {
        let (control, controls) = counted(async {});
        let (work, counts) = counted(async {});
        let outer = Scope::new();
        let handle = outer.handle();
        let outcome = outer.run(TaskGroup::<BoxError>::new().run(async move |g| {
            g.spawn(control).await?;
            handle.cancel();
            let child = g.spawn(work);
            assert!(g.handle().is_cancelled());
            child.await?;
            panic!("left above");
            #[allow(unreachable_code)]
            Ok(())
        }));
        assert!(outcome.await.is_err());
        assert_eq!(controls.polls(), 1);
        assert_eq!((counts.polls(), counts.drops()), (0, 1));
    });
}

#[test]
fn c05_dropping_an_intermediate_handle_cuts_nobody_off() {
    #[cancellable]
    async fn three_levels(here: oneshot::Sender<()>, log: Log) {
        let middle = Scope::new().name("middle");
        drop(middle.handle());
        let left = log.clone();
        let ended = middle.run(async move {
            let inner = Scope::new().name("inner");
            let handle = inner.handle();
            drop(handle.clone());
            drop(handle);
            let grandchild = async move {
                let _mark = left.mark("grandchild");
                here.send(()).unwrap();
                pending::<()>().await;
            };
            inner.run(grandchild).await.ok();
        });
        ended.await.ok();
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let left = cancel_at(Scope::new().name("outer"), |here| {
            three_levels(here, log.clone())
        });
        assert_eq!(left.await.unwrap_err().scope(), "outer");
        log.is(&["drop grandchild"]);
    });
}

#[test]
fn c06_dropping_a_handle_is_no_cancel() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let (open, gate) = oneshot::channel::<u32>();
        let mut run = Driven::new(scope.run(async move {
            let got = gate.await.unwrap();
            taskscope::checkpoint().await;
            got
        }));
        run.pending();
        drop(handle.clone());
        drop(handle);
        run.pending();
        open.send(5).unwrap();
        assert_eq!(run.finish().unwrap(), 5);

        // Nor of a task: the group owns it.
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (open, gate) = oneshot::channel::<()>();
            let done = log.clone();
            drop(g.spawn(async move {
                gate.await.unwrap();
                taskscope::checkpoint().await;
                done.add("the task ended");
            }));
            drop(g.handle());
            tokio::task::yield_now().await;
            open.send(()).unwrap();
            Ok(())
        });
        group.await.unwrap();
        log.is(&["the task ended"]);

        // The handle of a scope that is gone does no harm.
        let late = {
            let scope = Scope::new();
            let handle = scope.handle();
            scope.run(async {}).await.unwrap();
            handle
        };
        assert!(!late.is_cancelled());
        late.cancel();
    });
}

#[test]
fn c07_sibling_groups_are_independent() {
    both(|| async {
        let (ended, second_ended) = oneshot::channel();
        let first = TaskGroup::<BoxError>::new().run(async |g| {
            let tasks: Vec<_> = (1..=5)
                .map(|i| {
                    g.spawn(async move {
                        tokio::task::yield_now().await;
                        Value(i)
                    })
                })
                .collect();
            second_ended.await?;
            let mut sum = 0;
            for task in tasks {
                sum += task.await?;
            }
            taskscope::checkpoint().await;
            Ok(sum)
        });
        let second = async {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let task = g.spawn(pending::<()>());
                g.cancel();
                Ok(task)
            });
            let left = group.await.unwrap().await;
            assert!(matches!(left, Err(TaskError::Cancelled(_))), "{left:?}");
            ended.send(()).unwrap();
        };
        let (first, ()) = futures::join!(first, second);
        assert_eq!(first.unwrap(), 15);
    });
}

#[test]
fn c12_cancel_is_forwarded_to_a_group_that_only_waits() {
    #[cancellable]
    async fn grandchild(log: Log, here: oneshot::Sender<()>) {
        defer! {
            tokio::task::yield_now().await;
            log.add("grandchild cleaned up");
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        let log = Log::new();
        let outer = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, reached) = oneshot::channel();
            let inner = log.clone();
            let child = g.spawn(async move {
                let nested = TaskGroup::<BoxError>::new().run(async |g| {
                    g.spawn(grandchild(inner.clone(), here));
                    Ok(()) // from here on it only waits
                });
                nested.await.ok();
                inner.add("never");
            });
            reached.await?;
            g.cancel();
            drop(child);
            log.add("body ends");
            Ok("outcome")
        });
        assert_eq!(outer.await.unwrap(), "outcome");
        log.add("outer group returned");
        assert!(log.at("grandchild cleaned up") < log.at("outer group returned"));
        assert!(!log.has("never"));
    });
}

/// Each task has a scope with its own deadline, and that is what it sees,
/// wherever it runs and whoever ran there before.
#[test]
fn c14_ambient_scope_follows_a_task_across_workers() {
    const TASKS: u64 = 100;
    const YIELDS: u64 = 100;

    #[cancellable]
    async fn task(own: Instant) {
        for _ in 0..YIELDS {
            taskscope::checkpoint().await;
            assert_eq!(taskscope::deadline(), Some(own));
            tokio::task::yield_now().await;
            assert_eq!(taskscope::deadline(), Some(own));
        }
    }

    both(|| async {
        let base = Instant::now() + Duration::from_secs(3600);
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            for i in 0..TASKS {
                let own = base + Duration::from_secs(i);
                g.spawn(async move { Scope::new().deadline(own).run(task(own)).await });
            }
            Ok(())
        });
        group.await.unwrap();
    });
}

#[test]
fn c15_ambient_scope_is_not_visible_to_other_tasks() {
    async fn sees_nothing(rounds: usize) {
        for _ in 0..rounds {
            assert_eq!(taskscope::deadline(), None);
            assert!(!taskscope::is_cancelled());
            taskscope::checkpoint().await;
            tokio::task::yield_now().await;
        }
    }

    #[cancellable]
    async fn waits_in_a_cancelled_scope(handle: CancelHandle, open: oneshot::Sender<()>) {
        defer! {
            // Cancelled from here on, and long enough for others to be polled
            // between our polls.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        handle.cancel();
        open.send(()).unwrap();
        taskscope::checkpoint().await;
    }

    one_worker(|| async {
        let scope = Scope::new().timeout(Duration::from_secs(3600));
        let handle = scope.handle();
        let (open, opened) = oneshot::channel();
        // Spawned by tokio, from inside the scope: it belongs to nobody.
        let foreign = tokio::spawn(async move {
            opened.await.unwrap();
            sees_nothing(50).await;
        });
        let left = scope
            .run(async move {
                assert!(
                    taskscope::deadline().is_some(),
                    "control: inside, it is seen"
                );
                let spawned_inside = tokio::spawn(sees_nothing(50));
                waits_in_a_cancelled_scope(handle, open).await;
                spawned_inside.await.unwrap();
            })
            .await;
        assert!(left.is_err());
        sees_nothing(2).await;
        foreign.await.unwrap();
    });
}

/// Nor after the task has ended, whatever way, on the same thread.
#[test]
fn c15_nothing_stays_behind_on_the_thread() {
    async fn clean() {
        assert_eq!(taskscope::deadline(), None);
        assert!(!taskscope::is_cancelled());
    }

    one_worker(|| async {
        let long = Duration::from_secs(3600);
        taskscope::timeout(long, async {}).await.unwrap();
        clean().await;

        let left = cancel_at(Scope::new().timeout(long), |here| async move {
            here.send(()).unwrap();
            pending::<()>().await;
        });
        assert!(left.await.is_err());
        clean().await;

        let panicked = taskscope_tests::caught(taskscope::timeout(long, async {
            assert!(taskscope::deadline().is_some());
            panic!("on purpose");
        }));
        assert!(panicked.await.is_err());
        clean().await;

        // Pending, and dropped from outside.
        let mut run = Driven::new(taskscope::timeout(long, pending::<()>()));
        run.pending();
        clean().await;
        drop(run);
        clean().await;

        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn(async {});
            g.spawn(pending::<()>()).cancel();
            Ok(())
        });
        group.await.unwrap();
        tokio::spawn(clean()).await.unwrap();
    });
}

/// Nor to the locals of a body that is dropped because it was left.
#[test]
fn c15_locals_are_dropped_outside_of_the_scope() {
    struct Asks(Log);

    impl Drop for Asks {
        fn drop(&mut self) {
            let (cancelled, deadline) = (taskscope::is_cancelled(), taskscope::deadline());
            self.0.add(format!("{cancelled} {}", deadline.is_some()));
        }
    }

    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        let _in_the_frame = Asks(log.clone());
        defer! { log.add("cleanup"); }
        let _in_the_body = Asks(log.clone());
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new().timeout(Duration::from_secs(3600));
        assert!(
            cancel_at(scope, |here| body(log.clone(), here))
                .await
                .is_err()
        );
        log.is(&["false false", "cleanup", "false false"]);

        // Control: inside, both are seen.
        let log = Log::new();
        let scope = Scope::new().timeout(Duration::from_secs(3600));
        let handle = scope.handle();
        let seen = log.clone();
        let value = scope.run(async move {
            handle.cancel();
            drop(Asks(seen));
        });
        assert!(value.await.is_ok());
        log.is(&["true true"]);
    });
}

#[test]
fn c16_supervisor_leaves_siblings_and_body_alone() {
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                let (open, gate) = oneshot::channel::<()>();
                let sibling = g.spawn(async move {
                    gate.await?;
                    taskscope::checkpoint().await;
                    Ok::<_, oneshot::error::RecvError>("active")
                });
                let failing = g.spawn_named("failing", async {
                    Err::<(), BoxError>("on purpose".into())
                });
                let failed = failing.await;
                assert!(matches!(failed, Err(TaskError::Failed)), "{failed:?}");
                taskscope::checkpoint().await;
                assert!(!taskscope::is_cancelled());
                open.send(()).unwrap();
                log.add(sibling.await?);
                log.add("OK");
                Ok("OK")
            });
        let outcome = group.await;
        log.is(&["active", "OK"]);
        // It did fail, and says who did.
        let failed = outcome.unwrap_err();
        assert_eq!(failed.failures().len(), 1);
        assert!(failed.to_string().contains("failing"), "{failed}");
    });
}
