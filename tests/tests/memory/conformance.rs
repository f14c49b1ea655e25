//! Conformance, N: what stays behind in memory.

use std::future::pending;
use std::sync::{Arc, Weak};
use std::task::{Context, Wake, Waker};

use taskscope::{
    BoxError, Cancelled, GroupError, OnFailure, Scope, TaskGroup, Value, cancellable, defer, shield,
};
use taskscope_tests::{Driven, both, paused_once};
use tokio::sync::oneshot;

use crate::counting::{allocations, allocations_in, alone, live};

/// A waker that does nothing: how many clones there are shows who keeps it.
struct Noted;

impl Wake for Noted {
    fn wake(self: Arc<Self>) {}
}

/// Polls once, with a waker that must be noted while it waits and forgotten
/// when it is dropped.
#[track_caller]
fn forgets_its_waker<F: Future>(future: F) {
    let noted = Arc::new(Noted);
    let waker = Waker::from(noted.clone());
    let mut future = Box::pin(future);
    let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    drop(waker);
    assert!(Arc::strong_count(&noted) > 1, "control: it is noted");
    drop(future);
    assert_eq!(Arc::strong_count(&noted), 1, "it is still noted");
}

#[test]
fn n01_dropped_waits_leave_no_waiter() {
    let _alone = alone();
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let inside = handle.clone();
        let run = scope.run(async move {
            forgets_its_waker(taskscope::cancelled());
            forgets_its_waker(taskscope::stopping());
            forgets_its_waker(inside.cancelled());
        });
        forgets_its_waker(handle.cancelled());
        forgets_its_waker(handle.stopping());
        run.await.unwrap();

        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            let held = g.reserve().await;
            forgets_its_waker(g.reserve());
            forgets_its_waker(Scope::new().run(g.reserve()));
            drop(held);
            // Nobody stands in front.
            drop(Driven::new(g.reserve()).finish());
            Ok(())
        });
        group.await.unwrap();
    });
}

/// Nor does a wait that was cancelled, or a scope that has ended.
#[test]
fn n01_ended_waits_leave_no_waiter() {
    let _alone = alone();
    both(|| async {
        let noted = Arc::new(Noted);
        let waker = Waker::from(noted.clone());
        let mut cx = Context::from_waker(&waker);
        let outer = Scope::new();
        let watched = outer.handle();
        let inner = Scope::new();
        let cancel = inner.handle();
        let mut run = Box::pin(inner.run(async { watched.cancelled().await }));
        assert!(run.as_mut().poll(&mut cx).is_pending());
        cancel.cancel();
        assert!(run.as_mut().poll(&mut cx).is_ready());
        drop((run, waker));
        // The scope that was watched is alive.
        assert_eq!(Arc::strong_count(&noted), 1);
        drop((cancel, outer));
    });
}

const MANY: usize = if cfg!(debug_assertions) {
    2_000
} else {
    10_000
};

/// Live bytes after `rounds` are those before, give or take a constant.
async fn stays_flat<F: Future<Output = ()>>(rounds: usize, round: impl Fn() -> F) {
    const SLACK: isize = 64 * 1024;

    for _ in 0..1000 {
        round().await;
    }
    let before = live();
    for _ in 0..rounds {
        round().await;
    }
    let grown = live() - before;
    assert!(grown < SLACK, "grew by {grown} bytes");
}

#[test]
fn n02_million_short_scopes_leave_nothing_behind() {
    let _alone = alone();
    both(|| async {
        // Control: what is kept is counted. (Less what other threads free.)
        let before = live();
        let kept = vec![0_u8; 1 << 20];
        assert!(live() - before > 1 << 19);
        drop(kept);

        let run = Scope::new().run(async {
            // A million on both runtimes, in a release build.
            stays_flat(MANY * 50, || async {
                Scope::new().run(async {}).await.unwrap();
            })
            .await;
        });
        run.await.unwrap();
    });
}

#[test]
fn n02_many_short_tasks_and_groups_leave_nothing_behind() {
    #[cancellable]
    async fn task() {
        defer! {
            tokio::task::yield_now().await;
        }
        shield(async {}).await;
    }

    let _alone = alone();
    both(|| async {
        let group = TaskGroup::<BoxError>::new().limit(4).run(async |g| {
            stays_flat(MANY / 2, || async {
                g.spawn(task()).await.unwrap();
                let cancelled = g.spawn(pending::<()>());
                cancelled.cancel();
                cancelled.await.unwrap_err();
                drop(g.reserve().await);
            })
            .await;
            stays_flat(MANY / 4, || async {
                let nested = TaskGroup::<BoxError>::new().run(async |g| {
                    g.spawn(task());
                    g.spawn_scoped(task());
                    Ok(())
                });
                nested.await.unwrap();
            })
            .await;
            Ok(())
        });
        group.await.unwrap();
    });
}

