//! Futures of this crate in the hands of code that knows nothing of it:
//! collections that are polled again after a cancellation, wakers of every
//! legal kind, runtimes that end before the tasks on them.

use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::future::{BoxFuture, join_all};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use taskscope::{
    BoxError, Group, Scope, TaskGroup, blocking, cancellable, defer, join, race, shield,
    sleep_blocking, timeout,
};
use taskscope_tests::{
    Driven, Log, caught, inside, lost_cleanups, moving_waker, paused, paused_once, text_of,
    watch_reports, watched,
};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::oneshot;

// --- Collections that are polled again -------------------------------------

#[cancellable]
async fn guarded() {
    defer! { tokio::task::yield_now().await; }
    pending::<()>().await;
}

type Construct = fn() -> BoxFuture<'static, ()>;

/// Every construct that stays behind, suspended for good, once it was unwound.
fn constructs() -> Vec<(&'static str, Construct)> {
    vec![
        ("defer", || guarded().boxed()),
        ("scope", || {
            Scope::new().run(pending::<()>()).map(drop).boxed()
        }),
        ("timeout", || {
            timeout(Duration::from_secs(3600), guarded())
                .map(drop)
                .boxed()
        }),
        ("group", || {
            TaskGroup::<BoxError>::new()
                .run(async |g| {
                    g.spawn(guarded());
                    pending().await
                })
                .map(drop::<Result<(), _>>)
                .boxed()
        }),
        ("join", || {
            async {
                join!(guarded(), pending::<()>());
            }
            .boxed()
        }),
        ("race", || {
            async {
                race! {
                    () = guarded() => {}
                    () = pending() => {}
                }
            }
            .boxed()
        }),
        ("blocking", || {
            blocking(|| sleep_blocking(Duration::from_secs(3600)))
                .map(drop)
                .boxed()
        }),
        ("solo branch", || solo().boxed()),
        ("nested", || nested().boxed()),
    ]
}

#[cancellable]
async fn solo() {
    tokio::join!(guarded(), pending::<()>());
}

#[cancellable]
async fn nested() {
    defer! { tokio::task::yield_now().await; }
    Scope::new().run(guarded()).await.ok();
    unreachable!("cancelled in the scope inside");
}

fn named(text: &str) -> bool {
    text.contains("is polled again") && text.contains("foreign.rs:")
}

#[test]
fn what_was_unwound_inside_a_collection_panics_when_it_is_polled_outside() {
    for (name, construct) in constructs() {
        paused_once(async move || {
            let mut all: FuturesUnordered<_> = (0..3).map(|_| construct()).collect();
            cancelled_while_pending(all.next()).await;
            let again = timeout_of_tokio(caught(all.next())).await;
            let panic = again.unwrap_or_else(|()| panic!("{name}: waits for ever"));
            let text = panic.map_or_else(|panic| text_of(&*panic), |_| "a value".to_owned());
            assert!(named(&text), "{name}: {text}");
        });
    }
}

#[test]
fn what_was_unwound_inside_a_large_join_all_panics_when_it_is_polled_outside() {
    for (name, construct) in constructs() {
        paused_once(async move || {
            let mut all = pin!(join_all((0..40).map(|_| construct())));
            cancelled_while_pending(&mut all).await;
            let again = timeout_of_tokio(caught(all)).await;
            let panic = again.unwrap_or_else(|()| panic!("{name}: waits for ever"));
            let text = panic.map_or_else(|panic| text_of(&*panic), |_| "a value".to_owned());
            assert!(named(&text), "{name}: {text}");
        });
    }
}

/// Cancels a scope in which `future` has been polled, and waits for it.
async fn cancelled_while_pending<F: Future>(future: F) {
    let scope = Scope::new();
    let handle = scope.handle();
    let cancelling = async {
        tokio::task::yield_now().await;
        handle.cancel();
    };
    let (result, ()) = futures::join!(scope.run(future), cancelling);
    assert!(result.is_err());
}

/// On a paused clock this is over as soon as nothing is ready to run.
async fn timeout_of_tokio<F: Future>(future: F) -> Result<F::Output, ()> {
    let limit = tokio::time::timeout(Duration::from_secs(600), future);
    limit.await.map_err(drop)
}

