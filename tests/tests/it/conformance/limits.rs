//! Conformance, J: the limit of a group, and its permits.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use taskscope::{BoxError, CancelHandle, Group, Scope, TaskError, TaskGroup, Value, shield};
use taskscope_tests::{Driven, Log, both, counted, one_worker};
use tokio::sync::oneshot;

fn is_cancelled<T>(outcome: &Result<T, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::Cancelled(_)))
}

/// Exactly `limit` places are free: as many permits are to be had, and no more.
async fn assert_free(g: &Group<'_>, limit: usize) {
    let mut permits = Vec::new();
    for _ in 0..limit {
        // A task's handle may be ready a moment before its place is free.
        permits.push(g.reserve().await);
    }
    Driven::new(g.reserve()).pending();
}

#[derive(Clone, Default)]
struct Active {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    ran: Arc<AtomicUsize>,
}

impl Active {
    async fn work(self) {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.ran.fetch_add(1, Ordering::SeqCst);
        self.now.fetch_sub(1, Ordering::SeqCst);
    }

    fn check(&self, limit: usize, ran: usize) {
        assert_eq!(self.ran.load(Ordering::SeqCst), ran);
        assert_eq!(self.now.load(Ordering::SeqCst), 0);
        let most = self.most.load(Ordering::SeqCst);
        assert!(most <= limit, "{most} at the same time");
        // Control: not one by one, either.
        assert!(most > 1, "{most} at the same time");
    }
}

#[test]
fn j01_never_more_than_the_limit() {
    const LIMIT: usize = 10;

    both(|| async {
        let active = Active::default();
        let group = TaskGroup::<BoxError>::new().limit(LIMIT).run(async |g| {
            for _ in 0..1000 {
                g.spawn(active.clone().work());
            }
            Ok(())
        });
        group.await.unwrap();
        active.check(LIMIT, 1000);
    });
}

/// Through permits, which keep memory small too.
#[test]
fn j01_never_more_than_the_limit_with_permits() {
    const LIMIT: usize = 10;

    both(|| async {
        let active = Active::default();
        let group = TaskGroup::<BoxError>::new().limit(LIMIT).run(async |g| {
            for _ in 0..1000 {
                g.reserve().await.spawn(active.clone().work());
                assert!(g.len() <= LIMIT + 1, "{} spawned", g.len());
            }
            Ok(())
        });
        group.await.unwrap();
        active.check(LIMIT, 1000);
    });
}

#[test]
fn j02_reserve_shows_a_full_group_and_a_free_place() {
    const LIMIT: usize = 42;

    both(|| async {
        let group = TaskGroup::<BoxError>::new().limit(LIMIT).run(async |g| {
            let mut tasks = Vec::new();
            for _ in 0..LIMIT {
                let permit = Driven::new(g.reserve()).finish();
                let (open, gate) = oneshot::channel::<()>();
                let task = permit.spawn(async move { gate.await.map_err(BoxError::from) });
                tasks.push((open, task));
            }
            let mut full = Driven::new(g.reserve());
            full.pending();
            assert_eq!(full.wakes(), 0);

            let (open, task) = tasks.pop().unwrap();
            open.send(()).unwrap();
            task.await?;
            let permit = full.finish_yielding().await;
            assert_eq!(full.wakes(), 1);
            Driven::new(g.reserve()).pending();
            drop(permit);
            drop(Driven::new(g.reserve()).finish());

            for (open, _) in tasks {
                open.send(()).unwrap();
            }
            Ok(())
        });
        group.await.unwrap();
    });
}

/// Without a limit there is always a place.
#[test]
fn j02_reserve_without_a_limit() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let mut permits = Vec::new();
            for _ in 0..1000 {
                permits.push(Driven::new(g.reserve()).finish());
            }
            assert!(g.is_empty(), "a permit is no task");
            Ok(permits.pop().unwrap().spawn(async { Value(1) }).await?)
        });
        assert_eq!(group.await.unwrap(), 1);
    });
}

#[test]
fn j03_limit_one_runs_in_spawn_order() {
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            for i in 0..50 {
                let log = log.clone();
                g.spawn(async move {
                    log.add(format!("{i} begins"));
                    tokio::task::yield_now().await;
                    log.add(format!("{i} ends"));
                });
            }
            Ok(())
        });
        group.await.unwrap();
        let expected: Vec<_> = (0..50)
            .flat_map(|i| [format!("{i} begins"), format!("{i} ends")])
            .collect();
        assert_eq!(log.entries(), expected);
    });
}

/// Waiting for a permit and waiting as a spawned task is one queue.
#[test]
fn j03_spawned_and_reserved_wait_in_one_queue() {
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            let entry = |name: &'static str| {
                let log = log.clone();
                async move { log.add(name) }
            };
            let permit = g.reserve().await;
            g.spawn(entry("first"));
            let mut second = Driven::new(g.reserve());
            second.pending();
            let third = g.spawn(entry("third"));
            permit.spawn(entry("holder"));
            second.finish_yielding().await.spawn(entry("second"));
            third.await?;
            Ok(())
        });
        group.await.unwrap();
        log.is(&["holder", "first", "second", "third"]);
    });
}

