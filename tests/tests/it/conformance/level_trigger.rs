//! Conformance, B: cancellation is a level, not an edge; nothing swallows it.

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::time::Duration;

use taskscope::{
    BoxError, CancelHandle, Cancelled, Reason, Scope, TaskError, TaskGroup, Value, cancellable,
    defer,
};
use taskscope_tests::{Driven, Log, both, cancel_at, counted, paused};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

#[test]
fn b02_there_is_no_error_to_swallow() {
    #[cancellable]
    async fn ignores_everything(
        log: Log,
        first: oneshot::Receiver<u32>,
        second: impl Future<Output = Result<(), BoxError>>,
        third: impl Future<Output = Result<(), BoxError>>,
    ) -> u32 {
        let got = first.await.map_err(|_| "lost").unwrap_or_default();
        log.add(format!("first gave {got}"));
        second.await.ok();
        let _ = third.await;
        log.add("end");
        got
    }

    async fn refuses() -> Result<(), BoxError> {
        Err("no".into())
    }

    both(|| async {
        for cancelled in [false, true] {
            let log = Log::new();
            let (send, first) = oneshot::channel::<u32>();
            let (second, seconds) = counted(refuses());
            let (third, thirds) = counted(refuses());
            let scope = Scope::new();
            let handle = scope.handle();
            let mut run =
                Driven::new(scope.run(ignores_everything(log.clone(), first, second, third)));
            run.pending();
            if cancelled {
                handle.cancel();
            }
            drop(send); // the first operation fails, and that is ignored
            let outcome = run.finish();
            if cancelled {
                assert!(outcome.is_err());
                log.is(&["first gave 0"]);
                assert_eq!((seconds.polls(), thirds.polls()), (0, 0));
            } else {
                assert_eq!(outcome.unwrap(), 0);
                log.is(&["first gave 0", "end"]);
                assert_eq!((seconds.polls(), thirds.polls()), (1, 1));
            }
        }
    });
}

/// As a task of a group: it ends as cancelled, whatever it ignored.
#[test]
fn b02_a_task_that_ignores_errors_ends_cancelled() {
    #[cancellable]
    async fn ignores(here: oneshot::Sender<()>, third: impl Future<Output = ()>) {
        here.send(()).unwrap();
        for _ in 0..2 {
            let _ = std::panic::AssertUnwindSafe(pending::<Result<(), BoxError>>()).await;
        }
        third.await;
    }

    both(|| async {
        let (third, thirds) = counted(async {});
        let outcome = TaskGroup::<BoxError>::new()
            .run(async |g| {
                let (here, reached) = oneshot::channel();
                let task = g.spawn(ignores(here, third));
                reached.await.unwrap();
                task.cancel();
                let left = task.await;
                assert!(matches!(left, Err(TaskError::Cancelled(_))), "{left:?}");
                Ok(())
            })
            .await;
        outcome.unwrap();
        assert_eq!(thirds.polls(), 0);
    });
}

#[test]
fn b03_retry_loop_with_backoff_is_left_at_once() {
    struct Resource(Log);

    impl Resource {
        async fn connect(&mut self) -> Result<(), BoxError> {
            self.0.add("connect");
            Err("refused".into())
        }
    }

    #[cancellable]
    async fn retry(mut resource: Resource) {
        let mut backoff = Duration::from_secs(1);
        while resource.connect().await.is_err() {
            sleep(backoff).await;
            backoff *= 2;
        }
    }

    paused(|| async {
        let log = Log::new();
        let start = Instant::now();
        let scope = Scope::new();
        let handle = scope.handle();
        let run = scope.run(retry(Resource(log.clone())));
        let cancelling = async {
            // Attempts at 0, 1 and 3 s; the next would be at 7 s.
            sleep(Duration::from_secs(4)).await;
            handle.cancel();
        };
        let (outcome, ()) = futures::join!(run, cancelling);
        assert!(matches!(outcome.unwrap_err().reason(), Reason::Requested));
        assert_eq!(start.elapsed(), Duration::from_secs(4));
        sleep(Duration::from_secs(60)).await;
        log.is(&["connect", "connect", "connect"]);
    });
}

#[test]
fn b04_cancelled_from_an_inner_boundary_is_an_ordinary_value() {
    #[cancellable]
    async fn by_timeout() -> Result<Value<u32>, BoxError> {
        match taskscope::timeout(Duration::from_secs(1), pending::<()>()).await {
            Err(late) if matches!(late.reason(), Reason::Deadline) => {}
            other => panic!("{other:?}"),
        }
        taskscope::checkpoint().await;
        assert!(!taskscope::is_cancelled());
        Ok(Value(42))
    }

    #[cancellable]
    async fn by_scope() -> Result<u32, BoxError> {
        let scope = Scope::new();
        let handle = scope.handle();
        let left = scope
            .run(async move {
                handle.cancel();
                pending::<()>().await
            })
            .await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Requested));
        taskscope::checkpoint().await;
        Ok(42)
    }

    paused(|| async {
        let outcome = TaskGroup::<BoxError>::new()
            .run(async |g| {
                let timed = g.spawn(by_timeout());
                let scoped = g.spawn(by_scope());
                Ok((timed.await.unwrap().0, scoped.await.unwrap()))
            })
            .await;
        assert_eq!(outcome.unwrap(), (42, 42));
    });
}

#[derive(Debug)]
struct Outside;

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("outside")
    }
}

impl Error for Outside {}