// --- Wakers ----------------------------------------------------------------

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls with one waker, drops it, and polls with another that lies, as far as
/// the allocator plays along, at the same address.
fn poll_with_two(future: Pin<&mut dyn Future<Output = ()>>) -> [Arc<Wakes>; 2] {
    let mut future = future;
    let wakes: [Arc<Wakes>; 2] = Default::default();
    for target in &wakes {
        let waker = moving_waker(target.clone().into());
        let polled = future.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    wakes
}

#[test]
fn a_cancellation_wakes_the_latest_waker_also_where_clones_lie_elsewhere() {
    watched(|| {
        for _ in 0..50 {
            let scope = Scope::new();
            let handle = scope.handle();
            let running = pin!(scope.run(pending::<()>()).map(drop));
            let [_, latest] = poll_with_two(running);
            handle.cancel();
            assert!(latest.count() > 0, "the wake was lost");
        }
    });
}

#[test]
fn every_wait_wakes_its_latest_waker_also_where_clones_lie_elsewhere() {
    paused_once(async || {
        for _ in 0..50 {
            let scope = Scope::new();
            let handle = scope.handle();
            let other = handle.clone();
            let [_, stopping] = poll_with_two(pin!(async { other.stopping().await }));
            // Dropped by now, it is not there to be woken.
            assert_eq!(stopping.count(), 0);

            let mut waiting = pin!(handle.stopping());
            let [_, latest] = poll_with_two(waiting.as_mut());
            handle.stop();
            assert!(latest.count() > 0, "`stopping` was not woken");

            let (tell, told) = oneshot::channel::<()>();
            let mut group = pin!(
                TaskGroup::<BoxError>::new()
                    .run(async |g| {
                        g.spawn(async { drop(told.await) }).await?;
                        Ok(())
                    })
                    .map(drop)
            );
            let [_, latest] = poll_with_two(group.as_mut());
            tell.send(()).unwrap();
            tokio::task::yield_now().await;
            assert!(latest.count() > 0, "the group was not woken");
        }
    });
}

/// Panics when it is called.
struct Bomb;

impl Wake for Bomb {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("a waker"));
    }
}

#[test]
fn a_waker_that_panics_keeps_a_cancellation_from_nobody() {
    paused_once(async || {
        let scope = Scope::new();
        let handle = scope.handle();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            for _ in 0..300 {
                g.spawn(pending::<()>());
            }
            pending::<()>().await;
            Ok(())
        });
        let mut running = pin!(scope.run(group));
        let bomb = Waker::from(Arc::new(Bomb));
        assert!(
            running
                .as_mut()
                .poll(&mut Context::from_waker(&bomb))
                .is_pending()
        );
        tokio::task::yield_now().await;

        let panic = caught(async { handle.cancel() }).await.unwrap_err();
        assert_eq!(text_of(&*panic), "a waker");
        // Not by the waker: that one panics.
        let ended = timeout_of_tokio(running)
            .await
            .expect("a task was not reached");
        assert!(ended.is_err());
    });
}

/// Waits by a waker that nobody else has.
struct Alone<F>(Pin<Box<F>>, Waker);

impl<F: Future> Future for Alone<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        this.0.as_mut().poll(&mut Context::from_waker(&this.1))
    }
}

#[test]
fn many_gates_with_wakers_of_their_own_are_all_woken_at_the_end() {
    paused_once(async || {
        const MANY: usize = 500;
        let wakes: Vec<Arc<Wakes>> = (0..MANY).map(|_| Arc::default()).collect();
        let scope = Scope::new();
        let handle = scope.handle();
        let mut gates: Vec<_> = wakes
            .iter()
            .map(|wakes| {
                Alone(
                    Box::pin(taskscope::checkpoint()),
                    moving_waker(wakes.clone().into()),
                )
            })
            .collect();
        let body = std::future::poll_fn(|cx| {
            for gate in &mut gates {
                let _ = Pin::new(gate).poll(cx);
            }
            Poll::<()>::Pending
        });
        handle.cancel();
        scope.run(body).await.unwrap_err();
        assert!(
            wakes.iter().all(|wakes| wakes.count() > 0),
            "a gate was left without a wake"
        );
    });
}

// --- Panics through a shield -----------------------------------------------

async fn panics_later() {
    tokio::task::yield_now().await;
    panic!("inside the shield");
}

#[test]
fn a_panic_in_a_shield_is_no_lost_cleanup() {
    watch_reports();
    paused(async || {
        type Make = fn(&'static str) -> BoxFuture<'static, ()>;
        let nestings: [Make; 4] = [
            |name| {
                let scope = Scope::new().name(name);
                scope.run(shield(panics_later())).map(drop).boxed()
            },
            |name| {
                let scope = Scope::new().name(name);
                scope
                    .run(async {
                        join!(shield(panics_later()), pending::<()>());
                    })
                    .map(drop)
                    .boxed()
            },
            |name| {
                TaskGroup::<BoxError>::new()
                    .name(name)
                    .run(async |g| {
                        g.spawn(shield(panics_later()));
                        pending().await
                    })
                    .map(drop::<Result<(), _>>)
                    .boxed()
            },
            |name| {
                let scope = Scope::new().name(name);
                scope
                    .run(shield(shield(async { panics_later().await })))
                    .map(drop)
                    .boxed()
            },
        ];
        for nesting in nestings {
            let panic = caught(nesting("shield that panics")).await.unwrap_err();
            assert_eq!(text_of(&*panic), "inside the shield");
        }
        assert_eq!(lost_cleanups("shield that panics").len(), 0);
    });
}

#[test]
fn a_shield_that_another_branch_panics_over_is_a_lost_cleanup() {
    watch_reports();
    paused_once(async || {
        let scope = Scope::new().name("shield dropped by a panic");
        let body = async {
            futures::join!(shield(pending::<()>()), panics_later());
        };
        caught(scope.run(body)).await.unwrap_err();
        assert_eq!(lost_cleanups("shield dropped by a panic").len(), 1);
    });
}

// --- Runtimes that end first -----------------------------------------------

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn run_until_idle(runtime: &Runtime) {
    runtime.block_on(async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    });
}

