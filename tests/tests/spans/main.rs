//! Feature `tracing`: which span work runs in, whoever it is handed to, and the levels of
//! events.

mod recorder;
mod reports;

use std::convert::Infallible;
use std::future::{Ready, pending, poll_fn, ready};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use recorder::{Root, record, texts, with_filter};
use taskscope::tower::ScopeLayer;
use taskscope::{Ambient, BoxError, Group, OnFailure, Scope, TaskGroup, Value, blocking};
use taskscope::{block_on, cancellable, defer, task_group};
use taskscope_tests::{Driven, both, paused_once, watched};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument, Metadata, Span, info, info_span};

/// Does what tower-http's `TraceLayer` does: a span for each request, in which the services
/// inside are called and their futures polled.
#[derive(Clone)]
struct Trace;

#[derive(Clone)]
struct Traced<S>(S);

impl<S> Layer<S> for Trace {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced(inner)
    }
}

impl<S> Service<Request> for Traced<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let span = info_span!("request", path = request.uri().path());
        let answer = span.in_scope(|| self.0.call(request));
        Box::pin(answer.instrument(span))
    }
}

type Scopes = ScopeLayer<Request, Response>;

fn scopes(group: &Group<'_>) -> Scopes {
    ScopeLayer::new(group, |_| StatusCode::SERVICE_UNAVAILABLE.into_response())
}

/// An event, as the value of a task.
fn say(text: &str) -> Value<()> {
    info!("{text}");
    Value(())
}

async fn mail(is_paid: oneshot::Receiver<()>, sent: oneshot::Sender<()>) -> Value<()> {
    is_paid.await.unwrap();
    info!("sent");
    sent.send(()).unwrap();
    pending().await
}

/// Everything that a handler hands over.
async fn order() -> &'static str {
    info!("ordered");
    let (paid, is_paid) = oneshot::channel();
    let (sent, is_sent) = oneshot::channel();
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        g.defer(async { say("closed") });
        g.spawn_named("payment", async {
            blocking(|| say("signed")).await;
            info!("paid");
            paid.send(()).unwrap();
            is_sent.await.unwrap();
            Value(())
        });
        g.service(mail(is_paid, sent));
        Ok(())
    });
    group.await.unwrap();
    "thanks"
}

/// The tree of spans and events of [`order`].
const ORDER: [&str; 8] = [
    "DEBUG cancel scope=\"spans::mail\" reason=group has ended",
    "INFO closed",
    "INFO ordered",
    "task name=\"payment\"",
    "  INFO paid",
    "  INFO signed",
    "task name=\"spans::mail\"",
    "  INFO sent",
];

