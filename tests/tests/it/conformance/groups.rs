//! Conformance, D: the life of a group, and what it reports.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use taskscope::{
    BoxError, Cause, Group, GroupError, OnFailure, Reason, Scope, TaskError, TaskGroup, Value,
    cancellable, defer, on_cancel, shield,
};
use taskscope_tests::{Log, both, cancel_at, caught, counted, reports_of, text_of, watch_reports};
use tokio::sync::{Barrier, Notify, oneshot};

/// Parks until it is cancelled; its cleanup suspends.
#[cancellable]
async fn parks(log: Log, name: &'static str, here: oneshot::Sender<()>) {
    defer! {
        tokio::task::yield_now().await;
        log.add(format!("{name} cleaned up"));
    }
    here.send(()).unwrap();
    pending::<()>().await;
    log.add(format!("{name} went on"));
}

/// Parks `names` in the group, and waits until all are parked.
async fn park_all(g: &Group<'static, BoxError>, log: &Log, names: &[&'static str]) {
    for name in names {
        let (here, parked) = oneshot::channel();
        g.spawn_named(*name, parks(log.clone(), name, here));
        parked.await.unwrap();
    }
}

fn names<E>(error: &GroupError<E>) -> Vec<&str> {
    error.failures().iter().map(|f| f.name()).collect()
}

fn texts(error: &GroupError) -> Vec<String> {
    error.errors().map(ToString::to_string).collect()
}

fn is_cancelled<T>(outcome: &Result<T, TaskError>) -> bool {
    matches!(outcome, Err(TaskError::Cancelled(_)))
}

#[test]
fn d03_empty_group_in_a_cancelled_scope_adds_no_error() {
    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let inner = log.clone();
        let left = scope.run(async move {
            handle.cancel();
            // Plain code: this await is no checkpoint, nor is the group.
            let group = TaskGroup::<BoxError>::new().run(async |_| Ok("empty"));
            inner.add(group.await.unwrap());
            taskscope::checkpoint().await;
            inner.add("never");
        });
        assert!(left.await.is_err());
        log.is(&["empty"]);
    });
}

/// Cancelled while it is inside: leaving the group is no checkpoint either.
#[test]
fn d03_group_cancelled_from_outside_in_its_body_keeps_the_value() {
    #[cancellable]
    async fn body(log: Log, handle: taskscope::CancelHandle) {
        let group = TaskGroup::<BoxError>::new().run(async |_| {
            handle.cancel();
            Ok("value")
        });
        log.add(group.await.unwrap());
        taskscope::checkpoint().await;
        log.add("never");
    }

    both(|| async {
        let live = Log::new();
        let other = Scope::new().handle();
        let run = Scope::new().run(body(live.clone(), other));
        run.await.unwrap();
        live.is(&["value", "never"]);

        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(scope.run(body(log.clone(), handle)).await.is_err());
        log.is(&["value"]);
    });
}

#[test]
fn d06_body_error_cancels_children() {
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            park_all(&g, &log, &["a", "b"]).await;
            log.add("body fails");
            Err::<(), _>("body error".into())
        });
        let failed = group.await.unwrap_err();
        log.add("returned");
        assert_eq!(names(&failed), ["body"]);
        assert_eq!(texts(&failed), ["body error"]);
        assert!(failed.cancelled().is_none(), "{failed:?}");
        assert_eq!(log.at("body fails"), 0);
        assert!(log.at("a cleaned up") < log.at("returned"));
        assert!(log.at("b cleaned up") < log.at("returned"));
        assert_eq!(log.entries().len(), 4, "{log:?}");
    });
}

#[test]
fn d07_body_and_child_failures_are_both_listed() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, reached) = oneshot::channel();
            let handle = g.handle();
            g.spawn_named("child", async move {
                shield(async move {
                    here.send(()).unwrap();
                    handle.cancelled().await;
                    Err::<(), _>("child error")
                })
                .await
            });
            reached.await?;
            Err::<(), _>("body error".into())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["body", "child"]);
        assert_eq!(texts(&failed), ["body error", "child error"]);
    });
}

