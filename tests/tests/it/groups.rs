//! What groups tell of tasks that cannot go on, of failures below them and of panics that pass through.

use std::future::{Ready, pending};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use taskscope::{
    BoxError, Group, OnFailure, Reason, ReportKind, Scope, TaskError, TaskGroup, TaskSet, Value,
    cancellable, defer, is_stopping, shield, stopping, task_group, timeout,
};
use taskscope_tests::{
    Driven, Log, both, caught, lost_cleanups, paused, reports_of, text_of, watch_reports, watched,
};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

const LONG: Duration = Duration::from_secs(100);

fn stalls(name: &str) -> Vec<String> {
    reports_of(name)
        .into_iter()
        .filter(|seen| seen.kind == ReportKind::Stalled)
        .map(|seen| seen.text)
        .collect()
}

/// Spawns into its own group and awaits the handle.
#[cancellable]
async fn waits_for_sibling(g: Group<'static>, name: &'static str) -> Result<u8, BoxError> {
    Ok(g.spawn_named(name, async { Value(7) }).await?)
}

#[test]
fn tasks_that_wait_for_each_others_places_are_reported() {
    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().name("stall-full").limit(2);
        let group = group.timeout(LONG).run(async |g| {
            let first = g.spawn_named("stall-a", waits_for_sibling(g.clone(), "stall-c"));
            let other = g.spawn_named("stall-b", waits_for_sibling(g.clone(), "stall-d"));
            first.await?;
            other.await?;
            Ok(())
        });
        let before = stalls("stall-full").len();
        let cut = group.await.unwrap_err();
        assert!(matches!(
            cut.cancelled().unwrap().reason(),
            Reason::Deadline
        ));
        let seen = stalls("stall-full");
        assert_eq!(seen.len(), before + 1, "once: {seen:?}");
        assert!(seen[before].contains("task `stall-b` waits for task `stall-d`"));
        assert!(seen[before].contains("all 2 places"), "{seen:?}");
        assert!(seen[before].contains("groups.rs"), "{seen:?}");
    });
}

/// Also from a group and a scope inside the task, and for `reserve`.
#[test]
fn what_waits_inside_a_task_stalls_it_too() {
    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().name("stall-deep").limit(2);
        let group = group.timeout(LONG).run(async |g| {
            let outer = g.clone();
            g.spawn_named("stall-nested", async move {
                let inner = TaskGroup::<BoxError>::new().run(async |inner| {
                    let child = inner.spawn(waits_for_sibling(outer, "stall-queued"));
                    Ok(child.await?)
                });
                shield(inner).await
            });
            let outer = g.clone();
            g.spawn_named("stall-reserves", async move {
                outer.reserve().await.spawn(async {});
            });
            Ok(())
        });
        let before = stalls("stall-deep").len();
        group.await.ok();
        let seen = stalls("stall-deep");
        assert_eq!(seen.len(), before + 1, "{seen:?}");
    });
}

/// A place that becomes free by itself is no stall, and neither is a body that waits.
#[test]
fn waiting_with_a_place_left_is_not_reported() {
    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().name("stall-never").limit(2);
        let group = group.run(async |g| {
            g.spawn(sleep(Duration::from_secs(1)));
            let waits = g.spawn_named("waits", waits_for_sibling(g.clone(), "queued"));
            let last = g.spawn_named("last", async { Value(1) });
            assert_eq!(last.await? + waits.await?, 8);
            let _held = g.reserve().await;
            let waits = g.spawn_named("waits", waits_for_sibling(g.clone(), "queued"));
            sleep(Duration::from_secs(1)).await;
            drop(_held);
            assert_eq!(waits.await?, 7);
            Ok(())
        });
        group.await.unwrap();
        assert_eq!(stalls("stall-never"), Vec::<String>::new());
    });
}

/// A task that was stalled and goes on may stall again, and is not counted twice.
#[test]
fn a_task_that_goes_on_is_not_counted_as_stalled() {
    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().name("stall-passed").limit(2);
        let group = group.run(async |g| {
            let (free, freed) = oneshot::channel::<()>();
            let sibling = g.clone();
            g.spawn_named("tries", async move {
                let child = sibling.spawn(async { Value(1) });
                assert!(timeout(Duration::from_secs(1), child).await.is_err());
                free.send(()).unwrap();
            });
            let sibling = g.clone();
            g.spawn_named("waits", async move {
                freed.await.unwrap();
                sibling.spawn(async { Value(1) }).await.map(drop)
            });
            Ok(())
        });
        group.await.unwrap();
        assert_eq!(stalls("stall-passed"), Vec::<String>::new());
    });
}

