//! Panics in places that have no caller: a second one, one in a payload's own `Drop`, one
//! in the `Drop` of a result or an error. What is under way comes to its end.

use std::future::pending;
use std::panic::{panic_any, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use taskscope::{
    BoxError, Cause, OnFailure, Outcome, Scope, TaskError, TaskGroup, Value, cancellable, defer,
    join, race, shield,
};
use taskscope_tests::{Driven, Log, both, caught, paused, reports_of, text_of, watch_reports};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::timeout;

/// Panics in its `Drop`, with a payload that does so again, so many times.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

/// Panics in its `Drop`, once it is not needed any more.
struct Loud(&'static str);

impl Drop for Loud {
    fn drop(&mut self) {
        panic_any(self.0);
    }
}

/// Runs it, on the paused clock: what waits for ever fails at once.
async fn ends<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(3600), future)
        .await
        .expect("it comes to its end")
}

#[test]
fn a_payload_that_panics_in_its_drop_holds_no_group_up() {
    watch_reports();
    paused(|| async {
        // In a callback.
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn(async { Value(7) });
            task.on_done(|_| panic_any(Bomb(3)));
            Ok(task)
        });
        assert_eq!(ends(group).await.unwrap().await.unwrap(), 7);

        // In a task whose panic is its own affair.
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                let task = g.spawn(async { panic_any(Bomb(3)) });
                assert!(matches!(task.await, Err(TaskError::Panicked(_))));
                Ok(())
            });
        assert_eq!(ends(group).await.unwrap_err().failures().len(), 1);

        // As the second of two panics.
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, reached) = oneshot::channel();
            let handle = g.handle();
            let second = g.spawn(async move {
                shield(async {
                    here.send(()).unwrap();
                    handle.cancelled().await;
                })
                .await;
                panic_any(Bomb(3))
            });
            reached.await?;
            g.spawn(async { panic!("the first") });
            shield(second).await.ok();
            Ok(())
        });
        let panic = ends(caught(group)).await.err().unwrap();
        assert_eq!(text_of(&*panic), "the first");

        // In a cleanup, after the body's panic.
        #[cancellable]
        async fn cleans_up() {
            defer! {
                yield_now().await;
                panic_any(Bomb(3));
            }
            panic!("the body");
        }
        let panic = ends(caught(cleans_up())).await.unwrap_err();
        assert_eq!(text_of(&*panic), "the body");
    });
}

#[test]
fn a_result_that_panics_in_its_drop_holds_no_group_up() {
    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn(async { Value(Loud("unread")) });
            g.spawn_scoped(async { Value(Loud("unread, scoped")) });
            g.spawn_shielded(async { Value(Loud("unread, shielded")) });
            g.service(async { Value(Loud("unread, of a service")) });
            yield_now().await;
            Ok(7)
        });
        assert_eq!(ends(group).await.unwrap(), 7);

        // Under a cancellation that finds the tasks gone or going.
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            for _ in 0..10 {
                g.spawn(async { Value(Loud("unread")) });
                g.service(pending::<()>());
            }
            yield_now().await;
            g.cancel();
            Ok(8)
        });
        assert_eq!(ends(group).await.unwrap(), 8);
    });
}

#[test]
fn an_error_that_panics_in_its_drop_holds_no_group_up() {
    watch_reports();
    paused(|| async {
        // Those that are not kept are dropped when they happen.
        let group = TaskGroup::<Loud>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                for _ in 0..100 {
                    let task = g.spawn(async { Err::<(), _>(Loud("an error")) });
                    assert!(task.await.is_err());
                }
                Ok(())
            });
        let failed = ends(group).await.err().unwrap();
        assert_eq!((failed.failures().len(), failed.omitted()), (64, 36));
        std::mem::forget(failed);

        // Dropped together with a group that has a scope above.
        let scope = Scope::new().run(async {
            let group = TaskGroup::<Loud>::new()
                .on_failure(OnFailure::Continue)
                .run(async |g| {
                    g.service(pending::<()>());
                    g.spawn(async { Err::<(), _>(Loud("first")) }).await.ok();
                    g.spawn(async { Err::<(), _>(Loud("second")) }).await.ok();
                    pending::<Result<(), _>>().await
                });
            timeout(Duration::from_secs(1), group).await.err().unwrap();
            7
        });
        assert_eq!(ends(scope).await.unwrap(), 7);
    });
}