/// The child first: the body, asked to leave, returns an error of its own.
#[test]
fn d07_child_first_then_the_body() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_named("child", async { Err::<(), _>("child error") });
            shield(g.handle().cancelled()).await;
            Err::<(), _>("body error".into())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["child", "body"]);
        assert_eq!(texts(&failed), ["child error", "body error"]);
    });
}

/// The child first, and the body is told; what it returns is its own error.
#[test]
fn d07_body_fails_in_its_own_way_after_a_childs_failure() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let child = g.spawn_named("child", async { Err::<(), _>("child error") });
            assert!(shield(child).await.is_err());
            Err::<(), _>("body error".into())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(texts(&failed), ["child error", "body error"]);
    });
}

#[test]
fn d08_two_failing_children_are_both_listed() {
    both(|| async {
        let together = Arc::new(Barrier::new(2));
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            for name in ["one", "two"] {
                let together = together.clone();
                g.spawn_named(name, async move {
                    together.wait().await;
                    Err::<(), _>(format!("error of {name}"))
                });
            }
            pending::<()>().await;
            Ok(())
        });
        let failed = group.await.unwrap_err();
        let mut listed: Vec<_> = failed
            .failures()
            .iter()
            .map(|f| (f.name(), f.error().unwrap().to_string()))
            .collect();
        listed.sort();
        let expected = ["one", "two"].map(|name| (name, format!("error of {name}")));
        assert_eq!(listed, expected);
        assert_ne!(failed.failures()[0].id(), failed.failures()[1].id());
    });
}

#[test]
fn d10_outside_cancel_is_absorbed_outside() {
    #[cancellable]
    async fn owner(log: Log, here: oneshot::Sender<()>) {
        defer! {
            log.add("owner cleaned up");
        }
        let group = TaskGroup::<BoxError>::new().name("group").run(async |g| {
            park_all(&g, &log, &["1", "2", "3", "4", "5"]).await;
            let _body = log.mark("body");
            here.send(()).unwrap();
            pending::<()>().await;
            log.add("body went on");
            Ok(())
        });
        group.await.ok();
        log.add("the group returned");
    }

    both(|| async {
        let log = Log::new();
        let left = cancel_at(Scope::new().name("outside"), |here| {
            owner(log.clone(), here)
        })
        .await
        .unwrap_err();
        assert_eq!(left.scope(), "outside");
        assert!(matches!(left.reason(), Reason::Requested));
        assert!(left.attached().is_empty(), "{left:?}");

        let entries = log.entries();
        assert_eq!(entries.len(), 7, "{entries:?}");
        for child in ["1", "2", "3", "4", "5"] {
            log.at(&format!("{child} cleaned up"));
        }
        log.at("drop body");
        assert_eq!(log.at("owner cleaned up"), 6, "after body and children");
    });
}

#[test]
fn d14_outer_child_fails_while_the_body_is_in_an_inner_group() {
    both(|| async {
        let log = Log::new();
        let outer = TaskGroup::<BoxError>::new().name("outer").run(async |g| {
            let (open, gate) = oneshot::channel::<()>();
            g.spawn_named("outer child", async move {
                gate.await.unwrap();
                Err::<(), _>("outer error")
            });
            let inner = TaskGroup::<BoxError>::new().name("inner").run(async |g| {
                park_all(&g, &log, &["inner child"]).await;
                open.send(()).unwrap();
                pending::<()>().await;
                Ok(())
            });
            inner.await?;
            log.add("never");
            Ok(())
        });
        let failed = outer.await.unwrap_err();
        assert_eq!(names(&failed), ["outer child"]);
        assert_eq!(texts(&failed), ["outer error"]);
        assert!(failed.cancelled().is_none(), "{failed:?}");
        assert!(!failed.to_string().contains("inner"), "{failed}");
        log.is(&["inner child cleaned up"]);
    });
}