async fn ask(mut router: Router) {
    let request = Request::get("/order").body(Body::empty()).unwrap();
    let answer = Service::call(&mut router, request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
}

/// Runs a server whose group begins in the root span. The request arrives on a task of its
/// own: in no span, or in that of the connection.
async fn serve(root: &Root, connection: Span, wrap: fn(Router, Scopes) -> Router) {
    let server = async {
        task_group!(on_failure = OnFailure::Continue, allow(detached), |g| {
            let router = wrap(Router::new().route("/order", get(order)), scopes(&g));
            tokio::spawn(ask(router).instrument(connection)).await?;
            Ok(())
        })
        .await
        .unwrap();
    };
    server.instrument(root.span.clone()).await;
    assert_eq!(root.open(), [""; 0]);
}

fn below(outer: &[&str], inner: &[&str]) -> Vec<String> {
    let indent = "  ".repeat(outer.len());
    let heads = outer.iter().enumerate();
    let heads = heads.map(|(depth, head)| format!("{}{head}", "  ".repeat(depth)));
    let lines = inner.iter().map(|line| format!("{indent}{line}"));
    heads.chain(lines).collect()
}

const REQUEST: &str = "request path=\"/order\"";
const TASK: &str = "task name=\"request\"";

#[test]
fn a_request_in_a_span_is_a_task_below_that_span() {
    both(|| async {
        let root = Root::new();
        let connection = info_span!(parent: &root.span, "connection");
        serve(&root, connection, |router, scopes| {
            router.layer(scopes).layer(Trace)
        })
        .await;
        assert_eq!(root.tree(), below(&["connection", REQUEST, TASK], &ORDER));
    });
}

#[test]
fn a_span_made_inside_of_a_request_lies_below_that_of_its_task() {
    both(|| async {
        let root = Root::new();
        let connection = info_span!(parent: &root.span, "connection");
        serve(&root, connection, |router, scopes| {
            router.layer(Trace).layer(scopes)
        })
        .await;
        assert_eq!(root.tree(), below(&["connection", TASK, REQUEST], &ORDER));
    });
}

#[test]
fn a_request_in_no_span_lies_below_that_of_the_group() {
    both(|| async {
        let root = Root::new();
        serve(&root, Span::none(), |router, scopes| {
            router.layer(Trace).layer(scopes)
        })
        .await;
        assert_eq!(root.tree(), below(&[TASK, REQUEST], &ORDER));
    });
}

/// What a layer inside makes when it is called, not when its future is polled.
#[test]
fn a_request_is_called_inside_of_the_span_of_its_task() {
    both(|| async {
        #[derive(Clone)]
        struct Eager;

        impl Service<&'static str> for Eager {
            type Response = &'static str;
            type Error = Infallible;
            type Future = Ready<Result<&'static str, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: &'static str) -> Self::Future {
                info!("called");
                ready(Ok(request))
            }
        }

        let root = Root::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let scopes = ScopeLayer::new(&g, |_| "error").name(|_| "tea".to_owned());
            assert_eq!(scopes.layer(Eager).call("tea").await, Ok("tea"));
            Ok(())
        });
        group.instrument(root.span.clone()).await.unwrap();
        root.is(&["task name=\"tea\"", "  INFO called"]);
    });
}

/// What says no in place of the handler, says it where the handler ran.
#[test]
fn an_answer_in_place_of_the_handler_is_made_in_the_span_of_its_task() {
    both(|| async {
        #[derive(Clone)]
        struct Panics;

        impl Service<&'static str> for Panics {
            type Response = &'static str;
            type Error = Infallible;
            type Future = Ready<Result<&'static str, Infallible>>;

            fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, _: &'static str) -> Self::Future {
                panic!("on purpose")
            }
        }

        let root = Root::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let scopes = ScopeLayer::new(&g, |error| {
                info!("{error}");
                "sorry"
            });
            let mut service = scopes.name(|_| "tea".to_owned()).layer(Panics);
            let answer = service.call("tea");
            drop(service.call("coffee"));
            assert_eq!(answer.await, Ok("sorry"));
            assert_eq!(service.call("tea").await, Ok("sorry"));
            Ok(())
        });
        group.instrument(root.span.clone()).await.unwrap();
        let tree = root.tree();
        let said = "  INFO the task panicked: on purpose";
        let at: Vec<_> = (0..tree.len()).filter(|&at| tree[at] == said).collect();
        assert_eq!(at.len(), 2, "{tree:#?}");
        assert!(at.iter().all(|&at| tree[at - 1] == "task name=\"tea\""));
        assert_eq!(root.open(), [""; 0]);
    });
}

/// A task of each kind, spawned where another span is current than that of the group.
#[test]
fn a_task_lies_below_the_span_in_which_it_is_spawned() {
    paused_once(|| async {
        let root = Root::new();
        let group = TaskGroup::<BoxError>::new().run_local(async |g| {
            let caller = info_span!("caller");
            let tasks = caller.in_scope(|| {
                let done = async || say("done");
                g.service(done());
                (
                    g.spawn(done()),
                    g.spawn_named("named", done()),
                    g.spawn_scoped(done()),
                    g.spawn_shielded(done()),
                    g.spawn_blocking(|| say("blocked")),
                    g.spawn_local(done()),
                )
            });
            tasks.0.await?;
            let permit = g.reserve().await;
            caller.in_scope(|| permit.spawn_named("permitted", async { say("done") }));
            Ok(())
        });
        group.instrument(root.span.clone()).await.unwrap();
        let this = "task name=\"spans::a_task_lies_below_the_span_in_which_it_is_spawned\"";
        let mut expected = vec!["caller"];
        expected.extend(["  task name=\"named\"", "    INFO done"]);
        expected.extend(["  task name=\"permitted\"", "    INFO done"]);
        let this = format!("  {this}");
        expected.extend([this.as_str(), "    INFO blocked"]);
        for _ in 0..5 {
            expected.extend([this.as_str(), "    INFO done"]);
        }
        root.is(&expected);
    });
}

