//! `stopping()` and `cancelled()`: the scope of the call, and the scope of the poll.
#![allow(
    clippy::async_yields_async,
    reason = "futures that outlive their scope"
)]

use std::future::pending;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::FutureExt;
use taskscope::{Ambient, BoxError, Reason, ReportKind, Scope, TaskGroup, cancellable};
use taskscope::{UntilCancelled, UntilStopping, Value, cancelled, shield, stopping, timeout};
use taskscope_tests::{Driven, both, reports_of, watch_reports};
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// What `axum::serve(…).with_graceful_shutdown(signal)` does with its signal: a task of
/// its own polls it, in no scope.
async fn serve_until(signal: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(signal).await.unwrap();
}

#[cancellable]
async fn serve() {
    serve_until(stopping()).await;
}

#[test]
fn a_server_gets_the_request_to_stop() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let run = async { scope.run(serve()).await.unwrap() };
        let stop = async {
            yield_now().await;
            handle.stop();
        };
        futures::join!(run, stop);
    });
}

/// The future is made in the scope and is kept beyond it.
async fn made_in<F>(scope: Scope<'static>, make: fn() -> F) -> (Driven<F>, bool)
where
    F: Future,
{
    let (mut made, mut waits) = (None, true);
    let handle = scope.handle();
    let run = scope.run(async {
        let mut future = Driven::new(make());
        waits &= future.poll().is_pending();
        made = Some(future);
    });
    run.await.unwrap();
    assert!(!handle.is_stopping());
    (made.unwrap(), waits)
}

#[test]
fn the_scope_of_the_call_counts_where_no_scope_polls() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let (give, given) = oneshot::channel();
        let run = scope.run(async {
            give.send((stopping(), cancelled())).ok().unwrap();
            pending::<()>().await;
        });
        let outside = async {
            let (stops, cancels) = given.await.unwrap();
            let (mut stops, mut cancels) = (Driven::new(stops), Driven::new(cancels));
            stops.pending();
            cancels.pending();
            handle.stop();
            assert_eq!((stops.wakes(), cancels.wakes()), (1, 0));
            assert!(stops.poll().is_ready());
            cancels.pending();
            handle.cancel_with(Reason::Shutdown);
            assert!(matches!(cancels.poll(), Poll::Ready(Reason::Shutdown)));
        };
        assert!(futures::join!(run, outside).0.is_err());
    });
}

/// It was cancelled and has ended before the future is polled at all.
#[test]
fn a_scope_that_was_asked_and_has_ended_still_counts() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let (give, given) = oneshot::channel();
        let run = scope.run(async {
            give.send((stopping(), cancelled())).ok().unwrap();
            handle.cancel_with(Reason::other("full"));
            pending::<()>().await;
        });
        run.await.unwrap_err();
        drop(handle);
        let (stops, cancels) = given.await.unwrap();
        assert!(stops.now_or_never().is_some());
        assert_eq!(cancels.now_or_never().unwrap().to_string(), "full");
    });
}

#[test]
fn the_scope_of_the_poll_counts_where_none_called() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let mut run = Driven::new(scope.run(stopping()));
        run.pending();
        handle.stop();
        run.finish().unwrap();

        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (one, other) = (g.spawn(stopping()), g.spawn(stopping()));
            one.stop();
            one.await?;
            assert!(!other.is_finished());
            g.stop();
            other.await?;
            Ok(())
        });
        group.await.unwrap();
    });
}

/// Called in one scope and polled in another: the one that is asked first.
#[test]
fn either_scope_will_do() {
    both(|| async {
        for by_call in [true, false] {
            let (outer, inner) = (Scope::new(), Scope::new());
            let (outer_handle, inner_handle) = (outer.handle(), inner.handle());
            let run = outer.run(async {
                let called = stopping();
                let apart = Driven::new(inner.run(called)).into_future();
                // Not below the scope of the call.
                let mut apart = Driven::new(in_no_scope(apart));
                apart.pending();
                let asked = if by_call {
                    &outer_handle
                } else {
                    &inner_handle
                };
                asked.stop();
                assert!(apart.finish().is_ok());
            });
            run.await.unwrap();
        }
    });
}

/// Polls as a task of nobody does.
fn in_no_scope<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    let nowhere = std::thread::spawn(Ambient::current).join().unwrap();
    std::future::poll_fn(move |cx| nowhere.enter(|| future.as_mut().poll(cx)))
}

/// A future that moves is asked for the scope that polls it now.
#[test]
fn a_future_that_moves_follows_its_polls() {
    both(|| async {
        let mut future = Box::pin(cancelled());
        let (first, second) = (Scope::new(), Scope::new());
        let (first_handle, second_handle) = (first.handle(), second.handle());
        let waits = async |future: &mut std::pin::Pin<Box<UntilCancelled>>| {
            assert!(future.as_mut().now_or_never().is_none());
        };
        first.run(waits(&mut future)).await.unwrap();
        first_handle.cancel();
        let run = second.run(async {
            waits(&mut future).await;
            second_handle.cancel_with(Reason::Shutdown);
            future.await
        });
        assert!(matches!(run.await, Ok(Reason::Shutdown)));
    });
}

/// The body of a response outlives the task of its request.
#[test]
fn the_scope_around_counts_when_that_of_the_call_has_ended() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let (give, given) = oneshot::channel();
        let run = scope.run(async {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let request = g.spawn(async { Value(timeout(LONG, async { stopping() }).await) });
                let mut body = Driven::new(request.await?.unwrap());
                body.pending();
                Ok(body.into_future())
            });
            give.send(group.await.unwrap()).ok().unwrap();
            pending::<()>().await;
        });
        let server = async {
            let mut body = Driven::new(given.await.unwrap());
            body.pending();
            handle.stop();
            assert!(body.wakes() > 0, "the scope around does not know it");
            body.finish();
            handle.cancel();
        };
        assert!(futures::join!(run, server).0.is_err());
    });
}