#[test]
fn d15_inner_aggregate_becomes_a_member_of_the_outer_one() {
    both(|| async {
        let log = Log::new();
        let outer = TaskGroup::<BoxError>::new().name("outer").run(async |g| {
            park_all(&g, &log, &["outer child"]).await;
            g.spawn_named("nested", async {
                let inner = TaskGroup::<BoxError>::new().name("inner").run(async |g| {
                    g.spawn_named("culprit", async { Err::<(), _>("root cause") });
                    Ok(())
                });
                inner.await
            });
            pending::<()>().await;
            Ok(())
        });
        let failed = outer.await.unwrap_err();
        assert_eq!(names(&failed), ["nested"]);
        let member = failed.failures()[0].error().unwrap();
        let inner = member.downcast_ref::<GroupError>().expect("nested");
        assert_eq!(names(inner), ["culprit"]);
        assert_eq!(texts(inner), ["root cause"]);

        let text = failed.to_string();
        let path = ["outer", "nested", "inner", "culprit", "root cause"];
        let places: Vec<_> = path.map(|name| text.find(name).expect(name)).into();
        assert!(places.is_sorted(), "{text}");
        log.is(&["outer child cleaned up"]);
    });
}

/// In the body, where `?` passes the inner aggregate on.
#[test]
fn d15_inner_group_in_the_body() {
    both(|| async {
        let log = Log::new();
        let outer = TaskGroup::<BoxError>::new().name("outer").run(async |g| {
            park_all(&g, &log, &["outer child"]).await;
            let inner = TaskGroup::<BoxError>::new().name("inner").run(async |g| {
                g.spawn_named("culprit", async { Err::<(), _>("root cause") });
                Ok(())
            });
            Ok(inner.await?)
        });
        let failed = outer.await.unwrap_err();
        assert_eq!(names(&failed), ["body"]);
        let member = failed.failures()[0].error().unwrap();
        let inner = member.downcast_ref::<GroupError>().expect("nested");
        assert_eq!(names(inner), ["culprit"]);
        log.is(&["outer child cleaned up"]);
    });
}

#[test]
fn d16_failures_are_listed_in_order_of_occurrence() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                let mut tasks = Vec::new();
                for name in ["a", "b", "c"] {
                    let (open, gate) = oneshot::channel::<()>();
                    let task = g.spawn_named(name, async move {
                        gate.await.unwrap();
                        Err::<(), _>(name)
                    });
                    tasks.push(Some((open, task)));
                }
                for index in [1, 2, 0] {
                    let (open, task) = tasks[index].take().unwrap();
                    open.send(()).unwrap();
                    assert!(matches!(task.await, Err(TaskError::Failed)));
                }
                Ok(())
            });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["b", "c", "a"]);
        assert_eq!(failed.first().unwrap().name(), "b");
        let order: Vec<_> = ["b", "c", "a"]
            .map(|name| failed.to_string().find(&format!("`{name}`")).unwrap())
            .into();
        assert!(order.is_sorted(), "{failed}");
    });
}

/// The same where the first failure cancels the others.
#[test]
fn d16_the_failure_that_cancels_comes_first() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, reached) = oneshot::channel();
            let handle = g.handle();
            g.spawn_named("second", async move {
                shield(async move {
                    here.send(()).unwrap();
                    handle.cancelled().await;
                })
                .await;
                Err::<(), _>("while leaving")
            });
            reached.await?;
            g.spawn_named("first", async { Err::<(), _>("the cause") });
            Ok(())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["first", "second"]);
        assert_eq!(failed.first().unwrap().name(), "first");
    });
}

