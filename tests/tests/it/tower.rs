//! Feature `tower`: a request is a task of a group.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::panic::panic_any;
use std::task::{Context, Poll};
use std::time::Duration;

use taskscope::tower::{ScopeLayer, ScopeService};
use taskscope::{Group, OnFailure, Reason, cancellable, deadline, defer, task_group};
use taskscope_tests::{Log, both, paused, reports_of, watch_reports};
use tokio::sync::oneshot;
use tower_layer::Layer;
use tower_service::Service;

type Response = Result<&'static str, String>;

/// A service of a function.
#[derive(Clone, Debug)]
struct Handler<F>(F);

impl<F, Req, Fut> Service<Req> for Handler<F>
where
    F: Fn(Req) -> Fut,
    Fut: Future<Output = Response>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Infallibly<Fut>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        Infallibly(Box::pin((self.0)(request)))
    }
}

struct Infallibly<F>(std::pin::Pin<Box<F>>);

impl<F: Future> Future for Infallibly<F> {
    type Output = Result<F::Output, Infallible>;

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

fn layer<Req>(group: &Group<'_>) -> ScopeLayer<Req, Response> {
    ScopeLayer::new(group, |error| Err(error.to_string()))
}

fn service<F, Req, Fut>(group: &Group<'_>, f: F) -> ScopeService<Handler<F>, Req, Response>
where
    F: Fn(Req) -> Fut,
    Fut: Future<Output = Response> + Send + 'static,
{
    layer(group).layer(Handler(f))
}

#[test]
fn a_response_passes_through() {
    both(|| async {
        let answer = task_group!(|g| {
            let mut service = service(&g, |request: &'static str| ready(Ok(request)));
            assert!(matches!(
                futures::future::poll_fn(|cx| service.poll_ready(cx)).await,
                Ok(())
            ));
            Ok(service.call("hello").await?)
        });
        assert_eq!(answer.await.unwrap(), Ok("hello"));
    });
}

#[test]
fn a_dropped_response_cancels_its_request_in_order() {
    both(|| async {
        let log = Log::new();
        task_group!(|g| {
            let (begun, has_begun) = oneshot::channel();
            let mut service = service(&g, |(log, begun)| handler(log, begun));
            let response = service.call((log.clone(), begun));
            has_begun.await?;
            drop(response);
            log.add("dropped");
            Ok(())
        })
        .await
        .unwrap();
        log.is(&["begun", "dropped", "cleaned up"]);
    });

    #[cancellable]
    async fn handler(log: Log, begun: oneshot::Sender<()>) -> Response {
        let (late, lately) = oneshot::channel::<()>();
        let cleaning = log.clone();
        defer! {
            tokio::task::yield_now().await;
            while !cleaning.has("dropped") {
                tokio::task::yield_now().await;
            }
            cleaning.add("cleaned up");
            drop(late);
        }
        log.add("begun");
        begun.send(()).unwrap();
        lately.await.unwrap();
        Ok("never")
    }
}

#[test]
fn a_request_out_of_time_is_answered_and_the_next_one_has_its_own() {
    paused(|| async {
        task_group!(|g| {
            let mut service = layer(&g)
                .timeout(|seconds: &u64| Some(Duration::from_secs(*seconds)))
                .layer(Handler(async |_: u64| {
                    assert!(deadline().is_some());
                    tokio::time::sleep(Duration::from_secs(5)).await;
                    Ok("in time")
                }));
            let late = "task `request` was cancelled: deadline passed";
            assert_eq!(service.call(1).await?, Err(late.to_owned()));
            assert_eq!(service.call(9).await?, Ok("in time"));
            Ok(())
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_panic_ends_its_request_alone() {
    both(|| async {
        let group = task_group!(on_failure = OnFailure::Cancel, |g| {
            let mut service = service(&g, async |request: &'static str| match request {
                "bad" => panic_any("the handler's own"),
                other => Ok(other),
            });
            let answer = service.call("bad").await?;
            assert_eq!(
                answer,
                Err("the task panicked: the handler's own".to_owned())
            );
            Ok(service.call("good").await?)
        });
        assert_eq!(group.await.unwrap(), Ok("good"));
    });
}

#[test]
fn a_cancelled_group_answers_with_its_reason_also_what_comes_later() {
    both(|| async {
        let (tell, told) = oneshot::channel();
        task_group!(name = "requests", |g| {
            let mut service = service(&g, |()| pending::<Response>());
            let response = service.call(());
            g.spawn_shielded(async move {
                let answers = (response.await, service.call(()).await);
                drop(tell.send(answers));
            });
            g.cancel_with(Reason::Shutdown);
            Ok(())
        })
        .await
        .unwrap();
        let cancelled = Ok(Err("task `request` was cancelled: shutdown".to_owned()));
        assert_eq!(told.await.unwrap(), (cancelled.clone(), cancelled));
    });
}

#[test]
fn names_and_limits_are_those_of_tasks() {
    both(|| async {
        let log = Log::new();
        let group = task_group!(limit = 1, |g| {
            let (free, freed) = oneshot::channel::<()>();
            let handler = log.clone();
            let mut service = layer(&g)
                .name(|(name, _): &(&'static str, _)| format!("request {name}"))
                .layer(Handler(
                    move |(name, freed): (&'static str, Option<oneshot::Receiver<()>>)| {
                        let log = handler.clone();
                        async move {
                            if let Some(freed) = freed {
                                freed.await.map_err(|error| error.to_string())?;
                            }
                            log.add(name);
                            Ok(name)
                        }
                    },
                ));
            let first = service.call(("first", Some(freed)));
            let second = service.call(("second", None));
            assert!(format!("{first:?}").contains("request first"));
            g.spawn_scoped(async move { free.send(()).map_err(|()| "nobody waits") });
            assert_eq!(second.await?, Ok("second"));
            assert_eq!(first.await?, Ok("first"));
            Ok(())
        });
        group.await.unwrap();
        log.is(&["first", "second"]);
    });
}

#[test]
fn services_can_be_shared_between_threads() {
    fn is_shared<T: Clone + Send + Sync>(_: &T) {}
    fn is_sent<T: Send>(_: &T) {}
    both(|| async {
        task_group!(|g| {
            let mut service = service(&g, |n: u8| -> Ready<Response> { ready(Err(n.to_string())) });
            is_shared(&service);
            let response = service.call(1);
            is_sent(&response);
            assert_eq!(response.await?, Err("1".to_owned()));
            Ok(())
        })
        .await
        .unwrap();
    });
}

/// A local whose drop panics, as one that is cancelled may have.
struct PanicsInDrop(&'static str);

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic_any(self.0);
    }
}

/// Cancelled by its client, by its time, and before it began.
#[test]
fn a_request_that_panics_while_it_is_dropped_ends_alone() {
    watch_reports();
    paused(|| async {
        let group = task_group!(name = "dropping", |g| {
            let mut service = layer(&g)
                .timeout(|request: &&str| (*request == "late").then_some(Duration::from_secs(1)))
                .layer(Handler(async |request: &'static str| {
                    let _local = (request != "good").then(|| PanicsInDrop(request));
                    match request {
                        "good" => Ok("good"),
                        _ => pending().await,
                    }
                }));
            let gone = service.call("gone");
            tokio::task::yield_now().await;
            drop(gone);
            drop(service.call("unpolled"));
            let late = service.call("late").await?;
            assert_eq!(
                late,
                Err("task `request` was cancelled: deadline passed".to_owned())
            );
            Ok(service.call("good").await?)
        });
        assert_eq!(group.await.unwrap(), Ok("good"));
        for request in ["gone", "late"] {
            let text = format!("a request panicked while it was dropped: {request}");
            let reports = reports_of(&text);
            assert!(!reports.is_empty(), "{request}");
            assert!(
                reports[0].text.contains("tests/tests/it/tower.rs"),
                "{reports:?}"
            );
            assert!(
                reports[0].text.ends_with("in `dropping > request`"),
                "{reports:?}"
            );
        }
    });
}

/// What the handler runs before it has a future is the request's own, too.
#[test]
fn a_panic_before_the_handlers_future_ends_its_request_alone() {
    both(|| async {
        let group = task_group!(|g| {
            let mut service = layer(&g)
                .name(|request: &&str| match *request {
                    "name" => panic_any("in the name"),
                    other => other.to_owned(),
                })
                .timeout(|request| match *request {
                    "timeout" => panic_any("in the timeout"),
                    _ => None,
                })
                .layer(Handler(|request: &'static str| match request {
                    "call" => panic_any("in the call"),
                    other => ready(Ok(other)),
                }));
            for request in ["name", "timeout", "call"] {
                let answer = service.call(request).await?;
                assert_eq!(answer, Err(format!("the task panicked: in the {request}")));
            }
            Ok(service.call("good").await?)
        });
        assert_eq!(group.await.unwrap(), Ok("good"));
    });
}

/// Its future panics in its `Drop`, and so does the response that it has given.
#[test]
fn a_request_whose_future_and_response_panic_ends_alone() {
    struct Bad;

    impl Future for Bad {
        type Output = Result<PanicsInDrop, Infallible>;

        fn poll(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Ok(PanicsInDrop("a response")))
        }
    }

    impl Drop for Bad {
        fn drop(&mut self) {
            panic_any("a future");
        }
    }

    struct Bads;

    impl Service<()> for Bads {
        type Response = PanicsInDrop;
        type Error = Infallible;
        type Future = Bad;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, (): ()) -> Bad {
            Bad
        }
    }

    watch_reports();
    both(|| async {
        let (tell, told) = std::sync::mpsc::channel();
        let group = task_group!(name = "both-panic", |g| {
            let answer = move |error: taskscope::TaskError| {
                tell.send(error.to_string()).unwrap();
                PanicsInDrop("an answer")
            };
            let mut bads = ScopeLayer::new(&g, answer).layer(Bads);
            std::mem::forget(bads.call(()).await);
            Ok(service(&g, |()| ready(Ok("good"))).call(()).await?)
        });
        assert_eq!(group.await.unwrap(), Ok("good"));
        assert_eq!(told.recv().unwrap(), "the task panicked: a future");
        let reports = reports_of("a panic that is not resumed: a response");
        assert!(reports[0].text.contains("both-panic"), "{reports:?}");
    });
}
