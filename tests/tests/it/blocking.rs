//! Work on the blocking pool, and code that blocks its thread: the finer promises.

use std::future::pending;
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use futures::poll;
use rayon::prelude::*;
use taskscope::{
    Ambient, BoxError, Cancelled, Reason, ReportKind, Scope, TaskError, TaskGroup, Value, blocking,
    cancellable, checkpoint_blocking, deadline, defer, is_cancelled, race, shield, sleep_blocking,
    timeout,
};
use taskscope_tests::{
    Log, Seen, both, cancel_at, caught, paused_once, reports_of, text_of, watch_reports, watched,
};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
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

/// Runtimes of both flavours whose blocking pool has one thread.
fn one_blocking_thread() -> [Runtime; 2] {
    [Builder::new_current_thread(), Builder::new_multi_thread()].map(|mut builder| {
        builder.max_blocking_threads(1).enable_all();
        builder.build().unwrap()
    })
}

/// Work that holds its thread until it is told to go on.
struct Holding {
    release: mpsc::Sender<()>,
}

impl Holding {
    /// Returns once the work has begun.
    async fn start() -> Holding {
        let (release, released) = mpsc::channel();
        let (here, reached) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            here.send(()).unwrap();
            released.recv().ok();
        });
        reached.await.unwrap();
        Holding { release }
    }

    fn release(self) {
        self.release.send(()).unwrap();
    }
}

/// How a closure that waits for a thread is given up.
#[derive(Clone, Copy, Debug)]
enum GivenUp {
    Cancelled,
    CancelledAbandoned,
    OutOfTime,
    Dropped,
    TaskCancelled,
}

const ALL: [GivenUp; 5] = [
    GivenUp::Cancelled,
    GivenUp::CancelledAbandoned,
    GivenUp::OutOfTime,
    GivenUp::Dropped,
    GivenUp::TaskCancelled,
];

/// Gives up a closure that is queued.
async fn give_up(how: GivenUp, log: &Log) {
    let mark = log.mark("closure");
    let ran = log.clone();
    let mut work = blocking(move || {
        let _mark = mark;
        ran.add("ran");
    });
    match how {
        GivenUp::Dropped => {
            assert!(poll!(&mut work).is_pending());
            drop(work);
        }
        GivenUp::OutOfTime => {
            let late = timeout(Duration::from_millis(1), work).await;
            assert!(matches!(late.unwrap_err().reason(), Reason::Deadline));
        }
        GivenUp::Cancelled | GivenUp::CancelledAbandoned => {
            if let GivenUp::CancelledAbandoned = how {
                work = work.abandon();
            }
            let left = cancel_at(Scope::new(), |here| async {
                assert!(poll!(&mut work).is_pending());
                here.send(()).unwrap();
                work.await;
            });
            assert!(left.await.is_err());
        }
        GivenUp::TaskCancelled => {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let task = g.spawn(work);
                while !matches!(task.state(), taskscope::TaskState::Running) {
                    yield_now().await;
                }
                task.cancel();
                Ok(task.await)
            });
            let ended = group.await.unwrap();
            assert!(matches!(ended, Err(TaskError::Cancelled(_))), "{ended:?}");
        }
    }
}

#[test]
fn queued_in_a_full_pool_and_given_up_it_never_runs() {
    watch_reports();
    for runtime in one_blocking_thread() {
        watched(|| {
            runtime.block_on(async {
                for how in ALL {
                    let log = Log::new();
                    let holding = Holding::start().await;
                    give_up(how, &log).await;
                    assert_eq!(log.entries(), ["drop closure"], "{how:?}");
                    holding.release();
                    // Behind it in the queue, so that it would have run by now.
                    let work = log.clone();
                    blocking(move || work.add("control")).await;
                    assert_eq!(log.entries(), ["drop closure", "control"], "{how:?}");
                }
            });
        });
    }
    assert!(
        reports_of("blocking.rs")
            .iter()
            .all(|r| r.kind != ReportKind::LostCleanup)
    );
}