#[test]
fn d18_spawning_into_a_cancelled_group_drops_the_future() {
    both(|| async {
        let (control, control_counts) = counted(async {});
        let (late, late_counts) = counted(async {});
        let (scoped, scoped_counts) = counted(async {});
        let (reserved, reserved_counts) = counted(async {});
        let group = TaskGroup::<BoxError>::new().limit(2).run(async |g| {
            g.spawn(control).await?;
            let permit = g.reserve().await;
            g.cancel();
            let late = g.spawn(late);
            let scoped = g.spawn_scoped(scoped);
            let reserved = permit.spawn(reserved);
            assert!(late.is_finished() && scoped.is_finished() && reserved.is_finished());
            assert!(g.is_empty(), "nothing is left behind");
            Ok((g, [late, scoped, reserved]))
        });
        let (g, handles) = group.await.unwrap();
        assert_eq!((control_counts.polls(), control_counts.drops()), (1, 1));
        for counts in [late_counts, scoped_counts, reserved_counts] {
            assert_eq!((counts.polls(), counts.drops()), (0, 1));
        }
        for handle in handles {
            let outcome = handle.await;
            assert!(is_cancelled(&outcome), "{outcome:?}");
        }

        // And into one that has ended.
        let (ended, ended_counts) = counted(async {});
        let outcome = g.spawn(ended).await;
        assert!(is_cancelled(&outcome), "{outcome:?}");
        assert_eq!((ended_counts.polls(), ended_counts.drops()), (0, 1));
    });
}

#[test]
fn d18_spawning_into_a_failing_group_adds_no_failure() {
    both(|| async {
        let (late, counts) = counted(async { Err::<(), _>("never") });
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_named("fails", async { Err::<(), _>("the one") });
            shield(g.handle().cancelled()).await;
            let outcome = shield(g.spawn_named("late", late)).await;
            let Err(TaskError::Cancelled(cancelled)) = outcome else {
                panic!("{outcome:?}");
            };
            assert!(matches!(cancelled.reason(), Reason::SiblingFailed));
            Ok(())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["fails"]);
        assert_eq!((counts.polls(), counts.drops()), (0, 1));
    });
}

/// Each task hands over to a next one, and in its cleanup to two more.
#[test]
fn d20_multiplying_children_cannot_keep_a_failing_group_alive() {
    struct Alive(Arc<AtomicUsize>);
    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[derive(Clone)]
    struct Breed {
        group: Group<'static, BoxError>,
        live: Arc<AtomicUsize>,
        born: Arc<AtomicUsize>,
        enough: Arc<Notify>,
    }

    fn task(breed: Breed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        breed.live.fetch_add(1, Ordering::SeqCst);
        let alive = Alive(breed.live.clone());
        Box::pin(multiplies(breed, alive))
    }

    #[cancellable]
    async fn multiplies(breed: Breed, _alive: Alive) {
        on_cancel! {
            for _ in 0..2 {
                breed.group.spawn(task(breed.clone()));
                tokio::task::yield_now().await;
            }
        }
        if breed.born.fetch_add(1, Ordering::SeqCst) == 100 {
            breed.enough.notify_one();
        }
        tokio::task::yield_now().await;
        breed.group.spawn(task(breed.clone()));
        if breed.born.load(Ordering::SeqCst).is_multiple_of(3) {
            pending::<()>().await;
        }
    }

    both(|| async {
        let live = Arc::new(AtomicUsize::new(0));
        let born = Arc::new(AtomicUsize::new(0));
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let enough = Arc::new(Notify::new());
            let breed = Breed {
                group: g.clone(),
                live: live.clone(),
                born: born.clone(),
                enough: enough.clone(),
            };
            g.spawn(task(breed));
            g.spawn_named("fails", async move {
                enough.notified().await;
                Err::<(), _>("enough")
            });
            Ok(())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["fails"]);
        assert!(
            born.load(Ordering::SeqCst) > 100,
            "control: they did multiply"
        );
        assert_eq!(live.load(Ordering::SeqCst), 0);
    });
}

#[test]
fn d22_own_cancel_is_absorbed_by_the_group() {
    both(|| async {
        let log = Log::new();
        let (tell, outcome) = oneshot::channel();
        let scope = Scope::new().run(async {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                park_all(&g, &log, &["child"]).await;
                assert!(g.cancel());
                Ok("outcome")
            });
            tell.send(group.await.unwrap()).unwrap();
            assert!(!taskscope::is_cancelled());
            taskscope::checkpoint().await;
            log.add("goes on");
        });
        scope.await.unwrap();
        assert_eq!(outcome.await.unwrap(), "outcome");
        log.is(&["child cleaned up", "goes on"]);
    });
}