/// From a task, with a clone of the group: below that task.
#[test]
fn a_task_lies_below_the_task_that_spawned_it() {
    both(|| async {
        let root = Root::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let again = g.clone();
            g.spawn_named("first", async move {
                again.spawn_named("second", async { say("here") });
                let deferred = async { say("cleaned up") };
                again.defer(deferred);
                Value(())
            });
            Ok(())
        });
        group.instrument(root.span.clone()).await.unwrap();
        root.is(&[
            "task name=\"first\"",
            "  INFO cleaned up",
            "  task name=\"second\"",
            "    INFO here",
        ]);
        assert_eq!(root.open(), [""; 0]);
    });
}

#[test]
fn a_task_spawned_in_no_span_lies_below_that_of_its_group() {
    both(|| async {
        let root = Root::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let again = g.clone();
            let elsewhere = thread::spawn(move || {
                assert!(Span::current().is_none());
                again.defer(async { say("cleaned up") });
                again.spawn_named("stray", async { say("here") })
            });
            elsewhere.join().unwrap().await?;
            Ok(())
        });
        group.instrument(root.span.clone()).await.unwrap();
        root.is(&["INFO cleaned up", "task name=\"stray\"", "  INFO here"]);
    });
}

#[test]
fn a_queued_task_lies_below_the_span_in_which_it_was_spawned() {
    both(|| async {
        let root = Root::new();
        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            for name in ["first", "second"] {
                let caller = info_span!("caller", name);
                caller.in_scope(|| {
                    g.spawn_named(name, async {
                        yield_now().await;
                        say("here")
                    })
                });
            }
            Ok(())
        });
        group.instrument(root.span.clone()).await.unwrap();
        root.is(&[
            "caller name=\"first\"",
            "  task name=\"first\"",
            "    INFO here",
            "caller name=\"second\"",
            "  task name=\"second\"",
            "    INFO here",
        ]);
    });
}

#[test]
fn work_on_other_threads_runs_in_the_span_of_who_handed_it_over() {
    both(|| async {
        let root = Root::new();
        let outer = info_span!(parent: &root.span, "outer");
        let work = blocking(|| {
            info!("blocking");
            let ambient = info_span!("inner").in_scope(Ambient::current);
            thread::scope(|threads| {
                threads.spawn(|| ambient.enter(|| info!("entered")));
            });
            let nested = block_on(async {
                info!("in block_on");
                blocking(|| say("nested")).await;
            });
            nested.unwrap();
            Value(())
        });
        // Made outside, handed over inside.
        work.instrument(outer.clone()).await;
        let nowhere = Ambient::current();
        root.span.in_scope(|| {
            nowhere.enter(|| info!("entered from no span"));
        });
        drop(outer);
        root.is(&[
            "INFO entered from no span",
            "outer",
            "  INFO blocking",
            "  INFO in block_on",
            "  INFO nested",
            "  inner",
            "    INFO entered",
        ]);
        assert_eq!(root.open(), [""; 0]);
    });
}

/// Cancelled, each part says what it does in the span in which it ran.
#[test]
fn cleanups_run_in_the_span_of_their_task() {
    #[cancellable]
    async fn guarded() {
        defer! {
            yield_now().await;
            info!("cleaned up");
        }
        pending::<()>().await;
    }

    both(|| async {
        let root = Root::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn_named("guarded", guarded());
            let dropped = Noisy("queued");
            let never = g.spawn_named("never", async move { drop(dropped) });
            never.cancel();
            yield_now().await;
            task.cancel();
            Ok(())
        });
        group.instrument(root.span.clone()).await.unwrap();
        root.is(&[
            "DEBUG cancel scope=\"guarded\" reason=requested",
            "DEBUG cancel scope=\"never\" reason=requested",
            "task name=\"guarded\"",
            "  DEBUG cleanup begins what=\"`defer!`\"",
            "  DEBUG cleanup ends what=\"`defer!`\"",
            "  INFO cleaned up",
            "task name=\"never\"",
            "  INFO dropped queued",
        ]);
    });
}