/// A group is left because a task failed; below it, another one fails in its cleanup.
#[test]
fn failures_while_a_group_is_left_for_a_failure_are_attached_to_its_error() {
    #[cancellable]
    async fn fails_while_left() -> Result<(), BoxError> {
        let inner = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_shielded(async {
                sleep(Duration::from_secs(2)).await;
                Err::<(), _>("late failure")
            });
            Ok(())
        });
        inner.await?;
        Ok(())
    }

    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new()
            .name("attached")
            .run(async |g| {
                g.spawn_named("left", fails_while_left());
                g.spawn_named("first", async {
                    sleep(Duration::from_secs(1)).await;
                    Err::<(), _>("the first")
                });
                Ok(())
            });
        let failed = group.await.unwrap_err();
        assert_eq!(failed.failures().len(), 1, "{failed}");
        assert_eq!(failed.first().unwrap().name(), "first");
        assert!(failed.cancelled().is_none(), "{failed:?}");
        let [attached] = failed.attached() else {
            panic!("{failed:?}");
        };
        assert!(attached.contains("late failure"), "{attached}");
        assert!(failed.to_string().contains("\n└─ task"), "{failed}");
        assert!(failed.to_string().contains("late failure"), "{failed}");
        let (matching, rest) = failed.split(|error| error.to_string() == "the first");
        assert!(matching.unwrap().attached().is_empty());
        assert_eq!(rest.unwrap().attached().len(), 1);
    });
}

/// The same for a group that was cancelled: its `Cancelled` says the same.
#[test]
fn failures_while_a_group_is_cancelled_are_attached_to_its_error() {
    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().timeout(Duration::from_secs(1));
        let group = group.run(async |_| {
            let inner = TaskGroup::<BoxError>::new().run(async |g| {
                g.spawn_shielded(async {
                    sleep(Duration::from_secs(2)).await;
                    Err::<(), _>("late failure")
                });
                Ok(())
            });
            inner.await.map_err(BoxError::from)
        });
        let failed = group.await.unwrap_err();
        assert_eq!(failed.attached(), failed.cancelled().unwrap().attached());
        assert_eq!(failed.attached().len(), 1, "{failed:?}");
        assert!(failed.to_string().contains("late failure"), "{failed}");
    });
}

/// A panic is resumed through several groups and frames, and named once.
#[test]
fn a_panic_that_passes_through_groups_is_reported_once() {
    fn again(depth: u32) -> Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>> {
        Box::pin(nested(depth))
    }

    #[cancellable]
    async fn nested(depth: u32) -> Result<(), BoxError> {
        defer! { sleep(Duration::from_millis(1)).await; }
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            if depth == 0 {
                g.spawn_named("panic-once-task", async { panic!("panic-once") });
            } else {
                g.spawn_named("panic-once-outer", again(depth - 1));
            }
            sleep(LONG).await;
            Ok(())
        });
        Scope::new().run(group).await??;
        Ok(())
    }

    watch_reports();
    both(|| async {
        let before = reports_of("panic-once").len();
        let panic = caught(nested(3)).await.unwrap_err();
        assert_eq!(text_of(&*panic), "panic-once");
        let seen = reports_of("panic-once");
        assert_eq!(seen.len(), before + 1, "{seen:?}");
        assert!(
            seen[before].text.contains("task `panic-once-task`"),
            "{seen:?}"
        );
    });
}

/// One that a body caught itself hides no later one.
#[test]
fn a_panic_after_one_that_was_caught_is_reported() {
    watch_reports();
    both(|| async {
        let before = reports_of("panic-again").len();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_named("panic-again-outer", async {
                let first = TaskGroup::<BoxError>::new().run(async |g| {
                    g.spawn_named("panic-again-first", async { panic!("first") });
                    Ok(())
                });
                assert!(caught(first).await.is_err());
                sleep(Duration::from_millis(1)).await;
                panic!("again");
            });
            Ok(())
        });
        assert!(caught(group).await.is_err());
        let seen = reports_of("panic-again");
        assert_eq!(seen.len(), before + 2, "{seen:?}");
    });
}