#[test]
fn cancelled_before_its_first_poll_it_never_runs() {
    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        scope.handle().cancel();
        let work = |name: &'static str| {
            let (mark, log) = (log.mark(name), log.clone());
            move || {
                let _mark = mark;
                log.add("ran");
            }
        };
        assert!(scope.run(blocking(work("alone"))).await.is_err());
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.cancel();
            let refused = g.spawn_blocking(work("in a group"));
            Ok(refused.await)
        });
        let refused = group.await.unwrap();
        assert!(matches!(refused, Err(TaskError::Cancelled(_))));
        log.is(&["drop alone", "drop in a group"]);
        blocking(work("control")).await;
        assert!(log.has("ran"));
    });
}

#[test]
fn an_error_after_a_refused_checkpoint_does_not_come_out() {
    both(|| async {
        let late = timeout(Duration::from_millis(1), blocking(until_refused)).await;
        assert!(matches!(late.unwrap_err().reason(), Reason::Deadline));

        // Converted on the way.
        let late = timeout(
            Duration::from_millis(1),
            blocking(|| until_refused().map_err(|e| e.to_string())),
        );
        assert!(late.await.is_err());

        // Refused where the work calls async code.
        let inner = blocking(|| {
            let never = taskscope::block_on(pending::<()>());
            Err::<(), _>(format!("{:?}", never.unwrap_err()))
        });
        let late = timeout(Duration::from_millis(1), inner).await;
        assert!(late.is_err(), "{late:?}");

        // Refused where it has entered the scope by hand.
        let late = timeout(Duration::from_millis(1), async {
            let scope = Ambient::current();
            blocking(move || scope.enter(until_refused)).await
        });
        assert!(late.await.is_err());
    });
}

/// What the work has done all the same is kept.
#[test]
fn a_value_after_a_refused_checkpoint_is_kept() {
    fn stubborn() -> Result<u32, Cancelled> {
        until_refused().unwrap_err();
        Ok(7)
    }

    both(|| async {
        let value = cancel_at(Scope::new(), |here| {
            blocking(move || {
                here.send(()).unwrap();
                stubborn()
            })
        });
        assert_eq!(value.await.unwrap().unwrap(), 7);

        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn_blocking(stubborn);
            g.cancel();
            Ok(task)
        });
        // Begun or not, depending on who was faster.
        match group.await.unwrap().await {
            Ok(value) => assert_eq!(value, 7),
            Err(error) => assert!(matches!(error, TaskError::Cancelled(_)), "{error:?}"),
        }

        let (here, reached) = oneshot::channel();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn_blocking(move || {
                here.send(()).unwrap();
                stubborn()
            });
            reached.await?;
            g.cancel();
            Ok(task)
        });
        assert_eq!(group.await.unwrap().await.unwrap(), 7);
    });
}

#[test]
fn an_error_without_a_refused_checkpoint_comes_out_of_a_cancelled_group() {
    both(|| async {
        let (here, reached) = oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_blocking(move || {
                here.send(()).unwrap();
                released.recv().unwrap();
                Err::<(), _>("the disk is full")
            });
            reached.await?;
            g.cancel();
            release.send(())?;
            Ok(())
        });
        let error = group.await.unwrap_err();
        assert!(error.to_string().contains("the disk is full"), "{error}");
    });
}

/// No timer gets to fire: the runtime's only thread is blocked.
#[test]
fn a_checkpoint_sees_a_passed_deadline_though_the_async_side_is_stuck() {
    both(|| async {
        let (tell, told) = mpsc::channel();
        let deadline = Instant::now() + Duration::from_millis(20);
        let run = timeout(Duration::from_millis(20), async move {
            let work = blocking(move || {
                let refused = until_refused();
                tell.send((Instant::now(), refused.clone())).unwrap();
                refused
            });
            let stuck = async move {
                // Started, then stuck until the closure has ended by itself.
                let (at, refused) = told.recv().unwrap();
                assert!(at >= deadline);
                assert!(matches!(refused.unwrap_err().reason(), Reason::Deadline));
            };
            futures::join!(work, stuck)
        });
        assert!(matches!(run.await.unwrap_err().reason(), Reason::Deadline));
    });
}