/// Two panics: the first is resumed, and the second is reported, with its place.
#[test]
fn a_second_panic_is_reported() {
    #[cancellable]
    async fn in_a_cleanup() {
        defer! { resume_unwind(Box::new("second-in-defer")); }
        panic!("first");
    }

    #[cancellable]
    async fn in_drop() {
        let _second = Loud("second-in-drop");
        let () = pending().await;
    }

    #[cancellable]
    async fn in_join() {
        join!(async { panic!("first") }, async {
            yield_now().await;
            resume_unwind(Box::new("second-in-join"));
        });
    }

    #[cancellable]
    async fn in_race() {
        let loser = async {
            let _second = Loud("second-in-race");
            pending::<()>().await;
        };
        race! {
            () = async { yield_now().await; panic!("first") } => {}
            () = loser => {}
        }
    }

    async fn once(text: &str, run: impl Future<Output = ()>) {
        let before = reports_of(text).len();
        let panic = caught(Scope::new().name("second panics").run(run)).await;
        assert_eq!(text_of(&*panic.unwrap_err()), "first");
        let reports = reports_of(text).split_off(before);
        let [report] = &reports[..] else {
            panic!("{text}: {reports:?}");
        };
        assert!(
            report.text.contains("tests/tests/it/panics.rs"),
            "{report:?}"
        );
        assert!(report.text.contains("second panics"), "{report:?}");
    }

    watch_reports();
    both(|| async {
        once("second-in-defer", in_a_cleanup()).await;
        once("second-in-drop", async {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                g.spawn(in_drop());
                yield_now().await;
                panic!("first");
            });
            let _: Result<(), _> = group.await;
        })
        .await;
        once("second-in-deferred", async {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                g.defer(async { resume_unwind(Box::new("second-in-deferred")) });
                panic!("first");
            });
            let _: Result<(), _> = group.await;
        })
        .await;
        once("second-in-join", in_join()).await;
        once("second-in-race", in_race()).await;
    });
}

/// One that panics with a payload that does harms neither the outcome nor the next one.
/// Nobody resumes the panic: what keeps it is dropped while something else still leaves.
#[test]
fn a_panic_that_is_dropped_before_it_is_resumed_is_reported() {
    /// Lets it get as far as it can, and drops it.
    async fn abandoned(what: impl Future) {
        Scope::new()
            .run(async {
                let mut what = Driven::new(what);
                for _ in 0..3 {
                    what.pending();
                    yield_now().await;
                }
            })
            .await
            .unwrap();
    }

    watch_reports();
    paused(|| async {
        // A group's body, while its tasks are waited for.
        abandoned(TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_shielded(pending_for_long());
            if !g.is_empty() {
                panic_any("abandoned: a body");
            }
            Ok(())
        }))
        .await;

        // A scope's, while it waits for what a group left behind.
        abandoned(Scope::new().run(async {
            let mut group = Driven::new(TaskGroup::<BoxError>::new().run(async |g| {
                g.spawn_shielded(pending_for_long());
                pending::<Result<(), BoxError>>().await
            }));
            group.pending();
            drop(group);
            panic_any("abandoned: a scope");
        }))
        .await;

        // What cancels a scope, while that is left.
        let trigger = async { panic_any("abandoned: a trigger") };
        abandoned(
            Scope::new()
                .cancel_when(trigger)
                .run(shield(pending_for_long())),
        )
        .await;

        // A branch, while the others leave.
        abandoned(async {
            join!(
                async { panic_any("abandoned: a branch of join") },
                shield(pending_for_long())
            )
        })
        .await;
    });
    for what in ["a body", "a scope", "a trigger", "a branch of join"] {
        let reports = reports_of(&format!("abandoned: {what}"));
        assert!(!reports.is_empty(), "{what}");
    }
}