/// Under `Continue`, each is a failure of its task, with no report.
#[test]
fn panics_that_are_failures_are_not_reported() {
    watch_reports();
    both(|| async {
        let group = TaskGroup::<BoxError>::new().on_failure(OnFailure::Continue);
        let group = group.run(async |g| {
            let task = g.spawn_named("panic-quiet", async { panic!("quiet") });
            assert!(matches!(task.await, Err(TaskError::Panicked(_))));
            Ok(())
        });
        assert_eq!(group.await.unwrap_err().failures().len(), 1);
        assert!(reports_of("panic-quiet").is_empty());
    });
}

/// Cancelled together, body and task are left, also when the task is gone first.
#[test]
fn a_body_is_not_failed_by_a_task_that_is_cancelled_with_it() {
    both(|| async {
        for in_a_set in [false, true] {
            let gone = Arc::new(AtomicBool::new(false));
            let (tell, told) = std::sync::mpsc::channel();
            let seen = gone.clone();
            let mut group = Driven::new(TaskGroup::<BoxError>::new().run(async move |g| {
                let task = g.spawn(std::future::pending::<()>());
                task.on_done(move |_| seen.store(true, Ordering::SeqCst));
                tell.send(g.handle())?;
                if in_a_set {
                    let mut set: TaskSet<()> = [task].into_iter().collect();
                    set.next().await.transpose()?;
                } else {
                    task.await?;
                }
                Ok(())
            }));
            group.pending();
            told.recv().unwrap().cancel_with(Reason::Shutdown);
            // The task leaves, and then the body is polled.
            while !gone.load(Ordering::SeqCst) {
                yield_now().await;
            }
            let error = group.finish_yielding().await.unwrap_err();
            assert!(error.failures().is_empty(), "{error}");
            let cancelled = error.cancelled().expect("the group was cancelled");
            assert!(matches!(cancelled.reason(), Reason::Shutdown));
        }
    });
}

/// What a group was to wait for, and did not, is said.
#[test]
fn a_shielded_task_that_is_cut_is_reported() {
    watch_reports();
    paused(|| async {
        let (tell, told) = oneshot::channel();
        let group = TaskGroup::<BoxError>::new()
            .grace(Duration::from_secs(1))
            .run(async |g| {
                let task = g.spawn_shielded(sleep(LONG));
                let named = g.spawn_shielded(async { sleep(Duration::from_millis(1)).await });
                tell.send(task.name()).unwrap();
                g.cancel();
                Ok((task, named))
            });
        let error = group.await.unwrap_err();
        let name = told.await.unwrap();
        let [failure] = error.failures() else {
            panic!("{error}");
        };
        assert_eq!(failure.name(), name);
        assert!(matches!(failure.cause(), taskscope::Cause::Aborted));
        let cut = format!("the shielded task `{name}` exceeded the grace period");
        let reports = reports_of(&cut);
        assert!(!reports.is_empty());
        assert!(reports.iter().all(|r| r.kind == ReportKind::Overrun));
    });
}

/// Counts its end, whether it has run or was given up.
struct Cleanup(Arc<AtomicUsize>);

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A group runs what was deferred while it looked, or does not take it: it neither
/// hangs nor keeps it.
#[test]
fn cleanups_deferred_from_outside_while_the_group_ends() {
    const ROUNDS: usize = 300;
    const CLEANUPS: usize = 20;
    watch_reports();
    both(|| async {
        for _ in 0..ROUNDS {
            let gone = Arc::new(AtomicUsize::new(0));
            let (hand, handed) = std::sync::mpsc::channel::<Group<'static>>();
            let count = gone.clone();
            let outside = std::thread::spawn(move || {
                let g = handed.recv().unwrap();
                for _ in 0..CLEANUPS {
                    let cleanup = Cleanup(count.clone());
                    g.defer(async move { drop(cleanup) });
                }
            });
            let group = TaskGroup::<BoxError>::new().name("deferred-late");
            let group = group.run(async |g| {
                hand.send(g.clone()).unwrap();
                yield_now().await;
                Ok(())
            });
            group.await.unwrap();
            outside.join().unwrap();
            assert_eq!(gone.load(Ordering::Relaxed), CLEANUPS);
        }
    });
}