/// However fast the checkpoints followed each other in what ran on the thread before.
#[test]
fn a_slow_loop_after_a_fast_one_looks_at_the_clock() {
    for runtime in one_blocking_thread() {
        watched(|| {
            runtime.block_on(async {
                blocking(|| {
                    for _ in 0..10_000 {
                        checkpoint_blocking().unwrap();
                    }
                })
                .await;
                let (tell, told) = mpsc::channel();
                let run = timeout(Duration::from_millis(1), async {
                    let work = blocking(move || {
                        let mut rounds = 0;
                        while checkpoint_blocking().is_ok() {
                            rounds += 1;
                            std::thread::sleep(Duration::from_millis(5));
                        }
                        tell.send(rounds).unwrap();
                    });
                    futures::join!(work, async move { told.recv().unwrap() }).1
                });
                let rounds = run.await.unwrap();
                assert!(rounds <= 1, "{rounds}");
            });
        });
    }
}

fn kinds(reports: &[Seen], kind: ReportKind) -> Vec<&Seen> {
    reports.iter().filter(|r| r.kind == kind).collect()
}

#[test]
fn beyond_the_grace_period_it_is_left_behind_and_reported() {
    watch_reports();
    both(|| async {
        let name = "left_behind";
        let before = reports_of(name).len();
        let (here, reached) = oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let (tell, told) = oneshot::channel();
        let mut place = None;
        let group = TaskGroup::<BoxError>::new()
            .grace(Duration::from_millis(10))
            .run(async |g| {
                let (note, noted) = oneshot::channel();
                let work = blocking(move || {
                    note.send(line()).unwrap();
                    checkpoint_blocking().unwrap();
                    here.send(()).unwrap();
                    released.recv().unwrap();
                    tell.send(is_cancelled()).unwrap();
                });
                let task = g.spawn_named(name, work);
                place = Some(noted.await? + 1);
                reached.await?;
                g.cancel();
                Ok(task)
            });
        let error = group.await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
        let reports = reports_of(name).split_off(before);
        let overruns = kinds(&reports, ReportKind::Overrun);
        let [report] = overruns[..] else {
            panic!("{reports:?}");
        };
        let line = format!(
            "last checkpoint at tests/tests/it/blocking.rs:{}:",
            place.unwrap()
        );
        assert!(report.text.contains(&line), "{report:?} is not at {line}");
        release.send(()).unwrap();
        assert!(told.await.unwrap(), "still cancelled, on its own");
    });
}

#[track_caller]
fn line() -> u32 {
    Location::caller().line()
}

#[test]
fn dropped_from_outside_it_goes_on_and_is_reported() {
    watch_reports();
    both(|| async {
        let name = "dropped_from_outside";
        let before = reports_of(name).len();
        let (here, reached) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let scope = Scope::new().name(name);
        let dropped = scope.run(async {
            let work = blocking(move || {
                here.send(()).unwrap();
                tell.send(until_refused().unwrap_err()).unwrap();
            });
            tokio::select! {
                biased;
                () = work => unreachable!(),
                reached = reached => reached.unwrap(),
            }
        });
        dropped.await.unwrap();
        let cancelled = told.await.unwrap();
        assert!(matches!(cancelled.reason(), Reason::Dropped));
        let reports = reports_of(name).split_off(before);
        assert_eq!(
            kinds(&reports, ReportKind::Abandoned).len(),
            1,
            "{reports:?}"
        );

        // Control: one that has ended, or may be left, is not reported.
        let before = reports_of("quietly_dropped").len();
        let quiet = Scope::new().name("quietly_dropped").run(async {
            let (here, reached) = oneshot::channel();
            let work = blocking(move || {
                here.send(()).unwrap();
                until_refused().unwrap_err();
            });
            tokio::select! {
                biased;
                () = work.abandon() => unreachable!(),
                reached = reached => reached.unwrap(),
            }
        });
        quiet.await.unwrap();
        assert_eq!(reports_of("quietly_dropped").len(), before);
    });
}

