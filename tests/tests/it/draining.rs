//! `stop_when`, `drain`, and tokens: asking a scope to end, and how long that may take.

use std::future::{pending, ready};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use taskscope::{BoxError, Reason, Scope, TaskGroup, cancellable, is_stopping, shield, stopping};
use taskscope::{defer, task_group};
use taskscope_tests::{Driven, Log, both, caught, paused, text_of};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_future_stops_the_scope_and_interrupts_nothing() {
    paused(|| async {
        let began = Instant::now();
        let scope = Scope::new().stop_when(sleep(SECOND));
        let handle = scope.handle();
        let run = scope.run(async {
            stopping().await;
            sleep(SECOND).await;
            7
        });
        assert_eq!(run.await.unwrap(), 7);
        assert_eq!(began.elapsed(), 2 * SECOND);
        assert!(handle.is_stopping() && !handle.is_cancelled());
    });
}

/// Several of both kinds: all stops are one, and a cancellation still comes through.
#[test]
fn stops_and_cancellations_go_together() {
    paused(|| async {
        let began = Instant::now();
        let scope = Scope::new()
            .stop_when(sleep(3 * SECOND))
            .cancel_when(sleep(4 * SECOND))
            .stop_when(sleep(SECOND))
            .cancel_when(pending::<()>());
        let log = Log::new();
        let run = scope.run(async {
            stopping().await;
            log.add(format!("asked after {:?}", began.elapsed()));
            pending::<()>().await;
        });
        assert!(matches!(run.await.unwrap_err().reason(), Reason::Requested));
        log.is(&["asked after 1s"]);
        assert_eq!(began.elapsed(), 4 * SECOND);

        // Both are ready in the first poll.
        let scope = Scope::new().cancel_when(ready(())).stop_when(ready(()));
        let handle = scope.handle();
        assert!(scope.run(pending::<()>()).await.is_err());
        assert!(handle.is_cancelled());
    });
}

#[test]
fn a_panic_in_stop_when_is_resumed_once_the_scope_has_ended() {
    both(|| async {
        let log = Log::new();
        let scope = Scope::new().stop_when(async { panic!("on purpose") });
        let run = scope.run(async {
            shield(async {
                tokio::task::yield_now().await;
                log.add("in order");
            })
            .await;
            pending::<()>().await;
        });
        let panic = caught(run).await.unwrap_err();
        assert_eq!(text_of(&*panic), "on purpose");
        log.is(&["in order"]);
    });
}

/// When the scope has ended, the futures have been dropped.
#[test]
fn what_a_scope_was_given_ends_with_it() {
    both(|| async {
        let mark = Arc::new(());
        let (one, other) = (mark.clone(), mark.clone());
        let scope = Scope::new()
            .stop_when(async move { drop((one, pending::<()>().await)) })
            .cancel_when(async move { drop((other, pending::<()>().await)) });
        let run = scope.run(async { assert_eq!(Arc::strong_count(&mark), 3) });
        run.await.unwrap();
        assert_eq!(Arc::strong_count(&mark), 1);
    });
}

/// Five seconds after it was asked, and not five seconds after it began.
#[test]
fn a_scope_is_cancelled_when_its_drain_is_over() {
    paused(|| async {
        let began = Instant::now();
        let scope = Scope::new().name("part").drain(5 * SECOND);
        let handle = scope.handle();
        let run = scope.run(async {
            sleep(2 * SECOND).await;
            handle.stop();
            pending::<()>().await;
        });
        let cancelled = run.await.unwrap_err();
        assert_eq!(
            cancelled.to_string(),
            "`part` was cancelled: requested: had not ended 5s after it was asked to stop"
        );
        assert!(cancelled.is_requested());
        assert_eq!(began.elapsed(), 7 * SECOND);
    });
}

/// Another request to stop does not begin anew; one from above counts as well.
#[test]
fn the_first_request_begins_the_drain() {
    paused(|| async {
        let began = Instant::now();
        let outer = Scope::new();
        let outer_handle = outer.handle();
        let run = outer.run(async {
            let inner = Scope::new().drain(3 * SECOND);
            let inner_handle = inner.handle();
            let body = async {
                outer_handle.stop();
                sleep(SECOND).await;
                inner_handle.stop();
                sleep(SECOND).await;
                inner_handle.stop();
                pending::<()>().await;
            };
            assert!(inner.run(body).await.is_err());
            assert!(!outer_handle.is_cancelled());
            began.elapsed()
        });
        assert_eq!(run.await.unwrap(), 3 * SECOND);
    });
}

/// Asked before it is polled, before the option is given, or before it is opened.
#[test]
fn a_scope_that_was_asked_before_it_runs() {
    paused(|| async {
        let began = Instant::now();
        let scope = Scope::new();
        scope.handle().stop();
        let run = scope.drain(SECOND).run(pending::<()>());
        sleep(SECOND).await;
        assert!(run.await.is_err());
        assert_eq!(began.elapsed(), 2 * SECOND, "from the first poll");

        let outer = Scope::new();
        outer.handle().stop();
        let late = outer.run(async { Scope::new().drain(SECOND).run(pending::<()>()).await });
        assert!(late.await.unwrap().is_err());
        assert_eq!(began.elapsed(), 3 * SECOND);
    });
}