/// Scopes that were cancelled or dropped in the middle, too.
#[test]
fn n02_cancelled_and_dropped_scopes_leave_nothing_behind() {
    let _alone = alone();
    both(|| async {
        let run = Scope::new().run(async {
            stays_flat(MANY * 3, || async {
                let scope = Scope::new();
                scope.handle().cancel();
                scope.run(pending::<()>()).await.unwrap_err();
                Driven::new(Scope::new().run(pending::<()>())).pending();
                drop(Scope::new());
            })
            .await;
        });
        run.await.unwrap();
    });
}

/// Nor do a group's failures, once it keeps enough of them, and services that have ended.
#[test]
fn n02_failures_and_ended_services_leave_nothing_behind() {
    let _alone = alone();
    taskscope::set_report_hook(|_| ());
    both(|| async {
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                for _ in 0..64 {
                    g.spawn(async { Err::<(), _>("kept") }).await.ok();
                }
                stays_flat(MANY / 2, || async {
                    g.spawn(async { Err::<(), _>("reported") }).await.ok();
                    g.service(async { Value([0_u8; 4096]) }).await.unwrap();
                    let dropped = TaskGroup::<BoxError>::new().on_failure(OnFailure::Continue);
                    let mut dropped = Driven::new(dropped.run(async |inner| {
                        inner.spawn(async { Err::<(), _>("dropped") }).await.ok();
                        pending::<Result<(), BoxError>>().await
                    }));
                    dropped.pending();
                    tokio::task::yield_now().await;
                    dropped.pending();
                })
                .await;
                Ok(())
            });
        assert_eq!(group.await.unwrap_err().failures().len(), 64);
    });
}

/// Nor does a crowd that was there once.
#[test]
fn n02_a_peak_of_tasks_leaves_no_room_behind() {
    let _alone = alone();
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let once = async || {
                for scoped in [false, true] {
                    let tasks: Vec<_> = (0..10_000)
                        .map(|_| match scoped {
                            false => g.spawn(pending::<()>()),
                            true => g.spawn_scoped(pending::<()>()),
                        })
                        .collect();
                    for task in &tasks {
                        task.cancel();
                    }
                    for task in tasks {
                        task.await.unwrap_err();
                    }
                }
            };
            let before = live();
            once().await;
            while !g.is_empty() {
                tokio::task::yield_now().await;
            }
            let more = live() - before;
            // The room for 10,000 children is 320 kB, twice; tokio keeps a queue of 130 kB.
            assert!(more < 200_000, "{more} bytes more");
            Ok(())
        });
        group.await.unwrap();
    });
}

#[derive(Debug)]
struct Held(#[allow(dead_code)] Arc<()>);

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("held")
    }
}

impl std::error::Error for Held {}

#[test]
fn n04_failed_group_leaves_the_error_to_the_caller_alone() {
    let _alone = alone();
    both(|| async {
        let token = Arc::new(());
        let states = std::sync::Mutex::new(Vec::<Weak<u8>>::new());
        let state = || {
            let state = Arc::new(7_u8);
            states.lock().unwrap().push(Arc::downgrade(&state));
            state
        };
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, parked) = oneshot::channel();
            let kept = state();
            let sibling = g.spawn(async move {
                here.send(()).unwrap();
                pending::<()>().await;
                Value(kept)
            });
            parked.await?;
            let kept = state();
            let error = Held(token.clone());
            let failing = g.spawn(async move {
                tokio::task::yield_now().await;
                drop(kept);
                Err::<(), _>(error)
            });
            let own = state();
            let outcome = (sibling.await, failing.await);
            drop((own, outcome));
            Ok(())
        });
        let failed = group.await.unwrap_err();
        for state in states.lock().unwrap().iter() {
            assert!(state.upgrade().is_none());
        }
        assert_eq!(failed.failures().len(), 1);
        assert_eq!(Arc::strong_count(&token), 2, "ours, and the error's");
        drop(failed);
        assert_eq!(Arc::strong_count(&token), 1);
    });
}

/// A handle that is kept keeps an unread value, and nothing else.
#[test]
fn n04_kept_handles_keep_no_task() {
    let _alone = alone();
    both(|| async {
        let state = Arc::new(());
        let captured = state.clone();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let gone = g.spawn(async move {
                tokio::task::yield_now().await;
                drop(captured);
            });
            let kept = g.spawn(pending::<()>());
            g.cancel();
            Ok([gone, kept])
        });
        let handles = group.await.unwrap();
        assert_eq!(Arc::strong_count(&state), 1);
        drop(handles);
    });
}

