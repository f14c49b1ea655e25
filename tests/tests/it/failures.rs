//! Which failures a group lists, which it attaches, and what it keeps of them.

use std::fmt;
use std::future::pending;
use std::io;
use std::panic::panic_any;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use taskscope::{
    BoxError, Group, GroupError, OnFailure, Reason, ReportKind, Scope, TaskError, TaskGroup,
    TaskHandle, Value, cancellable, on_cancel, shield, task_group, timeout,
};
use taskscope_tests::{Driven, Log, both, caught, paused, reports_of, watch_reports};
use tokio::sync::{Barrier, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

fn names<E>(error: &GroupError<E>) -> Vec<&str> {
    error.failures().iter().map(|f| f.name()).collect()
}

/// An own error type, an `Error` with sources.
#[derive(Debug)]
enum Failed {
    Disk,
    Rollback,
    Task(TaskError),
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failed::Disk => "the disk is full",
            Failed::Rollback => "the rollback failed",
            Failed::Task(_) => "a task failed",
        })
    }
}

impl std::error::Error for Failed {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Failed::Task(error) => Some(error),
            Failed::Disk | Failed::Rollback => None,
        }
    }
}

impl From<TaskError> for Failed {
    fn from(error: TaskError) -> Failed {
        Failed::Task(error)
    }
}

/// The same without any trait.
struct Opaque(&'static str);

impl From<TaskError> for Opaque {
    fn from(_: TaskError) -> Opaque {
        Opaque("repeats")
    }
}

/// Each handles the failure of a first attempt, in a group of its own, and later fails
/// for another reason.
#[test]
fn an_error_of_code_that_handled_another_groups_failure_is_listed() {
    async fn worker<E>(n: u32, together: Arc<Barrier>, error: fn(String) -> E) -> Result<(), E>
    where
        E: Send + 'static,
    {
        let attempt = TaskGroup::<E>::new().run(async move |g| {
            let child = g.spawn(async move { Err::<(), _>(error(format!("attempt of {n}"))) });
            assert!(matches!(shield(child).await, Err(TaskError::Failed)));
            Ok(())
        });
        assert!(attempt.await.is_err());
        shield(async move {
            together.wait().await;
            Err(error(format!("worker {n}: own reason")))
        })
        .await
    }

    async fn all_are_listed<E: Send + 'static>(error: fn(String) -> E) {
        let together = Arc::new(Barrier::new(8));
        let group = TaskGroup::<E>::new().run(async move |g| {
            for n in 0..8 {
                g.spawn(worker(n, together.clone(), error));
            }
            pending().await
        });
        let failed: GroupError<E> = group.await.map(|(): ()| ()).unwrap_err();
        assert_eq!(failed.failures().len(), 8);
        assert!(failed.attached().is_empty());
    }

    both(|| async {
        all_are_listed::<anyhow::Error>(|text| anyhow::anyhow!(text)).await;
        all_are_listed::<BoxError>(Into::into).await;
        all_are_listed::<io::Error>(io::Error::other).await;
        all_are_listed::<Failed>(|_| Failed::Disk).await;
        all_are_listed::<Opaque>(|_| Opaque("own")).await;
    });
}