const LONG: Duration = Duration::from_secs(3600);

/// It waits with the request, so the end of the request has to wake it.
#[test]
fn a_wait_goes_on_with_the_scope_around_without_being_polled() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let run = scope.run(async {
            let (mut future, waits) = made_in(Scope::new(), stopping).await;
            assert!(waits);
            assert_eq!(future.wakes(), 1, "its scope has ended");
            future.pending();
            handle.stop();
            future.finish();
        });
        run.await.unwrap();
    });
}

#[test]
fn a_scope_that_ends_without_being_asked_keeps_nobody() {
    both(|| async {
        let (mut stops, waits) = made_in(Scope::new(), stopping).await;
        assert!(waits);
        stops.pending();
        let (mut cancels, waits) = made_in(Scope::new(), cancelled).await;
        assert!(waits);
        cancels.pending();
    });
}

/// A shield keeps a cancellation out, and lets a request to stop in: at the call, at the
/// poll, and between two scopes.
#[test]
fn shields_keep_cancellation_out() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let run = scope.run(async {
            let (called_outside, stops_outside) = (cancelled(), stopping());
            let inside = async {
                let called_inside = cancelled();
                let stops_inside = stopping();
                let (nested, _) = made_in(Scope::new(), cancelled).await;
                handle.cancel();
                assert!(called_inside.now_or_never().is_none());
                assert!(stops_inside.now_or_never().is_none());
                assert!({ nested }.poll().is_pending());
                assert!(called_outside.now_or_never().is_some());
                assert!(stops_outside.now_or_never().is_some());
                let stops_inside = stopping();
                handle.stop();
                assert!(stops_inside.now_or_never().is_some());
            };
            shield(inside).await;
        });
        run.await.unwrap();
    });
}

struct Noted;

impl Wake for Noted {
    fn wake(self: Arc<Self>) {}
}

/// Dropped while it waits for two scopes, it leaves no waker with either; nor does one
/// that moved on.
#[test]
fn what_is_dropped_is_forgotten() {
    both(|| async {
        let noted = Arc::new(Noted);
        let waker = Waker::from(noted.clone());
        let outer = Scope::new();
        let run = outer.run(async {
            let mut future = Box::pin(stopping());
            let poll = |future: &mut std::pin::Pin<Box<UntilStopping>>| {
                let mut cx = Context::from_waker(&waker);
                assert!(future.as_mut().poll(&mut cx).is_pending());
            };
            poll(&mut future);
            for _ in 0..100 {
                let inner = Scope::new();
                inner.run(async { poll(&mut future) }).await.unwrap();
                poll(&mut future);
            }
            assert_eq!(
                Arc::strong_count(&noted),
                3,
                "itself, `waker`, and one noted"
            );
            drop(future);
            assert_eq!(Arc::strong_count(&noted), 2);
        });
        run.await.unwrap();
    });
}

/// The one that polled last is woken.
#[test]
fn the_last_waker_is_woken() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let run = scope.run(async {
            let mut first = Driven::new(cancelled());
            first.pending();
            let mut second = Driven::new(first.into_future());
            second.pending();
            let waker = std::thread::spawn(move || handle.cancel());
            assert!(waker.join().unwrap());
            assert_eq!(second.wakes(), 1);
            assert!(second.poll().is_ready());
        });
        run.await.unwrap();
    });
}

/// A task may return what waits for itself, and nobody may take it.
#[test]
fn a_result_that_nobody_takes_is_dropped() {
    both(|| async {
        let mark = Arc::new(());
        for finished in [true, false] {
            let kept = mark.clone();
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let task = g.spawn(async { Value((stopping(), kept)) });
                if finished {
                    while !task.is_finished() {
                        yield_now().await;
                    }
                }
                let handle = task.handle();
                drop(task);
                Ok(handle)
            });
            let handle = group.await.unwrap();
            assert_eq!(Arc::strong_count(&mark), 1, "finished: {finished}");
            drop(handle);
        }
    });
}

/// The line of the call, and the future.
#[rustfmt::skip]
fn stops_nowhere() -> (u32, UntilStopping) { (line!(), stopping()) }
#[rustfmt::skip]
fn cancels_nowhere() -> (u32, UntilCancelled) { (line!(), cancelled()) }

#[track_caller]
fn reported_once<F: Future>(what: &str, future: fn() -> (u32, F)) {
    for _ in 0..3 {
        let (line, future) = future();
        let mut never = Driven::new(future);
        never.pending();
        never.pending();
        let reports = reports_of(&format!("{}:{line}:", file!()));
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(reports[0].kind, ReportKind::Unscoped);
        assert!(reports[0].text.contains(what), "{reports:?}");
    }
}

#[test]
fn waiting_outside_any_scope_is_reported_once() {
    watch_reports();
    both(|| async {
        reported_once("`stopping()`", stops_nowhere);
        reported_once("`cancelled()`", cancels_nowhere);
    });
}

/// In a scope, in a shield, and called in a scope, there is nothing to report.
#[test]
fn waiting_in_a_scope_is_not_reported() {
    watch_reports();
    let first = line!();
    both(|| async {
        let scope = Scope::new().run(async {
            assert!(stopping().now_or_never().is_none());
            shield(async { assert!(cancelled().now_or_never().is_none()) }).await;
            stopping()
        });
        scope.await.unwrap().now_or_never();
    });
    for line in first..line!() {
        assert!(reports_of(&format!("{}:{line}:", file!())).is_empty());
    }
}