/// Drops a group while a task of it, on another runtime, is in a shield.
async fn drop_a_group(runtime: &Handle) {
    let (tell, told) = oneshot::channel();
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        g.spawn(shield(async move {
            tell.send(()).unwrap();
            pending::<()>().await;
        }));
        pending::<()>().await;
        Ok(())
    });
    let mut group = pin!(inside(runtime, group));
    assert!(futures::poll!(group.as_mut()).is_pending());
    told.await.unwrap();
}

/// How the task that drops a group is spawned into its own one.
type Spawn = fn(&Group<'static, BoxError>, BoxFuture<'static, ()>);

fn spawns() -> [Spawn; 3] {
    [
        |g, task| drop(g.spawn(task)),
        |g, task| drop(g.spawn_shielded(task)),
        |g, task| drop(g.service(task)),
    ]
}

/// A group with a task in which a group was dropped that still has a task. The
/// outer task and the inner one live on runtimes of their own.
fn group_in_group(
    outer: &Handle,
    inner: &Handle,
    spawn: Spawn,
) -> impl Future<Output = Result<(), String>> + use<> {
    let (outer, inner) = (outer.clone(), inner.clone());
    let group = TaskGroup::<BoxError>::new().run(async move |g| {
        let task = async move {
            drop_a_group(&inner).await;
            pending::<()>().await;
        };
        spawn(&g, task.boxed());
        pending::<()>().await;
        Ok(())
    });
    async move {
        let result = inside(&outer, group).await;
        result.map_err(|error| error.to_string())
    }
}

#[test]
fn a_group_returns_when_its_tasks_go_with_their_runtimes_in_any_order() {
    watched(|| {
        for (spawn, outer_first) in spawns().into_iter().flat_map(|s| [(s, true), (s, false)]) {
            let (outer, inner) = (runtime(), runtime());
            let group = group_in_group(outer.handle(), inner.handle(), spawn);
            let mut group = Driven::new(group);
            group.pending();
            for _ in 0..3 {
                run_until_idle(&outer);
                run_until_idle(&inner);
            }
            group.pending();
            let (first, second) = if outer_first {
                (outer, inner)
            } else {
                (inner, outer)
            };
            drop(first);
            drop(second);
            let error = group.finish().expect_err("a task went with its runtime");
            assert!(error.contains("aborted"), "{error}");
        }
    });
}

// --- Futures that outlive the scope in which they were polled ---------------

/// Polls once, in a scope of its own that then ends.
async fn begin_in_a_scope<F: Future>(mut future: Pin<&mut F>) {
    let scope = Scope::new().run(async {
        assert!(futures::poll!(future.as_mut()).is_pending());
    });
    scope.await.unwrap();
}

#[test]
fn a_group_that_is_dropped_after_the_scope_it_was_begun_in_is_waited_for_by_the_next_one() {
    paused(async || {
        let log = Log::new();
        let scope = Scope::new().run(async {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let log = log.clone();
                g.spawn(shield(async move {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    log.add("task");
                }));
                pending::<()>().await;
                Ok(())
            });
            let mut group = pin!(group);
            begin_in_a_scope(group.as_mut()).await;
            tokio::task::yield_now().await;
        });
        scope.await.unwrap();
        log.is(&["task"]);
    });
}

#[test]
fn a_group_that_a_task_has_begun_and_given_away_is_waited_for_by_the_tasks_group() {
    paused(async || {
        let log = Log::new();
        let outer = TaskGroup::<BoxError>::new().run(async |g| {
            let log = log.clone();
            let (give, taken) = oneshot::channel();
            g.spawn(async move {
                let group = TaskGroup::<BoxError>::new().run(async move |g| {
                    g.spawn(shield(async move {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        log.add("task");
                    }));
                    pending::<()>().await;
                    Ok(())
                });
                let mut group = Box::pin(group);
                assert!(futures::poll!(group.as_mut()).is_pending());
                tokio::task::yield_now().await;
                drop(give.send(group));
            });
            drop(taken.await);
            Ok(())
        });
        outer.await.unwrap();
        log.is(&["task"]);
    });
}