/// The group's own failure was handled, and something else fails after it.
#[test]
fn an_error_after_a_handled_failure_is_kept_whatever_its_type() {
    both(|| async {
        // Asked for its sources: it is not the child's.
        for policy in [OnFailure::Cancel, OnFailure::Continue] {
            let group = task_group!(error = Failed, on_failure = policy, |g| {
                let child = g.spawn_named("child", async { Err::<(), _>(Failed::Disk) });
                assert!(shield(child).await.is_err());
                Err::<(), _>(Failed::Rollback)
            });
            assert_eq!(names(&group.await.unwrap_err()), ["child", "body"]);

            let group = task_group!(error = anyhow::Error, on_failure = policy, |g| {
                let child = g.spawn_named("child", async { Err::<(), _>(Failed::Disk) });
                assert!(shield(child).await.is_err());
                Err::<(), _>(Failed::Rollback)?;
                Ok(())
            });
            assert_eq!(names(&group.await.unwrap_err()), ["child", "body"]);
        }

        // Of a type that says nothing, it may be the child's.
        let group = TaskGroup::<Opaque>::new().run(async |g| {
            let child = g.spawn_named("child", async { Err::<(), _>(Opaque("own")) });
            assert!(shield(child).await.is_err());
            Err::<(), _>(Opaque("rollback"))
        });
        let Err(failed) = group.await else { panic!() };
        assert_eq!(names(&failed), ["child"]);
        let [attached] = failed.attached() else {
            panic!("{:?}", failed.attached());
        };
        assert!(attached.contains("the body failed"), "{attached}");
        assert!(attached.ends_with("in `group > body`"), "{attached}");

        // Its text shows that it is not.
        let group = TaskGroup::<Opaque>::new().describe(|error| error.0.to_owned());
        let group = group.run(async |g| {
            let child = g.spawn_named("child", async { Err::<(), _>(Opaque("own")) });
            assert!(shield(child).await.is_err());
            Err::<(), _>(Opaque("rollback"))
        });
        let Err(failed) = group.await else { panic!() };
        assert_eq!(names(&failed), ["child", "body"]);
    });
}

/// `child.await?` repeats the child's failure: listed once, under both policies.
#[test]
fn an_echo_of_a_known_type_is_listed_once() {
    fn is_listed_once<E>(group: Result<(), GroupError<E>>) {
        let Err(failed) = group else {
            panic!("a task failed");
        };
        assert_eq!(names(&failed), ["child"]);
        assert_eq!(failed.attached(), [""; 0]);
        assert_eq!(failed.omitted(), 0);
    }

    both(|| async {
        for policy in [OnFailure::Cancel, OnFailure::Continue] {
            is_listed_once(
                task_group!(on_failure = policy, |g| {
                    let child = g.spawn_named("child", async { Err::<(), _>("own") });
                    shield(child).await?;
                    Ok(())
                })
                .await,
            );
            is_listed_once(
                task_group!(error = io::Error, on_failure = policy, |g| {
                    let child =
                        g.spawn_named("child", async { Err::<(), _>(io::Error::other("")) });
                    shield(child).await?;
                    Ok(())
                })
                .await,
            );
            is_listed_once(
                task_group!(error = anyhow::Error, on_failure = policy, |g| {
                    let child = g.spawn_named("child", async { Err::<(), _>(Failed::Disk) });
                    let sibling = g.clone();
                    g.spawn_named("sibling", async move {
                        drop(sibling);
                        shield(child).await?;
                        Ok(())
                    });
                    Ok(())
                })
                .await,
            );
            is_listed_once(
                task_group!(error = Failed, on_failure = policy, |g| {
                    let child = g.spawn_named("child", async { Err::<(), _>(Failed::Disk) });
                    shield(child).await?;
                    Ok(())
                })
                .await,
            );
            let builder = TaskGroup::<anyhow::Error>::new().on_failure(policy);
            is_listed_once(
                builder
                    .as_error(|error| error.as_ref())
                    .run(async |g| {
                        let child = g.spawn_named("child", async { Err::<(), _>(Failed::Disk) });
                        shield(child).await?;
                        Ok(())
                    })
                    .await,
            );
        }
    });
}

/// An own group, with the failure of its task as one error.
async fn panics_with(text: &'static str) -> Result<(), BoxError> {
    let group = TaskGroup::<BoxError>::new().on_failure(OnFailure::Continue);
    let group = group.run(async |g| {
        g.spawn(async move { panic_any(text) });
        Ok(())
    });
    group.await.map_err(GroupError::into_first)
}