/// A group whose future is on another runtime than its tasks.
#[test]
fn a_task_that_goes_with_its_runtime_is_a_failure() {
    watched(|| {
        let here = Builder::new_current_thread().build().unwrap();
        for mut flavor in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            let elsewhere = flavor.build().unwrap();
            let mut group = Driven::new(TaskGroup::<BoxError>::new().run(async |g| {
                g.spawn_named("lost", pending::<()>());
                Ok(())
            }));
            elsewhere.block_on(async { group.pending() });
            elsewhere.shutdown_background();
            let error = here.block_on(group.into_future()).unwrap_err();
            let [failure] = error.failures() else {
                panic!("{error}")
            };
            assert_eq!(failure.name(), "lost");
            assert!(failure.to_string().ends_with("): aborted"), "{failure}");
        }
    });
}

/// The scope around it waits for what the group leaves behind, and for no more.
#[test]
fn a_panic_while_a_group_is_dropped_holds_nobody_up() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a panic in a drop");
        }
    }

    #[cancellable]
    async fn slow(cleaned: Arc<AtomicBool>) {
        defer! {
            yield_now().await;
            cleaned.store(true, Ordering::Relaxed);
        }
        pending::<()>().await;
    }

    both(|| async {
        watch_reports();
        let name = "group with a bomb";
        let before = reports_of(name).len();
        let cleaned = Arc::new(AtomicBool::new(false));
        let scope = Scope::new().run(async {
            let (here, reached) = oneshot::channel::<()>();
            let mut group = Driven::new(TaskGroup::<BoxError>::new().name(name).run(async |g| {
                let (bomb, slow) = (Bomb, slow(cleaned.clone()));
                g.spawn(async {
                    let told = async { here.send(()).unwrap() };
                    futures::join!(slow, told);
                });
                g.defer(async {});
                for bomb in [bomb, Bomb] {
                    g.spawn_scoped(async {
                        let _bomb = bomb;
                        pending::<()>().await;
                    });
                }
                Ok(())
            }));
            group.pending();
            reached.await.unwrap();
            let dropped = std::panic::AssertUnwindSafe(|| drop(group));
            std::panic::catch_unwind(dropped).unwrap_err();
        });
        scope.await.unwrap();
        assert!(cleaned.load(Ordering::Relaxed));
        let reports = reports_of(name).split_off(before);
        let lost = |seen: &&taskscope_tests::Seen| seen.kind == ReportKind::LostCleanup;
        assert_eq!(reports.iter().filter(lost).count(), 1, "{reports:?}");
    });
}

/// The closure that makes the body is a part of it: its tasks are cancelled, and unwind.
#[test]
fn a_panic_before_the_body_is_made_cancels_what_was_spawned() {
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(|g| -> Ready<Result<(), BoxError>> {
            g.spawn(pending::<()>());
            g.spawn_scoped(pending::<()>());
            g.defer(async { log.add("deferred") });
            panic!("in the closure")
        });
        let panic = timeout(LONG, caught(group)).await.expect("the group hangs");
        assert_eq!(text_of(&*panic.unwrap_err()), "in the closure");
        log.is(&["deferred"]);
    });
}

/// A body that panics when it is dropped has panicked, whatever it has returned.
#[test]
fn a_panic_in_the_drop_of_a_body_cancels_what_was_spawned() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("a panic in a drop");
        }
    }

    /// Its own drop is that of the future, unlike that of a local in an async block.
    struct Body(Result<(), BoxError>, Bomb);

    impl Future for Body {
        type Output = Result<(), BoxError>;

        fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(std::mem::replace(&mut self.0, Ok(())))
        }
    }

    both(|| async {
        for returned in [Ok(()), Err(BoxError::from("failed"))] {
            let group = TaskGroup::<BoxError>::new().run(|g| {
                g.spawn(pending::<()>());
                g.spawn_scoped(pending::<()>());
                Body(returned, Bomb)
            });
            let panic = timeout(LONG, caught(group)).await.expect("the group hangs");
            assert_eq!(text_of(&*panic.unwrap_err()), "a panic in a drop");
        }
    });
}