/// An event when it is dropped.
struct Noisy(&'static str);

impl Drop for Noisy {
    fn drop(&mut self) {
        info!("dropped {}", self.0);
    }
}

/// A task that is dropped with its runtime, or with the future of its group, says what it
/// loses in its own span.
#[test]
fn a_task_is_dropped_in_its_span() {
    #[cancellable]
    async fn guarded() {
        defer! { yield_now().await; }
        pending::<()>().await;
    }

    let root = Root::new();
    watched(|| {
        let runtime = Builder::new_current_thread().build().unwrap();
        let group = TaskGroup::<BoxError>::new().name("dropped").run(async |g| {
            g.spawn_named("spawned", guarded());
            info_span!("caller").in_scope(|| g.spawn_scoped(guarded()));
            pending().await
        });
        let mut group = Box::pin(group.instrument(root.span.clone()));
        runtime.block_on(async {
            let mut polls = 0;
            let some = poll_fn(|cx| {
                polls += 1;
                cx.waker().wake_by_ref();
                let ended: Poll<Result<(), _>> = group.as_mut().poll(cx);
                assert!(ended.is_pending());
                if polls < 5 {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            });
            some.await;
            yield_now().await;
        });
        drop(runtime);
        drop(group);
    });
    let tree = root.tree();
    let within = |at: usize| tree[..at].iter().rev().find(|line| line.contains("task "));
    let lost = tree.iter().enumerate();
    let lost = lost.filter(|(_, line)| line.contains("ERROR lost cleanup"));
    let tasks: Vec<_> = lost.map(|(at, _)| within(at).unwrap().trim()).collect();
    let scoped = "task name=\"spans::a_task_is_dropped_in_its_span::guarded\"";
    assert_eq!(tasks, [scoped, "task name=\"spawned\""], "{tree:#?}");
    assert_eq!(root.open(), [""; 0]);
}

/// The handles of a group that has ended, kept by whoever cancels it later, keep no span open.
#[test]
fn handles_keep_no_span_open() {
    both(|| async {
        let root = Root::new();
        let request = info_span!(parent: &root.span, "request");
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn_named("task", async { Value(1) });
            Ok((g.clone(), g.handle(), task))
        });
        let kept = group.instrument(request).await.unwrap();
        assert_eq!(root.open(), [""; 0]);
        assert_eq!(kept.2.await.unwrap(), 1);
    });
}

fn without_tasks(metadata: &Metadata<'_>) -> bool {
    metadata.target() != "taskscope"
}

/// A subscriber that is not interested in the spans of tasks still sees its own around them.
#[test]
fn a_task_without_a_span_runs_in_the_one_in_which_it_was_spawned() {
    record();
    watched(|| {
        with_filter(without_tasks, || {
            let root = Root::here();
            let runtime = Builder::new_current_thread().build().unwrap();
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let caller = info_span!("caller");
                caller.in_scope(|| g.spawn(async { say("here") }));
                Ok(())
            });
            let group = group.instrument(root.span.clone());
            runtime.block_on(group).unwrap();
            root.is(&["caller", "  INFO here"]);
        });
    });
}

/// The group's subscriber knows the group's span, and none that is the default elsewhere.
#[test]
fn a_task_spawned_under_another_subscriber_goes_to_that_of_its_group() {
    record();
    watched(|| {
        with_filter(
            |_| true,
            || {
                let root = Root::here();
                let runtime = Builder::new_current_thread().build().unwrap();
                let group = TaskGroup::<BoxError>::new().run(async |g| {
                    let again = g.clone();
                    thread::spawn(move || drop(again.spawn_named("stray", async { Value(()) })))
                        .join()
                        .unwrap();
                    Ok(())
                });
                let group = group.instrument(root.span.clone());
                runtime.block_on(group).unwrap();
                root.is(&["task name=\"stray\""]);
            },
        );
    });
}

/// A subscriber like any other, but for its panics.
struct Panicking;

impl tracing::Subscriber for Panicking {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::Id {
        panic!("no span from here");
    }

    fn record(&self, _: &tracing::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::Id, _: &tracing::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        panic!("no event from here");
    }