/// What a group further in, or a channel, says of a task is no echo, even where the code
/// has handled a failure of its own group before.
#[test]
fn a_task_error_from_elsewhere_is_listed_after_a_handled_failure() {
    async fn fails_after(
        first: impl Future<Output = Result<(), BoxError>> + Send + 'static,
        second: impl Future<Output = Result<(), BoxError>> + Send + 'static,
    ) -> GroupError {
        let group = TaskGroup::<BoxError>::new().on_failure(OnFailure::Continue);
        let group = group.run(async move |g| {
            let first = g.spawn_named("first", first);
            g.spawn_named("second", async move {
                assert!(first.await.is_err());
                second.await
            });
            Ok(())
        });
        group.await.unwrap_err()
    }

    both(|| async {
        let own = || async { Err::<(), BoxError>("own".into()) };
        let failed = fails_after(own(), panics_with("the disk is gone")).await;
        assert_eq!(names(&failed), ["first", "second"]);
        let sent = TaskError::Panicked("elsewhere".to_owned());
        let failed = fails_after(own(), async { Err(sent.into()) }).await;
        assert_eq!(names(&failed), ["first", "second"]);
        let panics = async { panic_any("own") };
        let failed = fails_after(panics, async { Err(TaskError::Failed.into()) }).await;
        assert_eq!(names(&failed), ["first", "second"]);

        // Of the same text, it may be either.
        let panics = async { panic_any("the disk is gone") };
        let failed = fails_after(panics, panics_with("the disk is gone")).await;
        assert_eq!(names(&failed), ["first"]);
        assert_eq!(failed.attached().len(), 1, "{failed}");

        // One that was aborted may be, too.
        let failed = fails_after(own(), async { Err(TaskError::Aborted.into()) }).await;
        assert_eq!(names(&failed), ["first"]);
        assert_eq!(failed.attached().len(), 1, "{failed}");
    });
}

/// A handle of a task whose own error was an echo says that it failed: an echo again.
#[test]
fn an_echo_of_an_echo_is_listed_once() {
    watch_reports();
    both(|| async {
        let group = TaskGroup::<BoxError>::new().on_failure(OnFailure::Continue);
        let group = group.run(async |g| {
            let first = g.spawn_named("first", async { panic_any("own") });
            let second = g.spawn_named("second", async move {
                first.await.map(drop)?;
                Ok::<_, BoxError>(())
            });
            let third = g.spawn_named("third", async move {
                second.await?;
                Ok::<_, BoxError>(())
            });
            shield(third).await?;
            Ok(())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["first"]);
        assert_eq!(failed.attached(), [""; 0]);
    });
}

/// Where it cannot be asked, it is attached: neither first, nor lost.
#[test]
fn an_echo_of_an_unknown_type_is_attached() {
    both(|| async {
        for policy in [OnFailure::Cancel, OnFailure::Continue] {
            let group = TaskGroup::<anyhow::Error>::new().on_failure(policy);
            let group = group.run(async |g| {
                let child = g.spawn_named("child", async { Err::<(), _>(Failed::Disk) });
                shield(child).await?;
                Ok(())
            });
            let failed = group.await.unwrap_err();
            assert_eq!(names(&failed), ["child"]);
            assert_eq!(failed.attached().len(), 1, "{failed}");
        }
    });
}

/// A `TaskError` is the failure itself where it comes from another group's handle.
#[test]
fn the_handle_of_another_group_tells_of_no_failure_of_this_one() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let mut handle = None;
            let other = TaskGroup::<BoxError>::new().run(async |other| {
                handle = Some(other.spawn(async { Err::<(), _>("elsewhere") }));
                Ok(())
            });
            assert!(other.await.is_err());
            let handle: TaskHandle<()> = handle.unwrap();
            let together = Arc::new(Barrier::new(2));
            let first = together.clone();
            g.spawn_named("first", async move {
                shield(first.wait()).await;
                Err::<(), _>("first")
            });
            let cancelled = g.handle();
            g.spawn_named("elsewhere", async move {
                shield(async move {
                    together.wait().await;
                    cancelled.cancelled().await;
                    handle.await
                })
                .await
            });
            Ok(())
        });
        let failed = group.await.unwrap_err();
        assert_eq!(names(&failed), ["first", "elsewhere"]);
    });
}