/// An error that nobody gets is not lost: its text is in what the scope outside returns.
#[test]
fn errors_of_own_types_are_named_by_their_text() {
    #[derive(Debug)]
    struct Shown;

    impl std::fmt::Display for Shown {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the disk is full")
        }
    }

    impl std::error::Error for Shown {}

    #[derive(Debug)]
    struct Hidden;

    /// Under a scope that is cancelled while the task is in its shield.
    async fn fails<E: Send + 'static>(error: E) -> Result<(), E> {
        shield(sleep(2 * LONG)).await;
        Err(error)
    }

    async fn failures<T>(group: impl Future<Output = T>) -> String {
        timeout(LONG, group)
            .await
            .err()
            .unwrap()
            .attached()
            .join("\n")
    }

    #[cancellable]
    async fn generic<E: std::fmt::Display + Send + 'static>(error: E) {
        let _ = task_group!(error = E, |g| {
            g.spawn(fails(error));
            Ok(())
        })
        .await;
    }

    paused(|| async {
        let shown = task_group!(error = Shown, |g| {
            g.spawn(fails(Shown));
            Ok(())
        });
        assert!(failures(shown).await.contains("failed: the disk is full"));
        assert!(
            failures(generic(Shown))
                .await
                .contains("failed: the disk is full")
        );
        let any = task_group!(error = anyhow::Error, |g| {
            g.spawn(fails(Shown));
            Ok(())
        });
        assert!(failures(any).await.contains("failed: the disk is full"));
        let hidden = task_group!(error = Hidden, |g| {
            g.spawn(fails(Hidden));
            Ok(())
        });
        assert!(failures(hidden).await.contains("Hidden`"));
        let told = TaskGroup::<Hidden>::new()
            .describe(|Hidden| "something hidden".to_owned())
            .run(async |g| {
                g.spawn(fails(Hidden));
                Ok(())
            });
        assert!(failures(told).await.contains("failed: something hidden"));
    });
}

/// It interrupts nothing, so that a shield does not keep it out: a shielded task that
/// works until it is asked to stop would else be waited for until it is aborted.
#[test]
fn stop_reaches_what_is_shielded() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let tasks = [g.spawn_shielded(stopping()), g.service(stopping())];
            let inside = shield(async {
                Scope::new().run(stopping()).await?;
                stopping().await;
                Ok::<_, BoxError>(is_stopping())
            });
            let (stopped, ()) = futures::join!(inside, async { g.stop() });
            assert!(stopped?);
            for task in tasks {
                task.await?;
            }
            // What comes later is told, too.
            g.spawn_shielded(stopping()).await?;
            shield(Scope::new().run(stopping())).await?;
            Ok(())
        });
        group.await.unwrap();

        // Control: a cancellation is kept out.
        let scope = Scope::new();
        let handle = scope.handle();
        let seen = scope.run(async {
            handle.cancel();
            shield(async { is_stopping() }).await
        });
        assert!(!seen.await.unwrap());
        assert!(handle.is_stopping());
    });
}

/// Cleanups that are ready at once let others run in between.
#[test]
fn deferred_cleanups_give_way() {
    paused(|| async {
        let ran = Arc::new(AtomicUsize::new(0));
        let count = ran.clone();
        let mut group = Driven::new(TaskGroup::<BoxError>::new().run(async move |g| {
            for _ in 0..1000 {
                let count = count.clone();
                g.defer(async move {
                    count.fetch_add(1, Ordering::SeqCst);
                });
            }
            Ok(())
        }));
        let mut before = 0;
        let wakes = group.wakes();
        while group.poll().is_pending() {
            let now = ran.load(Ordering::SeqCst);
            assert!(now > before && now - before <= 64, "{now} after {before}");
            before = now;
        }
        assert_eq!(ran.load(Ordering::SeqCst), 1000);
        assert!(group.wakes() - wakes >= 1000 / 64, "it asked to go on");
    });
}

/// One that defers the next is cut at the end of the grace period.
#[test]
fn a_chain_of_deferred_cleanups_ends_with_the_grace_period() {
    fn next(g: Group<'static>, ran: Arc<AtomicUsize>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            ran.fetch_add(1, Ordering::SeqCst);
            g.defer(next(g.clone(), ran));
        })
    }

    watch_reports();
    paused(|| async {
        let before = lost_cleanups("endless chain").len();
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = ran.clone();
        let options = TaskGroup::<BoxError>::new().name("endless chain");
        let options = options.grace(Duration::from_secs(1));
        let mut group = Driven::new(options.run(async move |g: Group<'static>| {
            g.defer(next(g.clone(), counted));
            g.cancel();
            Ok(7)
        }));
        group.pending();
        group.pending();
        assert!(ran.load(Ordering::SeqCst) >= 128, "control: it goes on");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(group.finish().unwrap(), 7);
        assert_eq!(lost_cleanups("endless chain").len(), before + 1);
    });
}

#[cancellable]
async fn slow_to_clean_up() {
    defer! { sleep(Duration::from_secs(100)).await; }
    pending::<()>().await;
}