/// The outside cancel is not lost; and since a group under a cancelled outer
/// scope does not return, there is no error of it to swallow: the failure is
/// attached to what the outermost boundary returns.
#[test]
fn b07_outside_cancel_while_a_group_is_failing_is_delivered() {
    #[cancellable]
    async fn swallows(log: Log, failing: oneshot::Sender<()>, released: oneshot::Receiver<()>) {
        let outcome = TaskGroup::<BoxError>::new()
            .run(async |g| {
                let slow = log.clone();
                let (here, reached) = oneshot::channel();
                g.spawn(slow_to_leave(slow, here, failing, released));
                reached.await.unwrap();
                g.spawn_named("culprit", async {
                    Err::<(), BoxError>("broken pipe".into())
                });
                pending::<()>().await;
                Ok(())
            })
            .await;
        log.add("the group returned");
        outcome.ok();
        taskscope::checkpoint().await;
        log.add("after the next await");
    }

    #[cancellable]
    async fn slow_to_leave(
        log: Log,
        here: oneshot::Sender<()>,
        failing: oneshot::Sender<()>,
        released: oneshot::Receiver<()>,
    ) {
        defer! {
            failing.send(()).unwrap();
            released.await.unwrap();
            log.add("cleanup");
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        // Nothing from outside: the group fails, its error is swallowed.
        let log = Log::new();
        let (failing, fails) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let run = Scope::new().run(swallows(log.clone(), failing, released));
        let (outcome, ()) = futures::join!(run, async {
            fails.await.unwrap();
            release.send(()).unwrap();
        });
        outcome.unwrap();
        log.is(&["cleanup", "the group returned", "after the next await"]);

        // Cancelled from outside while the group waits for its children.
        let log = Log::new();
        let (failing, fails) = oneshot::channel();
        let (release, released) = oneshot::channel();
        let scope = Scope::new().name("outer");
        let handle = scope.handle();
        let run = scope.run(swallows(log.clone(), failing, released));
        let (outcome, ()) = futures::join!(run, async {
            fails.await.unwrap();
            handle.cancel_with(Reason::Other(std::sync::Arc::new(Outside)));
            release.send(()).unwrap();
        });
        let left = outcome.unwrap_err();
        assert!(
            matches!(left.reason(), Reason::Other(e) if e.is::<Outside>()),
            "{left:?}"
        );
        assert_eq!(left.scope(), "outer");
        log.is(&["cleanup"]);
        let failures = left.attached().join("\n");
        assert!(failures.contains("broken pipe"), "not lost: {left:?}");
        assert!(failures.contains("culprit"), "named: {left:?}");
    });
}

#[derive(Debug)]
struct Fetch(Cancelled);

impl fmt::Display for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the page was not fetched")
    }
}

impl Error for Fetch {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn b09_wrapped_inner_cancelled_is_an_ordinary_failure() {
    #[cancellable]
    async fn fetch() -> Result<(), Fetch> {
        taskscope::timeout(Duration::from_secs(1), pending::<()>())
            .await
            .map_err(Fetch)
    }

    paused(|| async {
        let failed = TaskGroup::<BoxError>::new()
            .run(async |g| {
                g.spawn_named("fetch", fetch());
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(failed.failures().len(), 1);
        assert!(
            failed.cancelled().is_none(),
            "the group was not cancelled from outside"
        );
        let error: &BoxError = failed.errors().next().unwrap();
        let fetch = error.downcast_ref::<Fetch>().unwrap();
        let cause = fetch.source().unwrap().downcast_ref::<Cancelled>().unwrap();
        assert!(matches!(cause.reason(), Reason::Deadline));
    });
}

/// That no `Cancelled` can be made up is a compile-time matter, see the
/// library of these tests.
#[test]
fn b10_cancelled_returned_while_nothing_is_cancelled_is_a_failure() {
    async fn captured() -> Cancelled {
        let scope = Scope::new().name("donor");
        scope.handle().cancel();
        scope.run(pending::<()>()).await.unwrap_err()
    }

    #[cancellable]
    async fn pretends(donated: Cancelled) -> Result<(), Cancelled> {
        Err(donated)
    }

    both(|| async {
        let donated = captured().await;
        let failed = TaskGroup::<BoxError>::new()
            .run(async |g| {
                let task = g.spawn_named("pretender", pretends(donated));
                let seen = task.await;
                assert!(matches!(seen, Err(TaskError::Failed)), "{seen:?}");
                Ok(())
            })
            .await
            .unwrap_err();
        assert_eq!(failed.failures().len(), 1, "{failed}");
        assert!(failed.to_string().contains("pretender"), "{failed}");
        let error = failed.errors().next().unwrap();
        assert!(error.is::<Cancelled>());
    });
}

/// The flag never clears: every boundary opened below a cancelled scope is
/// left too, and asking does not use it up.
#[test]
fn b02_the_flag_is_a_level() {
    #[cancellable]
    async fn body(log: Log, handle: CancelHandle) {
        handle.cancel();
        for _ in 0..3 {
            assert!(taskscope::is_cancelled());
        }
        let inner = log.clone();
        let first = Scope::new().run(async move {
            inner.add("never: first");
        });
        let _ = first.await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(scope.run(body(log.clone(), handle.clone())).await.is_err());
        log.is(&[]);
        assert!(handle.is_cancelled());

        let left = cancel_at(Scope::new(), |here| async move {
            here.send(()).unwrap();
            pending::<()>().await;
        });
        assert!(left.await.is_err());
    });
}
