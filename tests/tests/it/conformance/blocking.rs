//! Conformance, L: blocking and CPU-bound work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use futures::future::join_all;
use futures::poll;
use taskscope::{
    Ambient, BoxError, Cancelled, Cause, Reason, Scope, TaskError, TaskGroup, Value, blocking,
    cancellable, checkpoint_blocking, deadline, defer, is_cancelled, sleep_blocking,
};
use taskscope_tests::{Log, both, caught, reports_of, text_of, watch_reports, watched};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::yield_now;

const LONG: Duration = Duration::from_secs(3600);

/// Passes checkpoints until one refuses.
fn until_refused() -> Result<(), Cancelled> {
    loop {
        checkpoint_blocking()?;
        std::thread::yield_now();
    }
}

#[test]
fn l02_a_closure_without_checkpoints_is_waited_for() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>, released: mpsc::Receiver<()>) {
        let work = log.clone();
        let Value(seven) = blocking(move || {
            here.send(()).unwrap();
            released.recv().unwrap();
            work.add("closure");
            Value(7)
        })
        .await;
        // What it returned is not lost; the next await is the one that stops.
        log.add(format!("got {seven}"));
        yield_now().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let (here, reached) = oneshot::channel();
        let (release, released) = mpsc::channel();
        let scope = Scope::new();
        let handle = scope.handle();
        let mut run = Box::pin(scope.run(body(log.clone(), here, released)));
        assert!(poll!(&mut run).is_pending());
        reached.await.unwrap();
        handle.cancel();
        for _ in 0..100 {
            assert!(poll!(&mut run).is_pending());
            yield_now().await;
        }
        log.is(&[]);
        release.send(()).unwrap();
        assert!(run.await.is_err());
        log.is(&["closure", "got 7"]);
    });
}

/// The same in a group: it returns after the closure.
#[test]
fn l02_a_group_waits_for_its_blocking_task() {
    both(|| async {
        let log = Log::new();
        let (here, reached) = oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let work = log.clone();
        let mut group = Box::pin(TaskGroup::<BoxError>::new().run(async move |g| {
            g.spawn_blocking(move || {
                here.send(()).unwrap();
                released.recv().unwrap();
                work.add("closure");
            });
            reached.await?;
            g.cancel();
            Ok("body")
        }));
        for _ in 0..100 {
            assert!(poll!(&mut group).is_pending());
            yield_now().await;
        }
        log.is(&[]);
        release.send(()).unwrap();
        assert_eq!(group.await.unwrap(), "body");
        log.is(&["closure"]);
    });
}

/// What an abandoned closure returns, or panics with, is of interest to nobody.
#[test]
fn l03_abandoned_it_is_not_waited_for() {
    watch_reports();
    both(|| async {
        for panics in [false, true] {
            let log = Log::new();
            let (here, reached) = oneshot::channel();
            let (release, released) = mpsc::channel::<()>();
            let ended = log.mark("closure");
            let group = TaskGroup::<BoxError>::new()
                .name("l03_group")
                .run(async |g| {
                    g.spawn_named(
                        "l03_task",
                        blocking(move || {
                            let ended = ended;
                            here.send(()).unwrap();
                            released.recv().unwrap();
                            if panics {
                                drop(ended);
                                // Unlike `panic!`, it prints nothing.
                                std::panic::resume_unwind(Box::new("late"));
                            }
                        })
                        .abandon(),
                    );
                    reached.await?;
                    g.cancel();
                    Ok(())
                });
            group.await.unwrap();
            log.is(&[]);
            release.send(()).unwrap();
            while !log.has("drop closure") {
                yield_now().await;
            }
            assert!(reports_of("l03").is_empty(), "{:?}", reports_of("l03"));
        }
    });
}

#[test]
fn l04_an_abandoned_closure_sees_the_cancel_at_its_next_checkpoint() {
    both(|| async {
        let (here, reached) = oneshot::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let (tell, told) = oneshot::channel();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let work = blocking(move || {
                checkpoint_blocking().expect("control: nothing is cancelled yet");
                here.send(()).unwrap();
                may_go.recv().unwrap();
                let refused = checkpoint_blocking();
                tell.send(refused.clone()).unwrap();
                refused
            });
            g.spawn(work.abandon());
            reached.await?;
            g.handle().cancel_with(Reason::other("enough"));
            Ok(())
        });
        group.await.unwrap();
        go.send(()).unwrap();
        let cancelled = told.await.unwrap().unwrap_err();
        assert_eq!(cancelled.reason().to_string(), "enough");
    });
}