/// A group that goes on keeps the first failures, counts the others, and reports each.
#[test]
fn failures_of_a_group_that_goes_on_are_bounded() {
    watch_reports();
    both(|| async {
        let before = reports_of("bounded-failure").len();
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                for n in 0..200 {
                    let task = g.spawn_named("bounded-failure", async move {
                        Err::<(), _>(format!("number {n}"))
                    });
                    assert!(task.await.is_err());
                    let reported = reports_of("bounded-failure").len() - before;
                    assert_eq!(
                        reported,
                        (n + 1_usize).saturating_sub(64),
                        "when it happens"
                    );
                }
                Ok(())
            });
        let failed = group.await.unwrap_err();
        assert_eq!((failed.failures().len(), failed.omitted()), (64, 136));
        assert_eq!(failed.errors().last().unwrap().to_string(), "number 63");
        let text = failed.to_string();
        assert!(
            text.starts_with("group `group`: 200 tasks failed"),
            "{text}"
        );
        assert!(text.contains("and 136 more"), "{text}");
        let (numbers, rest) = failed.split(|_| true);
        assert_eq!(numbers.unwrap().omitted(), 0);
        assert_eq!(rest.unwrap().omitted(), 136);
    });
}

/// What ends the group is always there, whatever failed before.
#[test]
fn the_bodys_failure_is_listed_after_many_others() {
    watch_reports();
    both(|| async {
        let group = TaskGroup::<BoxError>::new()
            .on_failure(OnFailure::Continue)
            .run(async |g| {
                for _ in 0..100 {
                    g.spawn_named("many-before", async { Err::<(), _>("bad luck") })
                        .await
                        .ok();
                }
                Err::<(), _>("the end".into())
            });
        let failed = group.await.unwrap_err();
        assert_eq!(failed.failures().last().unwrap().name(), "body");
        assert_eq!((failed.failures().len(), failed.omitted()), (65, 36));
    });
}

/// A value whose drops are counted.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn an_error_that_is_not_kept_is_dropped_when_it_happens() {
    watch_reports();
    both(|| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let seen = dropped.clone();
        let group = TaskGroup::<Counted>::new()
            .on_failure(OnFailure::Continue)
            .run(async move |g| {
                for n in 0..1000 {
                    let error = Counted(seen.clone());
                    g.spawn_named("dropped at once", async { Err::<(), _>(error) })
                        .await
                        .ok();
                    assert_eq!(
                        seen.load(Ordering::SeqCst),
                        (n + 1_usize).saturating_sub(64)
                    );
                }
                Ok(())
            });
        let failed = group.await.err().unwrap();
        assert_eq!(dropped.load(Ordering::SeqCst), 1000 - 64);
        drop(failed);
        assert_eq!(dropped.load(Ordering::SeqCst), 1000);
    });
}

#[test]
fn an_ended_service_and_its_result_are_gone_before_the_group_is() {
    both(|| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let seen = dropped.clone();
        let group = TaskGroup::<BoxError>::new().run(async move |g| {
            for n in 1..=1000 {
                let value = Counted(seen.clone());
                let service = g.service(async { Value(value) });
                while !service.is_finished() {
                    yield_now().await;
                }
                drop(service);
                while seen.load(Ordering::SeqCst) < n || !g.is_empty() {
                    yield_now().await;
                }
            }
            Ok(())
        });
        group.await.unwrap();
        assert_eq!(dropped.load(Ordering::SeqCst), 1000);
    });
}

/// A service spawns another one while it is left, and from another thread comes a third.
#[test]
fn services_that_come_late_are_cancelled_too() {
    #[cancellable(allow(detached))]
    async fn succeeded(g: Group<'static>, begun: oneshot::Sender<()>) {
        on_cancel! {
            g.service(pending::<()>());
            std::thread::spawn(move || drop(g.service(pending::<()>())));
        }
        begun.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (begun, has_begun) = oneshot::channel();
            g.service(succeeded(g.clone(), begun));
            has_begun.await?;
            Ok(())
        });
        group.await.unwrap();
    });
}

