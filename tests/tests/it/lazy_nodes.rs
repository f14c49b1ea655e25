//! Scopes that begin without a node: apart from `tree()`, they are as those that have one from the
//! start.

use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use taskscope::{
    BoxError, Cancelled, Reason, Scope, TaskGroup, cancellable, checkpoint, deadline, defer, join,
    race, shield, timeout, tree,
};
use taskscope_tests::{Driven, Log, both, paused, paused_once, watched};
use tokio::sync::Mutex;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// A timeout that begins without a node, or one that is `made` from the start.
async fn limited<F: Future>(made: bool, limit: Duration, body: F) -> Result<F::Output, Cancelled> {
    let scope = Scope::new().timeout(limit);
    let _handle = made.then(|| scope.handle());
    scope.run(body).await
}

/// The names in the tree below the scope of this name.
fn names_below(top: &str) -> Vec<String> {
    let seen = tree();
    let mut entries = seen.entries().skip_while(|entry| entry.name() != top);
    let depth = entries.next().expect("the scope is in the tree").depth();
    let below = entries.take_while(|entry| entry.depth() > depth);
    below.map(|entry| entry.name().to_owned()).collect()
}

/// Polls `future` once, and returns what another thread then sees below the scope of this name.
fn seen_while_pending(top: &'static str, future: impl Future) -> Vec<String> {
    let mut driven = Driven::new(Scope::new().name(top).run(future));
    driven.pending();
    std::thread::spawn(move || names_below(top)).join().unwrap()
}

#[cancellable]
async fn guarded() {
    defer! { yield_now().await; }
    pending::<()>().await;
}

#[test]
fn it_comes_into_the_tree_with_what_is_inside() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let hour = Duration::from_secs(3600);
    let none: [&str; 0] = [];
    assert_eq!(
        seen_while_pending("lazy: plain", timeout(hour, pending::<()>())),
        none
    );
    assert_eq!(
        seen_while_pending("lazy: nested", async {
            timeout(hour, timeout(hour, pending::<()>())).await
        }),
        none
    );
    assert_eq!(
        seen_while_pending("lazy: joined", async {
            join!(pending::<()>(), timeout(hour, pending::<()>()))
        }),
        none
    );
    assert_eq!(
        seen_while_pending("lazy: raced", async {
            race! { _ = pending::<()>() => {}, _ = sleep(hour) => {} }
        }),
        none
    );
    // What needs a node needs those around it.
    assert_eq!(
        seen_while_pending("lazy: guarded", async {
            timeout(hour, async { join!(guarded(), pending::<()>()) }).await
        }),
        ["timeout", "join!"]
    );
    assert_eq!(
        seen_while_pending("lazy: group", async {
            let group = TaskGroup::<BoxError>::new().name("inside");
            timeout(hour, group.run(async |_| pending::<Result<(), _>>().await)).await
        }),
        ["timeout", "inside"]
    );
    assert_eq!(
        seen_while_pending("lazy: waiting", timeout(hour, taskscope::cancelled())),
        ["timeout"]
    );
}

#[test]
fn who_looks_from_inside_sees_it() {
    paused(|| async {
        let seen = Scope::new()
            .name("lazy: looking")
            .run(async { timeout(SECOND, async { names_below("lazy: looking") }).await });
        assert_eq!(seen.await.unwrap().unwrap(), ["timeout"]);
        assert_eq!(
            Scope::new()
                .name("lazy: looking")
                .run(async { names_below("lazy: looking") })
                .await
                .unwrap(),
            Vec::<String>::new(),
            "nothing is left of it"
        );
    });
}

#[test]
fn its_deadline_is_the_reason() {
    paused(|| async {
        for made in [false, true] {
            let late = Scope::new().run(async {
                let late = limited(made, SECOND, pending::<()>()).await.unwrap_err();
                assert!(matches!(late.reason(), Reason::Deadline), "{late}");
                late.to_string()
            });
            let late = late.await.unwrap();
            assert!(
                late.ends_with("was cancelled: deadline of 1s passed"),
                "{late}"
            );
            assert!(late.starts_with("`scope` ("), "{late}");
        }
    });
}

/// The outer one of two equal deadlines is reported, though the inner one has looked first.
#[test]
fn of_equal_deadlines_the_outer_one_counts() {
    paused(|| async {
        for (outer, inner) in [(false, false), (false, true), (true, false), (true, true)] {
            let nested = Scope::new().run(limited(outer, SECOND, async move {
                limited(inner, SECOND, pending::<()>()).await.ok();
                unreachable!("the outer scope is cancelled");
            }));
            let late: Result<Result<(), _>, _> = nested.await;
            assert!(late.unwrap().is_err());
        }
    });
}