#[test]
fn an_abandoned_one_is_left_quietly_by_an_abort_too() {
    watch_reports();
    both(|| async {
        let name = "abandoned_in_a_shield";
        let (here, reached) = oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let scope = Scope::new().name(name).grace(Duration::ZERO);
        let handle = scope.handle();
        let run = scope.run(shield(
            blocking(move || {
                here.send(()).unwrap();
                until_refused().unwrap_err();
                // What it returned would be taken, if it came before the abort.
                released.recv().unwrap();
            })
            .abandon(),
        ));
        let cancel = async {
            reached.await.unwrap();
            handle.cancel();
        };
        assert!(futures::join!(run, cancel).0.is_err());
        release.send(()).unwrap();
        let reports = reports_of(name);
        assert!(
            reports.iter().all(|r| !r.text.contains("blocking work")),
            "{reports:?}"
        );
    });
}

#[test]
fn sleep_ends_early_when_cancelled_and_not_before() {
    both(|| async {
        // Cancelled by a handle, from another thread.
        let (here, reached) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let left = cancel_at(Scope::new(), |cancel| async {
            let work = blocking(move || {
                here.send(()).unwrap();
                tell.send(sleep_blocking(LONG)).unwrap();
            });
            let asks = async {
                reached.await.unwrap();
                cancel.send(()).unwrap();
            };
            futures::join!(work, asks).0
        });
        left.await.unwrap();
        assert!(told.await.unwrap().is_err());

        // Cancelled before: at once.
        let scope = Scope::new();
        let handle = scope.handle();
        let slept = scope.run(blocking(move || {
            handle.cancel();
            Value(sleep_blocking(LONG).is_err())
        }));
        assert_eq!(slept.await.unwrap(), Value(true));

        // Not cancelled: the whole time; in a shield, too.
        let short = Duration::from_millis(10);
        let Value(slept) = blocking(move || {
            let since = Instant::now();
            sleep_blocking(short).unwrap();
            Value(since.elapsed())
        })
        .await;
        assert!(slept >= short);
        let scope = Scope::new();
        let handle = scope.handle();
        let slept = scope.run(shield(blocking(move || {
            handle.cancel();
            let since = Instant::now();
            sleep_blocking(short).unwrap();
            Value(since.elapsed())
        })));
        assert!(slept.await.unwrap().0 >= short);
    });
}

/// The deadline ends a sleep though no timer gets to fire.
#[test]
fn sleep_ends_at_the_deadline_though_the_async_side_is_stuck() {
    both(|| async {
        let (tell, told) = mpsc::channel();
        let run = timeout(Duration::from_millis(5), async move {
            let work = blocking(move || tell.send(sleep_blocking(LONG)).unwrap());
            futures::join!(work, async move { told.recv().unwrap() }).1
        });
        assert!(run.await.unwrap().is_err());
    });
}

#[test]
fn sleep_outside_any_scope() {
    watched(|| {
        let (since, short) = (Instant::now(), Duration::from_millis(5));
        sleep_blocking(short).unwrap();
        assert!(since.elapsed() >= short);
    });
}

#[test]
fn block_on_leaves_async_code_in_order() {
    #[cancellable]
    async fn inner(log: Log, here: oneshot::Sender<()>) {
        defer! {
            yield_now().await;
            log.add("inner");
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    #[cancellable]
    async fn outer(log: Log, here: oneshot::Sender<()>) {
        defer! {
            tokio::time::sleep(Duration::from_millis(1)).await;
            log.add("outer");
        }
        inner(log.clone(), here).await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let work = log.clone();
        let left = cancel_at(Scope::new().name("caller"), |here| {
            blocking(move || {
                let cancelled = taskscope::block_on(outer(work.clone(), here)).unwrap_err();
                assert_eq!(cancelled.scope(), "caller");
                work.add("Err");
                Err::<(), _>(cancelled)
            })
        });
        assert!(left.await.is_err());
        log.is(&["inner", "outer", "Err"]);
    });
}

#[test]
fn block_on_gives_values_and_resumes_panics() {
    both(|| async {
        let seen = blocking(|| {
            let value = taskscope::block_on(async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                deadline()
            });
            Value(value.unwrap())
        });
        assert_eq!(seen.await, Value(None));
        let panicked = caught(blocking(|| {
            taskscope::block_on(async { panic!("in async code") }).unwrap()
        }));
        assert_eq!(text_of(&*panicked.await.unwrap_err()), "in async code");
    });
}