    fn enter(&self, _: &tracing::Id) {}

    fn exit(&self, _: &tracing::Id) {}
}

#[test]
fn a_subscriber_that_panics_keeps_no_group_from_ending() {
    record();
    watched(|| {
        tracing::subscriber::with_default(Panicking, || {
            let runtime = Builder::new_current_thread().build().unwrap();
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let seven = g.spawn(async { Value(7) });
                let never = g.spawn(pending::<Value<()>>());
                never.cancel();
                Ok(seven.await?)
            });
            assert_eq!(runtime.block_on(group).unwrap(), 7);
        });
    });
}

#[test]
fn a_cancellation_is_for_debugging() {
    record();
    paused_once(|| async {
        let late = Scope::new().name("levels of a cancellation");
        let late = late.timeout(Duration::from_secs(1)).run(pending::<()>());
        late.await.unwrap_err();
    });
    let line = "DEBUG cancel scope=\"levels of a cancellation\" reason=deadline passed";
    assert_eq!(texts("levels of a cancellation"), [line]);
}

#[test]
fn a_lost_cleanup_is_an_error() {
    #[cancellable]
    async fn guarded() {
        defer! { yield_now().await; }
        pending::<()>().await;
    }

    record();
    paused_once(|| async {
        let scope = Scope::new().name("levels of a loss").run(guarded());
        let mut scope = Driven::new(scope);
        assert!(scope.poll().is_pending());
    });
    let lost = texts("levels of a loss");
    let [line] = lost.as_slice() else {
        panic!("{lost:?}");
    };
    let text = "ERROR lost cleanup: `defer!` was dropped";
    assert!(
        line.starts_with(text) && line.contains(" kind=LostCleanup"),
        "{line}"
    );
}

#[test]
fn an_unreported_failure_is_a_warning() {
    record();
    paused_once(|| async {
        let group = TaskGroup::<BoxError>::new().name("levels of a failure");
        let group = group.run(async |g| {
            g.spawn(async { Err::<(), BoxError>("no such table".into()) });
            pending::<()>().await;
            Ok(())
        });
        let mut group = Driven::new(group);
        assert!(group.poll().is_pending());
        yield_now().await;
        drop(group);
    });
    let seen = texts("levels of a failure");
    let reports = seen.iter().filter(|text| text.contains("no such table"));
    let levels: Vec<_> = reports
        .map(|text| text.split(' ').next().unwrap())
        .collect();
    assert!(levels.contains(&"WARN"), "{seen:?}");
}

#[cfg(unix)]
mod signals {
    use super::*;

    use rustix::process::{Signal, getpid, kill_process};
    use taskscope::Shutdown;

    /// Waits until an event of this text was recorded.
    async fn told(text: &str) {
        while texts(text).is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn send(signal: Signal) {
        kill_process(getpid(), signal).unwrap();
    }

    /// Signals reach every `Shutdown` of the process, so one test tells the whole story.
    #[test]
    fn each_signal_and_the_cancellation_are_news() {
        record();
        watched(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let shutdown = Shutdown::new()
                .drain(Duration::from_secs(100))
                .grace(Duration::from_secs(100));
            let ended = runtime.block_on(shutdown.run(async {
                send(Signal::TERM);
                told("INFO stopping scope=\"main\" signal=SIGTERM drain=100s").await;
                assert_eq!(texts("INFO shutdown"), [""; 0], "it drains");
                // Late enough not to count as one with the first.
                tokio::time::sleep(Duration::from_millis(150)).await;
                send(Signal::INT);
                taskscope::shield(async {
                    told("INFO second signal scope=\"main\" signal=SIGINT ends=\"drain\"").await;
                    told("INFO shutdown scope=\"main\" signal=SIGTERM").await;
                    tokio::time::sleep(Duration::from_millis(150)).await;
                    send(Signal::INT);
                    told("ends=\"grace\"").await;
                    pending::<()>().await;
                })
                .await;
            }));
            assert!(ended.unwrap_err().reason().is_shutdown());
        });
        let signals: Vec<_> = ["INFO stopping", "INFO shutdown", "INFO second signal"]
            .map(|text| texts(text).len())
            .into();
        assert_eq!(signals, [1, 1, 2]);
    }
}