#[test]
fn a_drain_of_zero_cancels_at_once_and_one_without_end_never() {
    paused(|| async {
        let began = Instant::now();
        let scope = Scope::new().drain(Duration::ZERO).stop_when(ready(()));
        assert!(scope.run(pending::<()>()).await.is_err());
        assert_eq!(began.elapsed(), Duration::ZERO);

        let scope = Scope::new().drain(Duration::MAX).stop_when(ready(()));
        scope.run(sleep(3600 * SECOND)).await.unwrap();
        // Control: nobody asks.
        let scope = Scope::new().drain(Duration::ZERO);
        scope.run(sleep(SECOND)).await.unwrap();
    });
}

/// One timer waits for both.
#[test]
fn the_earlier_of_deadline_and_drain_counts() {
    paused(|| async {
        for (limit, drain, reason) in [(2, 3, "deadline passed"), (3, 2, "requested")] {
            let began = Instant::now();
            let scope = Scope::new()
                .timeout(limit * SECOND)
                .drain(drain * SECOND)
                .stop_when(ready(()));
            let cancelled = scope.run(pending::<()>()).await.unwrap_err();
            assert_eq!(cancelled.reason().to_string(), reason);
            assert_eq!(began.elapsed(), 2 * SECOND);
        }
        // The deadline is moved while it drains.
        let began = Instant::now();
        let scope = Scope::new().drain(3 * SECOND).stop_when(ready(()));
        let handle = scope.handle();
        let run = scope.run(async {
            sleep(SECOND).await;
            handle.set_deadline(Instant::now() + SECOND);
            handle.set_deadline(None);
            pending::<()>().await;
        });
        assert!(run.await.is_err());
        assert_eq!(began.elapsed(), 3 * SECOND);
    });
}

#[cancellable]
async fn listens(log: Log) {
    defer! { log.add("cleaned up"); }
    stopping().await;
    log.add("asked");
    pending::<()>().await;
}

#[test]
fn a_group_drains() {
    paused(|| async {
        let log = Log::new();
        let began = Instant::now();
        let group = task_group!(drain = 2 * SECOND, |g| {
            g.spawn(listens(log.clone()));
            sleep(SECOND).await;
            g.stop();
            pending::<()>().await;
            Ok(())
        });
        let cancelled = group.await.unwrap_err();
        let reason = cancelled.cancelled().unwrap().reason();
        assert!(matches!(reason, Reason::Requested), "{reason:?}");
        log.is(&["asked", "cleaned up"]);
        assert_eq!(began.elapsed(), 3 * SECOND);

        let began = Instant::now();
        let group = TaskGroup::<BoxError>::new()
            .drain(2 * SECOND)
            .run(async |g| {
                g.spawn(pending::<()>());
                g.stop();
                Ok(7)
            });
        assert_eq!(group.await.unwrap(), 7, "as after `cancel`");
        assert_eq!(began.elapsed(), 2 * SECOND);
    });
}

#[test]
fn a_token_follows_its_scope() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let (one, other) = (handle.token(), handle.token());
        one.cancel();
        assert!(!other.is_cancelled() && !handle.is_cancelled());
        assert!(!handle.token().is_cancelled());
        let run = scope.run(async {
            let mut told = Driven::new(other.cancelled());
            told.pending();
            handle.stop();
            told.pending();
            assert!(
                !other.is_cancelled(),
                "a request to stop is not a cancellation"
            );
            handle.cancel();
            assert_eq!(told.wakes(), 1);
            told.finish();
        });
        run.await.unwrap();
        assert!(handle.token().is_cancelled());

        // From above.
        let scope = Scope::new();
        let above = scope.handle();
        let run = scope.run(async {
            let below = Scope::new();
            let token = below.handle().token();
            above.cancel();
            assert!(token.is_cancelled());
            drop(below);
        });
        run.await.unwrap();
    });
}

#[test]
fn a_scope_that_ends_leaves_its_tokens_alone() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let token = handle.token();
        scope.run(async {}).await.unwrap();
        assert!(!handle.cancel(), "it has ended");
        assert!(!token.is_cancelled() && !handle.token().is_cancelled());
        drop(handle);
        assert!(!token.is_cancelled());
        // Dropped before it has run.
        let token = Scope::new().handle().token();
        assert!(!token.is_cancelled());
    });
}

struct Noted;

impl Wake for Noted {
    fn wake(self: Arc<Self>) {}
}

/// Neither tokens nor who waits for one: what is dropped has gone, for as long as the scope lives.
#[test]
fn tokens_leave_nothing_behind() {
    both(|| async {
        let noted = Arc::new(Noted);
        let waker = Waker::from(noted.clone());
        let scope = Scope::new();
        let handle = scope.handle();
        for _ in 0..100 {
            let token = handle.token();
            let mut told = Box::pin(token.cancelled());
            let mut cx = Context::from_waker(&waker);
            assert!(told.as_mut().poll(&mut cx).is_pending());
        }
        drop(waker);
        assert_eq!(Arc::strong_count(&noted), 1);
        drop(scope);
    });
}

/// The other direction, politely and not.
#[test]
fn a_scope_follows_a_token() {
    paused(|| async {
        let token = CancellationToken::new();
        let scope = Scope::new().cancel_when(token.clone().cancelled_owned());
        let mut run = Driven::new(scope.run(pending::<()>()));
        run.pending();
        token.cancel();
        assert!(run.finish().is_err());

        let token = CancellationToken::new();
        let scope = Scope::new()
            .stop_when(token.clone().cancelled_owned())
            .drain(SECOND);
        let began = Instant::now();
        let run = scope.run(async {
            token.cancel();
            stopping().await;
            assert!(is_stopping());
            pending::<()>().await;
        });
        assert!(run.await.is_err());
        assert_eq!(began.elapsed(), SECOND);
    });
}