/// A group in it is waited for, as anywhere.
#[test]
fn block_on_waits_for_groups() {
    both(|| async {
        let log = Log::new();
        let work = log.clone();
        let left = cancel_at(Scope::new(), |here| {
            blocking(move || {
                let log = work.clone();
                let group = TaskGroup::<BoxError>::new().run(async move |g| {
                    let mark = log.mark("task");
                    g.spawn(async move {
                        let _mark = mark;
                        here.send(()).unwrap();
                        pending::<()>().await;
                    });
                    Ok(())
                });
                let ended = taskscope::block_on(group);
                work.add(format!("Err {}", ended.is_err()));
            })
        });
        left.await.unwrap();
        log.is(&["drop task", "Err true"]);
    });
}

#[test]
fn block_on_in_async_code_panics() {
    both(|| async {
        let panicked = std::panic::catch_unwind(|| taskscope::block_on(async {}));
        assert!(panicked.is_err());
    });
}

#[test]
fn block_on_needs_no_runtime() {
    watched(|| {
        let (send, receive) = oneshot::channel();
        let thread = std::thread::spawn(move || send.send(7).unwrap());
        assert_eq!(taskscope::block_on(receive).unwrap().unwrap(), 7);
        thread.join().unwrap();
    });
}

/// In a thread that blocks, nobody is there to drop a function that has stopped.
#[test]
fn an_annotated_function_under_a_foreign_executor_is_not_parked() {
    #[cancellable]
    async fn steps(log: Log) -> u32 {
        defer! { log.add("cleanup"); }
        for _ in 0..1000 {
            yield_now().await;
        }
        log.add("end");
        7
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let work = log.clone();
        let value = scope.run(blocking(move || {
            handle.cancel();
            let by_tokio = Handle::current().block_on(steps(work.clone()));
            let by_futures = futures::executor::block_on(steps(work));
            Value((by_tokio, by_futures))
        }));
        assert_eq!(value.await.unwrap(), Value((7, 7)));
        log.is(&["end", "cleanup", "end", "cleanup"]);
    });
}

#[test]
fn shielded_work_is_not_reached() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let seen = scope.run(shield(blocking(move || {
            handle.cancel();
            checkpoint_blocking()?;
            let inside = taskscope::block_on(async { is_cancelled() })?;
            let entered = Ambient::current().enter(checkpoint_blocking).is_ok();
            Ok::<_, Cancelled>((is_cancelled(), deadline(), inside, entered))
        })));
        let seen = seen.await.unwrap().unwrap();
        assert_eq!(seen, (false, None, false, true));

        let (here, reached) = oneshot::channel();
        let (release, released) = mpsc::channel::<()>();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn_shielded(blocking(move || {
                here.send(()).unwrap();
                released.recv().unwrap();
                checkpoint_blocking()?;
                Ok::<_, Cancelled>("saved")
            }));
            reached.await?;
            g.cancel();
            release.send(())?;
            Ok(task)
        });
        assert_eq!(group.await.unwrap().await.unwrap(), "saved");
    });
}

/// A cleanup may block, too.
#[test]
fn work_in_a_cleanup_runs() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! {
            let work = log.clone();
            let done = blocking(move || {
                checkpoint_blocking()?;
                work.add("flushed");
                Ok::<_, Cancelled>(())
            });
            done.await.unwrap();
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        let log = Log::new();
        let left = cancel_at(Scope::new(), |here| body(log.clone(), here));
        assert!(left.await.is_err());
        log.is(&["flushed"]);
    });
}

/// Numbers each worth a checkpoint, on rayon's pool.
fn on_rayon(scope: &Ambient, count: u64, passed: &AtomicUsize) -> Result<u64, Cancelled> {
    (0..count)
        .into_par_iter()
        .map(|number| {
            scope.enter(|| {
                checkpoint_blocking()?;
                passed.fetch_add(1, Ordering::Relaxed);
                Ok(number)
            })
        })
        .try_reduce(|| 0, |a, b| Ok(a.wrapping_add(b)))
}