/// The inner timeout finds the deadline passed, which makes both nodes and cancels the outer one in
/// the middle of its poll. Code beside it, polled later in that poll, must find its checkpoint closed.
#[test]
fn a_checkpoint_is_closed_in_the_poll_in_which_the_node_is_made() {
    paused(|| async {
        for (outer, inner) in [(false, false), (false, true), (true, false), (true, true)] {
            let log = Log::new();
            let seen = log.clone();
            let beside = async move {
                poll_fn(|_| match taskscope::is_cancelled() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                })
                .await;
                seen.add("cancelled");
                checkpoint().await;
                seen.add("passed");
            };
            let both = futures::future::join(limited(inner, SECOND, pending::<()>()), beside);
            let late = Scope::new().run(limited(outer, SECOND, both));
            assert!(late.await.unwrap().is_err());
            log.is(&["cancelled"]);
        }
    });
}

/// Moved before anything inside has asked for the node, it belongs to where it is polled now.
#[test]
fn it_belongs_to_the_scope_that_polls_it() {
    paused_once(|| async {
        for made in [false, true] {
            let log = Log::new();
            let inside = log.clone();
            let mut moved = Box::pin(limited(made, 60 * SECOND, async move {
                yield_now().await;
                with_cleanup(inside).await;
            }));
            let first = Scope::new();
            let cancel_first = first.handle();
            let begun = first.run(async { moved.as_mut().now_or_never().is_none() });
            assert!(begun.await.unwrap());
            cancel_first.cancel();

            let second = Scope::new();
            let cancel_second = second.handle();
            let run = second.run(&mut moved);
            let cancelling = async {
                sleep(SECOND).await;
                log.is(&[]);
                cancel_second.cancel();
            };
            let (cancelled, ()) = futures::join!(run, cancelling);
            assert!(cancelled.is_err());
            log.is(&["cleaned up"]);
        }
    });
}

#[cancellable]
async fn with_cleanup(log: Log) {
    defer! {
        yield_now().await;
        log.add("cleaned up");
    }
    pending::<()>().await;
}

#[test]
fn deadlines_inside_need_no_node() {
    paused(|| async {
        let (now, far) = (Instant::now(), 60 * SECOND);
        let seen = Scope::new()
            .name("lazy: deadlines")
            .timeout(10 * SECOND)
            .run(async {
                let near = timeout(SECOND, timeout(far, async { deadline() })).await;
                let outer = timeout(far, async { deadline() }).await;
                let shielded = timeout(SECOND, shield(async { deadline() })).await;
                let below = timeout(far, async {
                    let group = TaskGroup::<BoxError>::new();
                    group.run(async |_| Ok(deadline())).await
                });
                (
                    near.unwrap().unwrap(),
                    outer.unwrap(),
                    shielded.unwrap(),
                    below.await.unwrap(),
                )
            });
        let (near, outer, shielded, below) = seen.await.unwrap();
        assert_eq!(near, Some(now + SECOND));
        assert_eq!(outer, Some(now + 10 * SECOND));
        assert_eq!(shielded, None);
        assert_eq!(below.unwrap(), Some(now + 10 * SECOND));
    });
}

/// Nothing inside asks for a node, and the scope outside drops it as it drops any code.
#[test]
fn what_is_cancelled_from_outside_needs_no_node() {
    both(|| async {
        for made in [false, true] {
            let log = Log::new();
            let mark = log.mark("dropped");
            let scope = Scope::new();
            let handle = scope.handle();
            let run = scope.run(limited(made, Duration::from_secs(3600), async move {
                let _mark = mark;
                handle.cancel();
                checkpoint().await;
                unreachable!("cancelled");
            }));
            let cancelled: Result<Result<(), _>, _> = run.await;
            assert!(matches!(cancelled.unwrap_err().reason(), Reason::Requested));
            log.is(&["drop dropped"]);
        }
    });
}