/// Who was cancelled for a failure is told whose it was, and what it was.
#[test]
fn siblings_are_told_which_task_failed() {
    async fn told<E: Send + 'static>(
        group: TaskGroup<E>,
        fails: impl FnOnce(&Group<'_, E>) -> Result<(), E> + Send,
    ) -> taskscope::Cancelled {
        let mut sibling = None;
        let group = group.name("told").run(async |g| {
            let (here, reached) = oneshot::channel();
            sibling = Some(g.spawn_named("sibling", async move {
                here.send(()).ok();
                pending::<()>().await;
            }));
            reached.await.ok();
            fails(&g)
        });
        drop(caught(group).await);
        match sibling.unwrap().await {
            Err(TaskError::Cancelled(cancelled)) => cancelled,
            other => panic!("{other:?}"),
        }
    }

    watch_reports();
    both(|| async {
        let cancelled = told(TaskGroup::<BoxError>::new(), |g| {
            g.spawn_named("culprit", async { Err::<(), _>("no such table") });
            Ok(())
        })
        .await;
        assert!(matches!(cancelled.reason(), Reason::SiblingFailed));
        assert_eq!(cancelled.culprit(), Some("culprit"));
        assert_eq!(
            cancelled.to_string(),
            "`told` was cancelled: sibling `culprit` failed: no such table"
        );
        assert_eq!(
            TaskError::Cancelled(cancelled).to_string(),
            "task `sibling` was cancelled: sibling `culprit` failed: no such table"
        );

        let body = told(TaskGroup::<BoxError>::new(), |_| Err("own".into())).await;
        assert_eq!(body.culprit(), Some("body"));
        let panics = told(TaskGroup::<BoxError>::new(), |g| {
            g.spawn_named("culprit", async { panic!("on purpose") });
            Ok(())
        })
        .await;
        let text = panics.to_string();
        assert!(
            text.ends_with("sibling `culprit` panicked: on purpose"),
            "{text}"
        );
        let typed = told(
            TaskGroup::<Opaque>::new().describe(|error| error.0.to_owned()),
            |g| {
                g.spawn_named("culprit", async { Err::<(), _>(Opaque("described")) });
                Ok(())
            },
        )
        .await;
        assert!(typed.to_string().ends_with("failed: described"), "{typed}");

        // One that was cancelled for another reason has no culprit.
        let alone = Scope::new();
        alone.handle().cancel();
        let alone = alone.run(pending::<()>()).await.unwrap_err();
        assert_eq!(alone.culprit(), None);
    });
}

/// An error whose text panics.
struct Untellable;

impl fmt::Display for Untellable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic_any("no text")
    }
}

#[test]
fn an_error_whose_display_panics_holds_nothing_up() {
    watch_reports();
    paused(|| async {
        // A group that is dropped while one of its tasks is still being left.
        let before = reports_of("untellable").len();
        let log = Log::new();
        let scope = Scope::new().run(async {
            let (failed, has_failed) = oneshot::channel();
            let options = TaskGroup::new()
                .name("untellable")
                .describe(Untellable::to_string);
            let options = options.on_failure(OnFailure::Continue);
            let mut group = Driven::new(options.run(async |g| {
                g.service(pending::<()>());
                g.defer(async {});
                g.spawn(async { Err::<(), _>(Untellable) })
                    .on_done(move |_| failed.send(()).unwrap());
                pending::<Result<(), Untellable>>().await
            }));
            group.pending();
            has_failed.await.unwrap();
            drop(group);
            log.add("dropped");
        });
        timeout(SECOND, scope).await.unwrap().unwrap();
        log.is(&["dropped"]);
        let mut reports = reports_of("untellable").split_off(before);
        reports.retain(|seen| seen.kind == ReportKind::Unreported);
        let [report] = &reports[..] else {
            panic!("{reports:?}");
        };
        assert!(
            report.text.contains("an error whose Display panics"),
            "{report:?}"
        );

        // And one that is cancelled from outside.
        let group = task_group!(name = "untellable", error = Untellable, |g| {
            g.spawn_shielded(async {
                sleep(2 * SECOND).await;
                Err::<(), _>(Untellable)
            });
            Ok(())
        });
        let left = timeout(SECOND, group).await.err().unwrap();
        assert_eq!(left.attached().len(), 1, "{left}");
        assert!(left.attached()[0].contains("an error whose Display panics"));
    });
}