#[test]
fn the_scope_enters_rayons_pool() {
    both(|| async {
        let all = blocking(|| on_rayon(&Ambient::current(), 1000, &AtomicUsize::new(0)));
        assert_eq!(all.await.unwrap(), 499_500);

        let passed = Arc::new(AtomicUsize::new(0));
        let count = passed.clone();
        let scope = Scope::new();
        let handle = scope.handle();
        let run = scope.run(blocking(move || {
            on_rayon(&Ambient::current(), u64::MAX, &count)
        }));
        let cancel = async {
            while passed.load(Ordering::Relaxed) == 0 {
                yield_now().await;
            }
            handle.cancel();
        };
        assert!(futures::join!(run, cancel).0.is_err());

        // Nothing stays behind on the pool's threads.
        let clean = blocking(|| {
            let outside: Vec<_> = rayon::broadcast(|_| (is_cancelled(), deadline()));
            Value(outside)
        });
        let Value(clean) = clean.await;
        assert!(clean.iter().all(|seen| *seen == (false, None)));
    });
}

#[test]
fn the_scope_enters_threads_of_ones_own() {
    both(|| async {
        let (here, reached) = std::sync::mpsc::channel();
        let left = cancel_at(Scope::new().name("enters_threads"), |cancel| {
            blocking(move || {
                let scope = Ambient::current();
                std::thread::scope(|threads| {
                    for _ in 0..4 {
                        let here = here.clone();
                        threads.spawn(|| {
                            let here = here;
                            scope.enter(|| {
                                here.send(()).unwrap();
                                assert_eq!(until_refused().unwrap_err().scope(), "enters_threads");
                            });
                            assert!(!is_cancelled());
                        });
                    }
                    for _ in 0..4 {
                        reached.recv().unwrap();
                    }
                    cancel.send(()).unwrap();
                });
            })
        });
        left.await.unwrap();
    });
}

/// From an entered thread, async code can be run and tasks be cancelled.
#[test]
fn an_entered_thread_can_block_on_async_code() {
    both(|| async {
        let scope = Scope::new().timeout(LONG);
        let value = scope.run(async {
            let scope = Ambient::current();
            let (begun, waits) = mpsc::channel();
            let thread = std::thread::spawn(move || {
                scope.enter(|| {
                    let () = waits.recv().unwrap();
                    let inside = taskscope::block_on(async {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        deadline()
                    });
                    assert!(scope.handle().unwrap().cancel());
                    (
                        inside.unwrap(),
                        taskscope::block_on(pending::<()>()).is_err(),
                    )
                })
            });
            blocking(move || {
                begun.send(()).unwrap();
                Value(thread.join().unwrap())
            })
            .await
        });
        let Value((inside, left)) = value.await.unwrap();
        assert!(inside.is_some() && left);
    });
}

#[test]
fn an_empty_ambient_hides_the_scope() {
    both(|| async {
        let nowhere = Ambient::current();
        assert!(nowhere.handle().is_none());
        let scope = Scope::new();
        let handle = scope.handle();
        let seen = scope.run(blocking(move || {
            handle.cancel();
            let hidden = nowhere.enter(|| (is_cancelled(), checkpoint_blocking().is_ok()));
            Value((hidden, is_cancelled()))
        }));
        assert_eq!(seen.await.unwrap(), Value(((false, true), true)));
    });
}

/// The work belongs to the scope that awaits it now.
#[test]
fn a_future_that_moves_takes_its_work_along() {
    both(|| async {
        let (here, reached) = oneshot::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let mut work = blocking(move || {
            here.send(()).unwrap();
            may_go.recv().unwrap();
            until_refused()
        });
        let first = Scope::new();
        let former = first.handle();
        first
            .run(async {
                assert!(poll!(&mut work).is_pending());
                reached.await.unwrap();
            })
            .await
            .unwrap();
        former.cancel();
        let left = cancel_at(Scope::new().name("second"), |here| async {
            assert!(poll!(&mut work).is_pending());
            go.send(()).unwrap();
            here.send(()).unwrap();
            work.await
        });
        assert_eq!(left.await.unwrap_err().scope(), "second");
    });
}