/// Cancelled from outside, it unwinds at once: what it holds is free for the cleanups beside it, and
/// none of its code runs on.
#[test]
fn it_does_not_wait_for_the_cleanups_beside_it() {
    type Both = fn(BoxFuture<'static, ()>, BoxFuture<'static, ()>) -> BoxFuture<'static, ()>;
    let combinators: [(&str, Both); 4] = [
        ("join", |a, b| futures::future::join(a, b).map(drop).boxed()),
        ("join_all", |a, b| {
            futures::future::join_all([a, b]).map(drop).boxed()
        }),
        ("FuturesUnordered", |a, b| {
            let mut all: FuturesUnordered<_> = [a, b].into_iter().collect();
            async move { while all.next().await.is_some() {} }.boxed()
        }),
        ("borrowed", |mut a, mut b| {
            async move {
                race! { () = &mut a => {}, () = &mut b => {} }
            }
            .boxed()
        }),
    ];
    for (name, both) in combinators {
        for made in [false, true] {
            paused_once(async move || {
                let (lock, log) = (Arc::new(Mutex::new(())), Log::new());
                let (held, needed) = (lock.clone(), lock.clone());
                let (runs_on, cleaned) = (log.clone(), log.clone());
                let holder = async move {
                    let _held = held.lock().await;
                    sleep(2 * SECOND).await;
                    runs_on.add("runs on");
                };
                let holder = limited(made, 60 * SECOND, holder).map(drop).boxed();
                let cleaner = needs_for_cleanup(needed, cleaned).boxed();
                let scope = Scope::new().grace(60 * SECOND);
                let handle = scope.handle();
                let cancelling = async {
                    sleep(SECOND).await;
                    handle.cancel();
                };
                let run = scope.run(both(holder, cleaner));
                let (cancelled, ()) = futures::join!(run, cancelling);
                assert!(cancelled.is_err(), "{name}, {made}");
                assert_eq!(log.entries(), ["cleaned up"], "{name}, {made}");
            });
        }
    }
}

#[cancellable]
async fn needs_for_cleanup(lock: Arc<Mutex<()>>, log: Log) {
    defer! {
        let _free = lock.lock().await;
        sleep(4 * SECOND).await;
        log.add("cleaned up");
    }
    pending::<()>().await;
}

/// The same where the cleanup belongs to the code that awaits the scope.
#[test]
fn it_does_not_wait_for_the_cleanup_around_it() {
    for made in [false, true] {
        paused_once(async move || {
            let (lock, log) = (Arc::new(Mutex::new(())), Log::new());
            let scope = Scope::new().grace(60 * SECOND);
            let handle = scope.handle();
            let cancelling = async {
                sleep(SECOND).await;
                handle.cancel();
            };
            let run = scope.run(awaits_what_it_pinned(made, lock, log.clone()));
            let (cancelled, ()) = futures::join!(run, cancelling);
            assert!(cancelled.is_err());
            log.is(&["cleaned up"]);
        });
    }
}

#[cancellable]
async fn awaits_what_it_pinned(made: bool, lock: Arc<Mutex<()>>, log: Log) {
    let held = lock.clone();
    let mut holder = pin!(limited(made, 60 * SECOND, async move {
        let _held = held.lock().await;
        pending::<()>().await
    }));
    defer! {
        let _free = lock.lock().await;
        log.add("cleaned up");
    }
    holder.as_mut().await.ok();
}

/// A group that is left behind inside of a timeout is waited for by the scope outside.
#[test]
fn what_it_leaves_behind_is_adopted() {
    both(|| async {
        for made in [false, true] {
            let log = Log::new();
            let inside = log.clone();
            let scope = Scope::new().name("lazy: adopting");
            let run = scope.run(async move {
                let group = TaskGroup::<BoxError>::new().run(async |g| {
                    g.spawn(with_cleanup(inside));
                    pending::<Result<(), _>>().await
                });
                let limited = limited(made, Duration::from_secs(3600), group);
                tokio::select! {
                    biased;
                    _ = limited => unreachable!("it is pending"),
                    () = async { for _ in 0..10 { yield_now().await } } => {}
                }
            });
            run.await.unwrap();
            log.is(&["cleaned up"]);
            assert!(!tree().to_string().contains("lazy: adopting"));
        }
    });
}

/// The panics of its body and of what the body drops are those of any scope.
#[test]
fn panics_are_resumed_when_all_has_ended() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in a drop");
        }
    }

    watched(|| {
        for made in [false, true] {
            paused_once(async move || {
                let log = Log::new();
                let inside = log.clone();
                let run = Scope::new().run(limited(made, SECOND, async move {
                    let group = TaskGroup::<BoxError>::new().run(async |g| {
                        g.spawn(with_cleanup(inside));
                        yield_now().await;
                        panic!("in the body")
                    });
                    let _: Result<(), _> = group.await;
                }));
                let panic = taskscope_tests::caught(run).await.unwrap_err();
                assert_eq!(taskscope_tests::text_of(&*panic), "in the body");
                log.is(&["cleaned up"]);

                let bomb = Bomb;
                let run = Scope::new().run(limited(made, SECOND, async move {
                    let _bomb = &bomb;
                    1
                }));
                let panic = taskscope_tests::caught(run).await.unwrap_err();
                assert_eq!(taskscope_tests::text_of(&*panic), "in a drop");
            });
        }
    });
}