const BIG: usize = 1 << 20;

#[test]
fn n05_kept_errors_keep_no_scope_alive() {
    let _alone = alone();

    // The names of all scopes but the outermost are big.
    async fn nested(depth: usize) {
        let scope = Scope::new().name("x".repeat(BIG));
        if depth > 0 {
            scope.run(Box::pin(nested(depth - 1))).await.ok();
        } else {
            scope.run(pending::<()>()).await.ok();
        }
    }

    async fn cancelled() -> Cancelled {
        let scope = Scope::new().name("small");
        let handle = scope.handle();
        let mut run = Driven::new(scope.run(nested(5)));
        let before = live();
        run.pending();
        assert!(live() - before > 5 * BIG as isize, "control: they are big");
        handle.cancel();
        run.finish().unwrap_err()
    }

    async fn failed() -> GroupError {
        let group = TaskGroup::<BoxError>::new().name("small").run(async |g| {
            let (here, reached) = oneshot::channel();
            g.spawn_named("y".repeat(BIG), async move {
                let mut parked = Box::pin(nested(2));
                let first = futures::poll!(&mut parked);
                here.send(first.is_pending()).unwrap();
                parked.await;
            });
            assert!(reached.await?);
            g.spawn_named("fails", async { Err::<(), _>("small") });
            Ok(())
        });
        group.await.unwrap_err()
    }

    both(|| async {
        drop((cancelled().await, failed().await));
        let before = live();
        let kept = cancelled().await;
        assert_eq!(kept.scope(), "small");
        let bytes = live() - before;
        drop(kept);
        assert!(bytes < BIG as isize / 2, "keeps {bytes} bytes");

        let before = live();
        let kept = failed().await;
        assert_eq!(kept.failures().len(), 1);
        let bytes = live() - before;
        drop(kept);
        assert!(bytes < BIG as isize / 2, "keeps {bytes} bytes");
    });
}

/// Passing a checkpoint allocates nothing, nor does a shield; a scope allocates
/// its node, and at most its place in the parent; a timeout at most a timer
/// more.
#[test]
fn n08_allocation_budget() {
    const ROUNDS: usize = 1000;

    #[cancellable]
    async fn checkpoints() {
        for _ in 0..ROUNDS {
            taskscope::checkpoint().await;
            std::future::ready(()).await;
            #[checkpoint]
            for i in 0..2 {
                std::hint::black_box(i);
            }
        }
    }

    /// Polls a ready future on this thread, where allocations are counted.
    fn each<F: Future>(make: impl Fn() -> F) -> f64 {
        let mut cx = Context::from_waker(Waker::noop());
        let once = |cx: &mut Context<'_>| {
            let future = std::pin::pin!(make());
            assert!(future.poll(cx).is_ready());
        };
        once(&mut cx);
        let (count, ()) = allocations_in(|| (0..ROUNDS).for_each(|_| once(&mut cx)));
        count as f64 / ROUNDS as f64
    }

    let _alone = alone();
    paused_once(|| async {
        let (control, kept) = allocations_in(|| Box::new(1));
        assert_eq!((control, *kept), (1, 1), "control: allocations are counted");

        let run = Scope::new().run(async {
            let mut inside = std::pin::pin!(checkpoints());
            let mut total = 0;
            // A loop's checkpoints let other tasks run now and then.
            std::future::poll_fn(|cx| {
                let (count, polled) = allocations_in(|| inside.as_mut().poll(cx));
                total += count;
                polled
            })
            .await;
            assert_eq!(total, 0, "a checkpoint allocates");

            let shields = each(|| shield(async {}));
            let scopes = each(|| Scope::new().run(async {}));
            let timeouts = each(|| taskscope::timeout(std::time::Duration::from_secs(1), async {}));
            assert!(shields < 1.0, "a shield allocates {shields} times");
            assert!(scopes <= 2.0, "a scope allocates {scopes} times");
            assert!(timeouts <= 3.0, "a timeout allocates {timeouts} times");
        });
        run.await.unwrap();
    });
}

/// A task: fixed, however many there are.
#[test]
fn n08_allocations_of_a_task() {
    const TASKS: usize = 1000;

    let _alone = alone();
    paused_once(|| async {
        for _ in 0..2 {
            let before = allocations();
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                for _ in 0..TASKS {
                    g.spawn(async {});
                }
                Ok(())
            });
            group.await.unwrap();
            let each = (allocations() - before) as f64 / TASKS as f64;
            assert!(each < 5.0, "a task allocates {each} times");
        }
    });
}