/// Long enough for the test, and no longer.
async fn pending_for_long() {
    tokio::time::sleep(Duration::from_secs(60)).await;
}

/// The trigger's panic is resumed; what is lost on the way is reported.
#[test]
fn a_panic_after_that_of_a_trigger_is_reported() {
    watch_reports();
    paused(|| async {
        let trigger = || async { panic_any("of a trigger") };
        let scope = Scope::new().cancel_when(trigger()).run(async {
            let _local = Loud("lost after a trigger: the body");
            pending::<()>().await
        });
        let panic = caught(ends(scope)).await.unwrap_err();
        assert_eq!(text_of(&*panic), "of a trigger");

        let scope = Scope::new()
            .cancel_when(async {
                let _local = Loud("lost after a trigger: another");
                pending::<()>().await
            })
            .cancel_when(trigger())
            .run(pending::<()>());
        let panic = caught(ends(scope)).await.unwrap_err();
        assert_eq!(text_of(&*panic), "of a trigger");

        // The body's value, too.
        let scope = Scope::new().cancel_when(trigger()).run(async {
            shield(yield_now()).await;
            Loud("lost after a trigger: a value")
        });
        let panic = caught(ends(scope)).await.map(drop).unwrap_err();
        assert_eq!(text_of(&*panic), "of a trigger");
    });
    for what in ["the body", "another", "a value"] {
        let reports = reports_of(&format!("lost after a trigger: {what}"));
        assert!(!reports.is_empty(), "{what}");
    }
}

/// A panic is resumed while there is a value that panics in its `Drop`: two at once would
/// abort the process.
#[test]
fn a_value_that_panics_in_its_drop_is_gone_before_a_panic_is_resumed() {
    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn(async {
                yield_now().await;
                panic_any("of a task")
            });
            Ok(Loud("lost beside a panic: a value"))
        });
        let panic = caught(ends(group)).await.map(drop).unwrap_err();
        assert_eq!(text_of(&*panic), "of a task");

        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn(async {
                yield_now().await;
                Err::<(), _>("of a task")
            });
            Ok(Loud("lost beside an error: a value"))
        });
        let failed = ends(group).await.map(drop).unwrap_err();
        assert_eq!(failed.failures().len(), 1);

        let shielded = shield(Both);
        let panic = caught(ends(shielded)).await.map(drop).unwrap_err();
        assert_eq!(text_of(&*panic), "of a future");
    });
    assert!(!reports_of("lost beside a panic: a value").is_empty());
    assert!(!reports_of("lost beside an error: a value").is_empty());
}

/// A future that panics in its `Drop`, and so does its output.
struct Both;

impl Future for Both {
    type Output = Loud;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Loud> {
        Poll::Ready(Loud("of a value"))
    }
}

impl Drop for Both {
    fn drop(&mut self) {
        panic_any("of a future");
    }
}

#[test]
fn a_callback_that_panics_harms_nothing() {
    watch_reports();
    both(|| async {
        let log = Log::new();
        let noted = log.clone();
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async move |g| {
                let task = g.spawn(async { panic_any(Bomb(1)) });
                task.on_done(|_| panic_any(Bomb(2)));
                task.on_done(move |outcome| noted.add(format!("{outcome:?}")));
                assert!(task.await.is_err());
                Ok(())
            });
        let failed = group.await.unwrap_err();
        assert!(matches!(failed.failures()[0].cause(), Cause::Panic(_)));
        log.is(&[&format!("{:?}", Outcome::Panicked)]);
    });
}