/// Cancelled in the scope that it was moved out of, it is not concerned.
#[test]
fn a_future_that_moved_away_is_not_reached_from_where_it_was() {
    both(|| async {
        let (here, reached) = oneshot::channel();
        let (go, may_go) = mpsc::channel::<()>();
        let mut work = blocking(move || {
            here.send(()).unwrap();
            may_go.recv().unwrap();
            checkpoint_blocking()?;
            Ok::<_, Cancelled>("went on")
        });
        let first = Scope::new();
        let former = first.handle();
        let left = first.run(async {
            let moved = Scope::new();
            let value = shield(moved.run(async {
                assert!(poll!(&mut work).is_pending());
                reached.await.unwrap();
                former.cancel();
                go.send(()).unwrap();
                (&mut work).await
            }));
            value.await
        });
        assert_eq!(left.await.unwrap().unwrap().unwrap(), "went on");
    });
}

#[test]
fn in_race_and_join_it_leaves_as_a_branch() {
    #[cancellable]
    async fn races(log: Log) -> &'static str {
        let work = log.clone();
        let (here, reached) = oneshot::channel();
        race! {
            _ = blocking(move || {
                here.send(()).unwrap();
                let refused = until_refused();
                work.add("loser");
                refused
            }) => "work",
            _ = reached => {
                log.add("winner");
                "reached"
            },
        }
    }

    #[cancellable]
    async fn joins(log: Log, here: oneshot::Sender<()>) {
        let (one, two) = (log.clone(), log.clone());
        taskscope::join!(
            blocking(move || {
                let refused = until_refused();
                one.add("work");
                refused.unwrap_err();
            }),
            async move {
                defer! { two.add("async"); }
                here.send(()).unwrap();
                pending::<()>().await;
            },
        );
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let won = Scope::new().run(races(log.clone())).await;
        assert_eq!(won.unwrap(), "reached");
        log.is(&["loser", "winner"]);

        let log = Log::new();
        let left = cancel_at(Scope::new(), |here| joins(log.clone(), here));
        assert!(left.await.is_err());
        assert!(log.has("async"));
        assert!(!log.has("never"));
    });
}

/// A few hundred at a time, cancelled as they begin, on a pool of many threads and on
/// one of few.
#[test]
fn hundreds_cancelled_while_they_begin() {
    const TASKS: usize = 300;

    async fn round(delay: usize) -> usize {
        let (begun, dropped) = (Arc::new(AtomicUsize::new(0)), Log::new());
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            for _ in 0..TASKS {
                let (begun, mark) = (begun.clone(), dropped.mark("closure"));
                g.spawn_blocking(move || {
                    let _mark = mark;
                    begun.fetch_add(1, Ordering::SeqCst);
                    until_refused()
                });
            }
            while begun.load(Ordering::SeqCst) < delay {
                yield_now().await;
            }
            g.cancel();
            Ok(())
        });
        group.await.unwrap();
        // The group has returned, so that no closure runs or will run.
        let begun = begun.load(Ordering::SeqCst);
        assert_eq!(dropped.count("drop closure"), TASKS);
        begun
    }

    for threads in [8, 512] {
        watched(|| {
            let mut builder = Builder::new_multi_thread();
            builder.max_blocking_threads(threads).worker_threads(4);
            builder.enable_all().build().unwrap().block_on(async {
                for delay in [0, 1, 4, 8] {
                    assert!(round(delay).await >= delay);
                }
            });
        });
    }
}

/// A closure's captured value that panics when it is dropped.
struct Grenade(&'static str);

impl Drop for Grenade {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("{}", self.0);
        }
    }
}

#[test]
fn a_panic_in_a_captured_values_drop_arrives() {
    // Run to its end, and dropped there.
    both(|| async {
        let grenade = Grenade("at the end");
        let panicked = caught(blocking(move || drop(grenade))).await;
        assert_eq!(text_of(&*panicked.unwrap_err()), "at the end");
    });
    // Never run: dropped by whoever gives it up.
    for runtime in one_blocking_thread() {
        watched(|| {
            runtime.block_on(async {
                let holding = Holding::start().await;
                let grenade = Grenade("withdrawn");
                let run = cancel_at(Scope::new(), |here| async {
                    let mut work = blocking(move || drop(grenade));
                    assert!(poll!(&mut work).is_pending());
                    here.send(()).unwrap();
                    work.await;
                });
                let panicked = caught(run).await;
                assert_eq!(text_of(&*panicked.unwrap_err()), "withdrawn");
                holding.release();
            });
        });
    }
}