#[test]
fn l06_an_error_arrives_with_the_name_of_the_task() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let failed = g
                .spawn_blocking(|| Err::<(), BoxError>("no luck".into()))
                .await;
            assert!(matches!(failed, Err(TaskError::Failed)), "{failed:?}");
            Ok(())
        });
        let error = group.await.unwrap_err();
        let [failure] = error.failures() else {
            panic!("{error}");
        };
        assert!(failure.name().contains("l06_an_error"), "{error}");
        assert!(
            failure.location().file().ends_with("blocking.rs"),
            "{error}"
        );
        assert_eq!(failure.error().unwrap().to_string(), "no luck");
    });
}

#[test]
fn l06_a_panic_arrives_with_the_name_of_the_task() {
    watch_reports();
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let sibling = log.mark("sibling");
            g.spawn(async move {
                let _sibling = sibling;
                std::future::pending::<()>().await;
            });
            let work = blocking(|| -> () { panic!("l06 on purpose") });
            let failed = g.spawn_named("l06 panics", work).await;
            let Err(TaskError::Panicked(message)) = failed else {
                panic!("{failed:?}");
            };
            log.add(message);
            Ok(())
        });
        let panic = caught(group).await.unwrap_err();
        assert_eq!(text_of(&*panic), "l06 on purpose");
        assert!(log.has("drop sibling"));
        let reports = reports_of("l06 panics");
        assert!(!reports.is_empty());
        assert!(reports.iter().all(|r| r.text.contains("l06 on purpose")));
    });
}

/// Not in a group, the awaiter gets the error or the panic itself.
#[test]
fn l06_awaited_directly_they_pass_through() {
    both(|| async {
        let error = blocking(|| Err::<(), _>("no luck")).await;
        assert_eq!(error, Err("no luck"));
        let panicked = caught(blocking(|| -> () { panic!("in the closure") })).await;
        assert_eq!(text_of(&*panicked.unwrap_err()), "in the closure");
    });
}

#[test]
fn l08_scope_deadline_and_reason_are_visible_inside() {
    both(|| async {
        let scope = Scope::new().name("l08 scope").timeout(LONG);
        let handle = scope.handle();
        let seen = scope.run(async {
            let outside = (deadline(), Ambient::current().handle().unwrap().name());
            let inside = blocking(move || {
                let inside = Ambient::current().handle().unwrap();
                let seen = (deadline(), inside.name());
                assert!(!is_cancelled());
                handle.cancel_with(Reason::other("enough"));
                assert!(is_cancelled());
                let cancelled = checkpoint_blocking().unwrap_err();
                assert_eq!(cancelled.scope(), "l08 scope");
                assert_eq!(cancelled.reason().to_string(), "enough");
                assert_eq!(inside.reason().unwrap().to_string(), "enough");
                Value(seen)
            });
            let Value(inside) = inside.await;
            assert!(outside.0.is_some());
            assert_eq!(inside, outside);
        });
        seen.await.unwrap();
    });
}

/// Outside any scope, there is none inside either.
#[test]
fn l08_without_a_scope_nothing_is_cancelled() {
    both(|| async {
        let seen = blocking(|| {
            let seen = (deadline(), is_cancelled());
            checkpoint_blocking()?;
            Ok::<_, Cancelled>(seen)
        });
        assert_eq!(seen.await.unwrap(), (None, false));
    });
}

/// Counts those who are inside at a time.
#[derive(Default)]
struct HighWater {
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl HighWater {
    fn enter(&self) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
    }