/// A body that was left has no value to give: the group says so, and no more.
#[test]
fn d22_own_cancel_with_the_body_left() {
    both(|| async {
        let log = Log::new();
        let scope = Scope::new().run(async {
            let group = TaskGroup::<BoxError>::new().name("own").run(async |g| {
                g.cancel();
                taskscope::checkpoint().await;
                log.add("never");
                Ok(())
            });
            let left = group.await.unwrap_err();
            assert!(left.failures().is_empty(), "{left:?}");
            assert_eq!(left.cancelled().unwrap().scope(), "own");
            taskscope::checkpoint().await;
            log.add("goes on");
        });
        scope.await.unwrap();
        log.is(&["goes on"]);
    });
}

#[test]
fn d23_child_panic_is_resumed_after_the_siblings_cleanup() {
    both(|| async {
        let log = Log::new();
        let (tell, told) = oneshot::channel();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            park_all(&g, &log, &["sibling"]).await;
            let task = g.spawn_named("panics", async {
                tokio::task::yield_now().await;
                panic!("payload of {}", 23);
            });
            tell.send(shield(task).await.unwrap_err()).unwrap();
            taskscope::checkpoint().await;
            log.add("never");
            Ok(())
        });
        let panic = caught(group).await.unwrap_err();
        log.add("resumed");
        assert_eq!(text_of(&*panic), "payload of 23");
        let handle = told.await.unwrap();
        assert!(matches!(&handle, TaskError::Panicked(text) if text == "payload of 23"));
        log.is(&["sibling cleaned up", "resumed"]);
    });
}

/// A payload that is no string arrives as it is.
#[test]
fn d23_payload_is_kept() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn(async { std::panic::panic_any(23_u64) });
            Ok(())
        });
        let panic = caught(group).await.unwrap_err();
        assert_eq!(*panic.downcast::<u64>().unwrap(), 23);
    });
}

/// Under `Continue` a panic is its task's own affair, listed with its name.
#[test]
fn d23_panic_is_listed_with_the_tasks_name() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                let task = g.spawn_named("panics", async { panic!("on purpose") });
                let told = task.await;
                assert!(matches!(told, Err(TaskError::Panicked(_))));
                taskscope::checkpoint().await;
                Ok(())
            });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["panics"]);
        let cause = failed.failures()[0].cause();
        assert!(matches!(cause, Cause::Panic(text) if text == "on purpose"));
        let text = failed.to_string();
        assert!(
            text.contains("panics") && text.contains("on purpose"),
            "{text}"
        );
    });
}

#[test]
fn d24_panic_and_error_together_are_both_shown() {
    watch_reports();
    both(|| async {
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                let panics = g.spawn_named("panics", async { panic!("on purpose") });
                assert!(panics.await.is_err());
                g.spawn_named("fails", async { Err::<(), _>("an error") });
                Ok(())
            });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["panics", "fails"]);
        let text = failed.to_string();
        assert!(
            text.contains("on purpose") && text.contains("an error"),
            "{text}"
        );

        // Where the panic is resumed, the error is reported.
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (here, reached) = oneshot::channel();
            let handle = g.handle();
            g.spawn_named("d24 fails", async move {
                shield(async move {
                    here.send(()).unwrap();
                    handle.cancelled().await;
                    Err::<(), _>("d24 error")
                })
                .await
            });
            reached.await?;
            g.spawn_named("panics", async { panic!("on purpose") });
            Ok(())
        });
        let before = reports_of("d24 error").len();
        let panic = caught(group).await.unwrap_err();
        assert_eq!(text_of(&*panic), "on purpose");
        let reports = reports_of("d24 error");
        assert_eq!(reports.len(), before + 1, "{reports:?}");
        assert!(reports[before].text.contains("d24 fails"), "{reports:?}");
    });
}