/// The thread takes the closure while the async side is stuck and cannot withdraw it.
#[test]
fn a_panic_in_the_drop_of_a_closure_that_the_thread_refuses_arrives() {
    for runtime in one_blocking_thread() {
        watched(|| {
            let panicked = runtime.block_on(async {
                let holding = Holding::start().await;
                let grenade = Grenade("refused by the thread");
                let scope = Scope::new();
                let handle = scope.handle();
                let (dropped, gone) = mpsc::channel::<()>();
                let run = scope.run(async {
                    let mut work = blocking(move || drop((grenade, dropped)));
                    assert!(poll!(&mut work).is_pending());
                    handle.cancel();
                    holding.release();
                    // The sender goes with the closure.
                    gone.recv().unwrap_err();
                    work.await;
                });
                caught(run).await
            });
            let text = text_of(&*panicked.unwrap_err());
            assert_eq!(text, "refused by the thread");
        });
    }
}

#[test]
fn outside_of_a_runtime_it_panics() {
    watched(|| {
        let work = || futures::executor::block_on(blocking(|| ()));
        assert!(std::panic::catch_unwind(work).is_err());
    });
}

/// Polled by a foreign executor after the runtime has gone.
#[test]
fn after_the_runtime_it_says_so() {
    watched(|| {
        let runtime = Builder::new_current_thread().build().unwrap();
        let handle = runtime.handle().clone();
        drop(runtime);
        let _guard = handle.enter();
        let panicked = std::panic::catch_unwind(|| {
            futures::executor::block_on(blocking(|| ()));
        });
        let text = text_of(&*panicked.unwrap_err());
        assert!(text.contains("the runtime is shut down"), "{text}");
    });
}

/// A runtime that goes while closures run and wait: none is run after that.
#[test]
fn a_runtime_that_is_shut_down_drops_what_waits() {
    watch_reports();
    for runtime in one_blocking_thread() {
        watched(|| {
            let log = Log::new();
            let (release, released) = mpsc::channel::<()>();
            let (here, reached) = oneshot::channel();
            let (tell, told) = mpsc::channel();
            let name = "shut_down_runtime";
            let has_workers = runtime.handle().runtime_flavor() == RuntimeFlavor::MultiThread;
            let before = reports_of(name).len();
            let (ran, mark) = (log.clone(), log.mark("waiting"));
            let last = log.mark("scope");
            runtime.spawn(Scope::new().name(name).run(async move {
                // The pool may drop what waits before the runtime drops this.
                let _last = last;
                let running = blocking(move || {
                    here.send(()).unwrap();
                    released.recv().unwrap();
                    tell.send(checkpoint_blocking()).unwrap();
                });
                let waiting = blocking(move || {
                    let _mark = mark;
                    ran.add("ran");
                });
                futures::join!(running, waiting);
            }));
            runtime.block_on(async { reached.await.unwrap() });
            runtime.shutdown_background();
            while !log.has("drop scope") {
                std::thread::yield_now();
            }
            release.send(()).unwrap();
            let refused = told.recv().unwrap().unwrap_err();
            assert!(matches!(refused.reason(), Reason::Dropped));
            let reports = reports_of(name).split_off(before);
            let abandoned = kinds(&reports, ReportKind::Abandoned).len();
            if log.has("ran") {
                // A worker of the runtime took it, as soon as it had nothing else to do.
                assert!(has_workers, "{log:?}");
                assert!(log.at("ran") < log.at("drop scope"), "{log:?}");
                assert!(matches!(abandoned, 1 | 2), "{reports:?}");
            } else {
                log.is(&["drop waiting", "drop scope"]);
                assert_eq!(abandoned, 1, "{reports:?}");
            }
        });
    }
}

/// tokio's clock stands still while blocking work runs, and starts again after it.
#[test]
fn the_paused_clock_waits_for_it() {
    paused_once(|| async {
        let slow = blocking(|| {
            std::thread::sleep(Duration::from_millis(5));
            Value(7)
        });
        let value = timeout(Duration::from_millis(1), slow).await;
        assert_eq!(value.unwrap(), Value(7));
        assert!(timeout(LONG, pending::<()>()).await.is_err());
    });
}