    fn leave(&self) {
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn l10_the_limit_of_threads_counts_what_is_cancelled_but_not_finished() {
    const THREADS: usize = 2;

    async fn test() {
        let water = Arc::new(HighWater::default());
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(std::sync::Mutex::new(released));
        for round in 0..4 {
            let scope = Scope::new();
            let handle = scope.handle();
            let (here, mut reached) = tokio::sync::mpsc::unbounded_channel();
            let work = |_| {
                let (water, here) = (water.clone(), here.clone());
                let released = released.clone();
                blocking(move || {
                    water.enter();
                    here.send(()).ok();
                    released.lock().unwrap().recv().ok();
                    water.leave();
                })
                .abandon()
            };
            let run = scope.run(join_all((0..THREADS).map(work)));
            let cancel = async {
                // The pool is full: what comes later does not even begin.
                if round == 0 {
                    for _ in 0..THREADS {
                        reached.recv().await.unwrap();
                    }
                }
                handle.cancel();
            };
            assert!(futures::join!(run, cancel).0.is_err());
        }
        assert_eq!(water.most.load(Ordering::SeqCst), THREADS);
        drop(release);
        // There is room again: those that were never begun do not take it.
        let Value(at_once) = blocking(|| Value("runs")).await;
        assert_eq!(at_once, "runs");
        assert_eq!(water.most.load(Ordering::SeqCst), THREADS);
    }

    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        watched(|| {
            builder.max_blocking_threads(THREADS).enable_all();
            builder.build().unwrap().block_on(test());
        });
    }
}

/// Four tasks at a time block, run async code, and block again, all the way down.
#[test]
fn l11_blocking_code_that_runs_async_code_that_blocks_does_not_deadlock() {
    fn down(levels: u32) -> Result<u32, Cancelled> {
        checkpoint_blocking()?;
        if levels == 0 {
            sleep_blocking(Duration::from_millis(1))?;
            return Ok(0);
        }
        let below = taskscope::block_on(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            blocking(move || down(levels - 1)).await
        });
        Ok(below?? + 1)
    }

    both(|| async {
        for _ in 0..10 {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let tasks: Vec<_> = (0..4).map(|_| g.spawn_blocking(|| down(5))).collect();
                let mut levels = 0;
                for task in tasks {
                    levels += task.await?;
                }
                Ok(levels)
            });
            assert_eq!(group.await.unwrap(), 20);
        }
    });
}

/// Nor when it is cancelled at the bottom.
#[test]
fn l11_cancelled_all_levels_are_left() {
    fn down(levels: u32, log: Log, here: oneshot::Sender<()>) -> Result<(), Cancelled> {
        if levels == 0 {
            here.send(()).unwrap();
            let refused = until_refused();
            log.add("bottom");
            return refused;
        }
        let below = taskscope::block_on(level(levels, log.clone(), here));
        log.add(format!("block_on {levels} {}", below.is_err()));
        below?
    }

    #[cancellable]
    async fn level(levels: u32, log: Log, here: oneshot::Sender<()>) -> Result<(), Cancelled> {
        defer! {
            yield_now().await;
            log.add(format!("cleanup {levels}"));
        }
        let inner = log.clone();
        blocking(move || down(levels - 1, inner, here)).await
    }

    both(|| async {
        let log = Log::new();
        let (here, reached) = oneshot::channel();
        let scope = Scope::new();
        let handle = scope.handle();
        let work = log.clone();
        let run = scope.run(blocking(move || down(2, work, here)));
        let cancel = async {
            reached.await.unwrap();
            handle.cancel();
        };
        assert!(futures::join!(run, cancel).0.is_err());
        let expected = [
            "bottom",
            "cleanup 1",
            "block_on 1 true",
            "cleanup 2",
            "block_on 2 true",
        ];
        log.is(&expected);
    });
}

/// A blocking task's `Err` after a refused checkpoint is no failure.
#[test]
fn l06_an_error_after_a_refused_checkpoint_is_the_cancellation() {
    both(|| async {
        let (here, reached) = oneshot::channel();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn_blocking(move || {
                here.send(()).unwrap();
                until_refused()?;
                Ok::<_, BoxError>(())
            });
            reached.await?;
            assert!(task.cancel());
            Ok(task.await)
        });
        let outcome = group.await.unwrap();
        let Err(TaskError::Cancelled(cancelled)) = outcome else {
            panic!("{outcome:?}");
        };
        assert!(matches!(cancelled.reason(), Reason::Requested));

        // Control: one without a refused checkpoint is a failure.
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_blocking(|| Err::<(), _>("by itself"));
            Ok(())
        });
        let error = group.await.unwrap_err();
        assert!(matches!(error.failures()[0].cause(), Cause::Error(_)));
    });
}