/// What fails after the cancellation is attached and reported, and no failure.
#[test]
fn what_fails_after_a_cancellation_is_not_the_groups_own_failure() {
    watch_reports();
    paused(|| async {
        let before = reports_of("late-answer").len();
        let group = TaskGroup::<BoxError>::new()
            .name("actors")
            .timeout(SECOND)
            .run(async |g| {
                // The actor is left first, and drops what others wait for.
                let (answer, answered) = oneshot::channel::<()>();
                g.spawn_named("actor", async move {
                    let _answer = answer;
                    pending::<()>().await;
                });
                g.spawn_named("late-answer", async move { shield(answered).await });
                Ok(())
            });
        let failed = group.await.unwrap_err();
        assert!(failed.failures().is_empty(), "{failed:?}");
        assert!(matches!(
            failed.cancelled().unwrap().reason(),
            Reason::Deadline
        ));
        assert_eq!(failed.attached().len(), 1, "{failed:?}");
        assert!(
            failed.attached()[0].ends_with("in `actors > late-answer`"),
            "{failed:?}"
        );
        let text = failed.to_string();
        assert!(
            text.starts_with("group `actors` was cancelled: deadline"),
            "{text}"
        );
        assert!(
            !text.contains("tasks failed") && !text.contains("1 task"),
            "{text}"
        );
        assert_eq!(failed.errors().count(), 1, "with its type, too");
        assert_eq!(reports_of("late-answer").len(), before + 1);
    });
}

/// Attached failures name the way to them, through all groups.
#[test]
fn attached_failures_name_their_path() {
    watch_reports();
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().name("outer").run(async |g| {
            g.spawn_named("t", async {
                let inner = TaskGroup::<BoxError>::new().name("inner").run(async |g| {
                    for n in 0..5 {
                        g.spawn_named(format!("u{n}"), async move {
                            shield(sleep(2 * SECOND)).await;
                            Err::<(), _>("late")
                        });
                    }
                    Ok(())
                });
                Ok::<_, BoxError>(inner.await?)
            });
            Ok(())
        });
        let left = timeout(SECOND, group).await.unwrap_err();
        assert_eq!(left.attached().len(), 5, "{left}");
        for n in 0..5 {
            let path = format!("timeout > outer > t > inner > u{n}");
            assert!(
                left.attached().iter().any(|line| line.contains(&path)),
                "{left}"
            );
        }
    });
}

/// A group that is dropped in a scope that goes on leaves it nothing.
#[test]
fn failures_of_dropped_groups_are_attached_to_cancelled_scopes_alone() {
    watch_reports();
    paused(|| async {
        let before = reports_of("dropped-fails").len();
        let scope = Scope::new();
        let handle = scope.handle();
        let left = scope.run(async move {
            for _ in 0..3 {
                let (failed, has_failed) = oneshot::channel();
                let group = TaskGroup::<BoxError>::new().on_failure(OnFailure::Continue);
                let mut group = Driven::new(group.run(async |g| {
                    g.spawn_named("dropped-fails", async { Err::<(), _>("nobody asks") })
                        .on_done(move |_| failed.send(()).unwrap());
                    pending::<Result<(), BoxError>>().await
                }));
                group.pending();
                has_failed.await.unwrap();
                drop(group);
            }
            handle.cancel();
            pending::<()>().await;
        });
        let left = left.await.unwrap_err();
        assert!(left.attached().is_empty(), "{left}");
        assert_eq!(reports_of("dropped-fails").len(), before + 3);
    });
}