/// Runs a scope that exceeds its grace period, and takes the error.
async fn overrun_a_scope_inside() {
    let second = Duration::from_secs(1);
    let scope = Scope::new().grace(second).timeout(second);
    scope.run(slow_to_clean_up()).await.unwrap_err();
}

#[test]
fn an_overrun_that_a_scope_inside_has_returned_is_no_fault_of_the_task() {
    watch_reports();
    paused(async || {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.service(async {
                overrun_a_scope_inside().await;
                pending::<()>().await;
            });
            let task = g.spawn(async {
                overrun_a_scope_inside().await;
                pending::<()>().await;
            });
            sleep(Duration::from_secs(10)).await;
            task.cancel();
            assert!(matches!(task.await, Err(TaskError::Cancelled(_))));
            Ok(7)
        });
        assert_eq!(group.await.unwrap(), 7);
    });
}

/// Spawns a service, or defers a cleanup that panics in its drop, when it is dropped.
struct Late(Group<'static>, bool);

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("a bad drop"));
    }
}

impl Drop for Late {
    fn drop(&mut self) {
        if self.1 {
            drop(self.0.service(pending::<()>()));
            return;
        }
        let bad = PanicsInDrop;
        let defer = AssertUnwindSafe(|| {
            self.0.defer(async move {
                let _bad = bad;
            });
        });
        std::panic::catch_unwind(defer).unwrap_err();
    }
}

#[test]
fn what_comes_while_a_group_is_dropped_does_not_hold_the_scope_around() {
    watch_reports();
    for service in [true, false] {
        paused(move || async move {
            let scope = Scope::new().run(async {
                let group = TaskGroup::<BoxError>::new().run(async |g: Group<'static>| {
                    let _late = Late(g.clone(), service);
                    pending::<()>().await;
                    Ok(())
                });
                let cut = tokio::time::timeout(Duration::from_secs(1), group).await;
                assert!(cut.is_err());
            });
            let ended = tokio::time::timeout(Duration::from_secs(9), scope).await;
            ended.expect("the scope never returns").unwrap();
        });
    }
}

#[test]
fn a_deferred_cleanup_can_work_together_with_tasks_of_its_group() {
    for service in [false, true] {
        paused(move || async move {
            let log = Log::new();
            let group = TaskGroup::<BoxError>::new().run({
                let log = log.clone();
                async move |g: Group<'static>| {
                    let inner = g.clone();
                    g.defer(async move {
                        let (tell, mut told) = tokio::sync::mpsc::channel::<u32>(1);
                        let writer = {
                            let log = log.clone();
                            async move {
                                while let Some(n) = told.recv().await {
                                    log.add(n.to_string());
                                }
                            }
                        };
                        let writer = match service {
                            true => inner.service(writer),
                            false => inner.spawn(writer),
                        };
                        for n in 0..3 {
                            tell.send(n).await.unwrap();
                            tokio::task::yield_now().await;
                        }
                        drop(tell);
                        writer.await.unwrap();
                    });
                    Ok(())
                }
            });
            let ended = tokio::time::timeout(Duration::from_secs(9), group).await;
            ended.expect("the group never returns").unwrap();
            log.is(&["0", "1", "2"]);
        });
    }
}

#[test]
fn a_deadline_also_cuts_a_task_that_is_queued() {
    paused(async || {
        let start = Instant::now();
        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            g.spawn_shielded(sleep(Duration::from_secs(10)));
            let queued = g.spawn(async { unreachable!("its time is over") });
            let at = Instant::now() + Duration::from_secs(1);
            queued.handle().set_deadline(at);
            match queued.await {
                Err(TaskError::Cancelled(cancelled)) => assert!(cancelled.is_deadline()),
                other => panic!("{:?}", other.err()),
            }
            assert_eq!(start.elapsed().as_secs(), 1);
            Ok(())
        });
        group.await.unwrap();
    });
}

#[test]
fn reserve_does_not_wait_in_a_group_that_has_ended() {
    paused(async || {
        let group = TaskGroup::<BoxError>::new().limit(1);
        let ended =
            group.run(async |g: Group<'static>| Ok((g.reserve().await, g.clone(), g.reserve())));
        let (_permit, group, waiting) = ended.await.unwrap();
        for reserved in [waiting.boxed(), group.reserve().boxed()] {
            let task = reserved.await.spawn(async {});
            match task.await {
                Err(TaskError::Cancelled(cancelled)) => {
                    assert!(matches!(cancelled.reason(), Reason::Ended));
                }
                other => panic!("{other:?}"),
            }
        }
    });
}