#[test]
fn j04_queued_children_of_a_cancelled_group_finish_at_once() {
    both(|| async {
        let log = Log::new();
        let (control, control_counts) = counted(async {});
        let (queued, counts): (Vec<_>, Vec<_>) = (0..10).map(|_| counted(async {})).unzip();
        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            g.spawn(control).await?;
            let (here, reached) = oneshot::channel();
            let (open, gate) = oneshot::channel::<()>();
            let holds = log.clone();
            g.spawn(shield(async move {
                here.send(()).unwrap();
                gate.await.unwrap();
                holds.add("the place is free");
            }));
            reached.await?;
            let queued: Vec<_> = queued.into_iter().map(|work| g.spawn(work)).collect();
            assert_eq!(g.len(), 11);
            g.cancel();
            // Their outcomes are there while the place is still taken.
            shield(async {
                for task in queued {
                    let outcome = task.await;
                    assert!(is_cancelled(&outcome), "{outcome:?}");
                }
            })
            .await;
            log.add("all queued ones are gone");
            open.send(()).unwrap();
            Ok(())
        });
        group.await.unwrap();
        log.is(&["all queued ones are gone", "the place is free"]);
        assert_eq!(control_counts.polls(), 1);
        for counts in counts {
            assert_eq!((counts.polls(), counts.drops()), (0, 1));
        }
    });
}

/// Who waits for a permit does not wait on, nor does its task run.
#[test]
fn j04_reserve_in_a_cancelled_group_does_not_wait() {
    both(|| async {
        let (late, counts) = counted(async {});
        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            let held = g.reserve().await;
            let mut waits = Driven::new(g.reserve());
            waits.pending();
            g.cancel();
            let permit = waits.finish();
            let outcome = shield(permit.spawn(late)).await;
            assert!(is_cancelled(&outcome), "{outcome:?}");
            drop(Driven::new(g.reserve()).finish());
            drop(held);
            Ok(())
        });
        group.await.unwrap();
        assert_eq!((counts.polls(), counts.drops()), (0, 1));
    });
}

#[test]
fn j07_cancelling_who_waits_for_a_permit_loses_none() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().limit(2).run(async |g| {
            let held = [g.reserve().await, g.reserve().await];

            // A queued task, cancelled by its handle.
            let (queued, counts) = counted(async {});
            let queued = g.spawn(queued);
            assert!(queued.cancel());
            let outcome = queued.await;
            assert!(is_cancelled(&outcome), "{outcome:?}");
            assert_eq!((counts.polls(), counts.drops()), (0, 1));

            // A `reserve` in a scope that is cancelled.
            let scope = Scope::new();
            let handle = scope.handle();
            let mut waits = Driven::new(scope.run(g.reserve()));
            waits.pending();
            handle.cancel();
            assert!(waits.finish().is_err());

            // A `reserve` that is dropped.
            let mut waits = Driven::new(g.reserve());
            waits.pending();
            drop(waits);

            // Nobody stands in front of the next one.
            let mut next = Driven::new(g.reserve());
            next.pending();
            let [one, other] = held;
            drop(one);
            drop(next.finish());
            drop(other);
            assert_free(&g, 2).await;
            Ok(())
        });
        group.await.unwrap();
    });
}

#[test]
fn j09_permit_handed_to_a_cancelled_waiter_comes_back() {
    one_worker(|| async {
        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            // A `reserve` that was woken with the permit, and is dropped.
            let held = g.reserve().await;
            let mut waits = Driven::new(g.reserve());
            waits.pending();
            drop(held);
            assert_eq!(waits.wakes(), 1, "the permit was handed over");
            Driven::new(g.reserve()).pending();
            drop(waits);
            drop(Driven::new(g.reserve()).finish());

            // The same in a cancelled scope.
            let held = g.reserve().await;
            let scope = Scope::new();
            let handle = scope.handle();
            let mut waits = Driven::new(scope.run(g.reserve()));
            waits.pending();
            drop(held);
            assert_eq!(waits.wakes(), 1, "the permit was handed over");
            handle.cancel();
            // Ready when polled: the permit is passed out, or given back.
            drop(waits.finish());
            assert_free(&g, 1).await;

            // A queued task that is cancelled before it can run.
            let held = g.reserve().await;
            let (queued, counts) = counted(pending::<()>());
            let queued = g.spawn(queued);
            tokio::task::yield_now().await;
            assert_eq!(counts.polls(), 0, "it is queued");
            drop(held);
            assert!(queued.cancel());
            let outcome = queued.await;
            assert!(is_cancelled(&outcome), "{outcome:?}");
            assert_eq!((counts.polls(), counts.drops()), (0, 1));
            assert_free(&g, 1).await;

            // Control: one that is not cancelled does run.
            let held = g.reserve().await;
            let (queued, counts) = counted(async {});
            let queued = g.spawn(queued);
            drop(held);
            queued.await?;
            assert_eq!(counts.polls(), 1);
            assert_free(&g, 1).await;
            Ok(())
        });
        group.await.unwrap();
    });
}

#[test]
fn j11_release_racing_with_cancel_keeps_the_count() {
    const ROUNDS: usize = 10_000;

    both(|| async {
        let (cancel, cancels) = mpsc::channel::<CancelHandle>();
        let canceller = std::thread::spawn(move || {
            for handle in cancels {
                handle.cancel();
            }
        });
        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            for round in 0..ROUNDS {
                let held = g.reserve().await;
                let queued = g.spawn(async {});
                let scope = Scope::new();
                let in_scope = scope.handle();
                let mut waits = Driven::new(scope.run(g.reserve()));
                let _ = waits.poll();
                let (first, second) = if round % 2 == 0 {
                    (queued.handle(), in_scope)
                } else {
                    (in_scope, queued.handle())
                };
                cancel.send(first).unwrap();
                cancel.send(second).unwrap();
                drop(held);
                drop(waits.finish_yielding().await);
                let outcome = queued.await;
                assert!(outcome.is_ok() || is_cancelled(&outcome), "{outcome:?}");
                assert_free(&g, 1).await;
            }
            Ok(())
        });
        group.await.unwrap();
        drop(cancel);
        canceller.join().unwrap();
    });
}