#[test]
fn a_deadline_names_its_limit() {
    paused(|| async {
        let limit = Duration::from_millis(1500);
        let late = timeout(limit, pending::<()>()).await.unwrap_err();
        let at = format!("{}:{}", file!(), line!() - 1);
        assert_eq!(
            late.to_string(),
            format!("`timeout` ({at}) was cancelled: deadline of 1.5s passed")
        );
        let location = late.location();
        assert_eq!(format!("{}:{}", location.file(), location.line()), at);
        assert!(late.is_deadline() && late.reason().is_deadline() && !late.is_shutdown());

        // What runs below, and a group, say the same.
        let mut task = None;
        let group = TaskGroup::<BoxError>::new().name("import").timeout(limit);
        let group = group.run(async |g| {
            task = Some(g.spawn_named("reader", pending::<()>()));
            Ok(())
        });
        let error = group.await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "group `import` was cancelled: deadline of 1.5s passed"
        );
        let told = task.unwrap().await.unwrap_err();
        assert_eq!(
            told.to_string(),
            "task `reader` was cancelled: deadline of 1.5s passed"
        );

        // The earlier one counts, and one that was made from no timeout has no limit.
        let at = tokio::time::Instant::now() + SECOND;
        let scope = Scope::new().deadline(at).timeout(2 * SECOND);
        let late = scope.run(pending::<()>()).await.unwrap_err();
        assert!(late.to_string().ends_with("deadline passed"), "{late}");
        let scope = Scope::new().timeout(SECOND);
        scope
            .handle()
            .set_deadline(tokio::time::Instant::now() + 3 * SECOND);
        let late = scope.run(pending::<()>()).await.unwrap_err();
        assert!(
            late.to_string().ends_with("deadline of 1s passed"),
            "{late}"
        );
    });
}

#[test]
fn debug_prints_what_display_does() {
    async fn failed<E: Send + 'static>(group: TaskGroup<E>, error: E) -> GroupError<E> {
        let group = group.name("import").run(async |g| {
            g.spawn_named("users", async { Err::<(), _>(error) });
            Ok(())
        });
        match group.await {
            Ok(()) => panic!("a task failed"),
            Err(error) => error,
        }
    }

    both(|| async {
        let error = failed::<BoxError>(TaskGroup::new(), "no such table".into()).await;
        assert_eq!(format!("{error:?}"), error.to_string());
        assert!(format!("{error:#?}").starts_with("GroupError {\n"));
        let error = failed(TaskGroup::new().as_error(|error| error), Failed::Disk).await;
        assert_eq!(format!("{error:?}"), error.to_string());
        // Its `Display` is not known.
        let error = failed(TaskGroup::new(), Failed::Disk).await;
        assert!(format!("{error:?}").ends_with(": Disk"), "{error:?}");
    });
}

#[test]
fn a_groups_error_becomes_an_io_error() {
    async fn io<E>(group: TaskGroup<E>, error: Option<E>) -> io::Result<()>
    where
        E: fmt::Debug + fmt::Display + Send + Sync + 'static,
    {
        group
            .timeout(SECOND)
            .run(async |g| {
                if let Some(error) = error {
                    g.spawn_named("users", async { Err::<(), _>(error) });
                }
                pending().await
            })
            .await?;
        Ok(())
    }

    paused(|| async {
        let found = io::Error::from(io::ErrorKind::NotFound);
        let error = io(TaskGroup::<io::Error>::new(), Some(found))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("users"), "{error}");
        let error = io(TaskGroup::<BoxError>::new(), Some("other".into())).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::Other);
        let error = io(TaskGroup::<BoxError>::new(), None).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
    });
}