#[test]
fn d25_body_panic_stops_the_children() {
    fn panics() -> Result<(), BoxError> {
        panic!("the body panics")
    }

    both(|| async {
        let log = Log::new();
        let handles = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            park_all(&g, &log, &["a", "b"]).await;
            let told = handles.clone();
            let (spun, spins) = oneshot::channel();
            g.spawn(async move {
                let _mark = told.mark("busy");
                spun.send(()).unwrap();
                loop {
                    tokio::task::yield_now().await;
                }
                #[allow(unreachable_code)]
                ()
            });
            spins.await?;
            panics()
        });
        let panic = caught(group).await.unwrap_err();
        log.add("caught");
        assert_eq!(text_of(&*panic), "the body panics");
        handles.is(&["drop busy"]);
        assert_eq!(log.at("caught"), 2, "after the cleanups: {log:?}");
    });
}

#[test]
fn d26_awaited_failure_is_reported_once() {
    watch_reports();
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn_named("fails", async { Err::<(), _>("d26 error") });
            task.await?;
            Ok(())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["fails"]);
        assert_eq!(
            failed.to_string().matches("d26 error").count(),
            1,
            "{failed}"
        );

        // The other policy, where the body goes on to its end.
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                let task = g.spawn_named("fails", async { Err::<(), _>("d26 error") });
                assert!(matches!(task.await, Err(TaskError::Failed)));
                Ok(())
            });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["fails"]);
        assert_eq!(
            failed.to_string().matches("d26 error").count(),
            1,
            "{failed}"
        );
        assert_eq!(reports_of("d26 error").len(), 0);
    });
}

#[test]
fn d27_task_names() {
    async fn fetch_something(here: oneshot::Sender<()>) -> Result<(), BoxError> {
        here.send(()).unwrap();
        pending().await
    }

    async fn fails_by_name() -> Result<(), BoxError> {
        Err("default".into())
    }

    both(|| async {
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                let (here, reached) = oneshot::channel();
                let default = g.spawn(fetch_something(here));
                assert!(default.name().contains("fetch_something"), "{default:?}");
                reached.await?;
                default.cancel();
                let Err(TaskError::Cancelled(cancelled)) = default.await else {
                    panic!("not cancelled")
                };
                let scope = cancelled.scope();
                assert!(scope.contains("fetch_something"), "{scope}");

                let custom = g.spawn_named(String::from("custom"), pending::<()>());
                assert_eq!(custom.name(), "custom");
                custom.cancel();
                let Err(TaskError::Cancelled(cancelled)) = custom.await else {
                    panic!("not cancelled")
                };
                assert_eq!(cancelled.scope(), "custom");

                let permit = g.reserve().await;
                let reserved = permit.spawn_named("reserved", async { Err::<(), _>("custom") });
                assert_eq!(reserved.name(), "reserved");
                assert!(reserved.await.is_err());
                g.spawn(fails_by_name());
                Ok(line!() - 1)
            });
        let failed = group.await.unwrap_err();
        let [reserved, default] = failed.failures() else {
            panic!("{failed:?}")
        };
        assert_eq!(reserved.name(), "reserved");
        assert!(default.name().contains("fails_by_name"));
        assert!(default.location().file().ends_with("groups.rs"));
        assert!(reserved.location().line() < default.location().line());
        let text = failed.to_string();
        let line = format!("groups.rs:{}", default.location().line());
        for shown in ["reserved", "fails_by_name", &line] {
            assert!(text.contains(shown), "`{shown}` in {text}");
        }
    });
}

#[test]
fn d28_results_come_in_spawn_order() {
    both(|| async {
        let log = Log::new();
        let finished = log.clone();
        let group = TaskGroup::<BoxError>::new().run(async move |g| {
            let (first_may, gate) = oneshot::channel::<()>();
            let done = finished.clone();
            let foo = g.spawn(async move {
                gate.await.unwrap();
                done.add("foo");
                Value("foo")
            });
            let bar = g.spawn(async move {
                finished.add("bar");
                first_may.send(()).unwrap();
                Value("bar")
            });
            let mut values = Vec::new();
            for task in [foo, bar] {
                values.push(task.await?);
            }
            Ok(values)
        });
        assert_eq!(group.await.unwrap(), ["foo", "bar"]);
        log.is(&["bar", "foo"]);
    });
}
