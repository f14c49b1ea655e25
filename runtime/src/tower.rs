//! A request is a task: a layer for axum, tonic and other tower services.
//!
//! A server drops a request's future when its client goes away, wherever the future
//! is suspended. [`ScopeLayer`] puts a task of a group between the two, so that the server
//! drops only a future that waits: the task is then cancelled, unwinds (its
//! `defer!`s run, its groups end), and the group waits for it.
//!
//! - The client disconnects: cancelled with [`Reason::Dropped`].
//! - The request's own time is over: cancelled with
//!   [`Reason::Deadline`], and answered.
//! - The group is cancelled, as by a shutdown: the same, with the group's reason.
//! - A panic of the handler ends that request alone, and is answered; so does one of
//!   `name` and `timeout`. One while a cancelled request is dropped is reported. Only
//!   the closure that makes the answer has none: its panic is the server's to see.
//!
//! A request ends with the head of its response, and so does what its `timeout` limits. A
//! body that is streamed after that is polled by the server, outside of the task and of any
//! scope; so is the callback of a websocket's upgrade. Their work belongs in a task of the
//! group: [`guide::servers`](crate::guide::servers) shows how, and how a server ends.
//!
//! The handler runs in another task than the layers outside of [`ScopeLayer`]. A layer that makes
//! a span, logs or counts responses goes outside: the request's task is below that span (feature
//! `tracing`), and the answer to a cancelled request is seen. A layer that sets a
//! task-local for the handler goes inside. See
//! [the order of the layers](crate::guide::servers#the-order-of-the-layers).

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::base::caught::{Panic, catch};
use crate::group::child::Start;
use crate::group::group::Group;
use crate::group::shared::TaskKind;
use crate::notes::report::{self, ReportKind};
use crate::notes::span::WorkSpan;
use crate::poll::context;
use crate::task::error::{BoxError, TaskError};
use crate::task::handle::TaskHandle;
use crate::task::output::Value;
use crate::tree::node::Node;
use crate::tree::reason::Reason;
use crate::unwind::boundary::after;
use crate::unwind::exit::PanicSite;

type Time<Req> = dyn Fn(&Req) -> Option<Duration> + Send + Sync;
type RequestName<Req> = dyn Fn(&Req) -> String + Send + Sync;
type Answer<Resp> = dyn Fn(TaskError) -> Resp + Send + Sync;

/// Runs each request as a task of a group, in a scope of its own.
///
/// `answer` makes the response of a request that has none of its own: it was
/// cancelled, or it panicked. With feature `tracing` it is called in the span of the request's task. It must not panic itself: that is the server's to see. Give the group `on_failure = OnFailure::Continue`, so that
/// a request whose cleanup exceeded the grace period does not end the others.
/// The group's `limit` bounds how many requests run; the others wait.
///
/// Layers that make a span or look at responses go outside of it, layers that set a task-local
/// for the handler go inside: see
/// [the order of the layers](crate::guide::servers#the-order-of-the-layers).
///
/// With axum:
///
/// ```
/// use std::time::Duration;
/// use axum::{Router, extract::Request, http::StatusCode, response::IntoResponse, routing::get};
/// use taskscope::{Group, Reason, TaskError, tower::ScopeLayer};
///
/// fn router(requests: &Group<'_>) -> Router {
///     let scopes = ScopeLayer::new(requests, |error| match error {
///         TaskError::Cancelled(cancelled) => match cancelled.reason() {
///             Reason::Deadline => StatusCode::GATEWAY_TIMEOUT.into_response(),
///             _ => StatusCode::SERVICE_UNAVAILABLE.into_response(),
///         },
///         _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
///     })
///     .name(|request: &Request| format!("{} {}", request.method(), request.uri().path()))
///     .timeout(|request| {
///         let seconds = request.headers().get("x-timeout")?.to_str().ok()?;
///         Some(Duration::from_secs(seconds.parse().ok()?))
///     });
///     Router::new().route("/", get(async || "hello")).layer(scopes)
/// }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let group = taskscope::TaskGroup::<taskscope::BoxError>::new().run(async |g| {
/// #     drop(router(&g));
/// #     Ok(())
/// # });
/// # group.await.unwrap();
/// # }
/// ```
///
/// With tonic, the answer is `|error| Status::cancelled(error.to_string()).into_http()`.
pub struct ScopeLayer<Req, Resp, E = BoxError> {
    group: Group<'static, E>,
    plan: Arc<Plan<Req, Resp>>,
}

/// What the requests of one layer have in common.
struct Plan<Req, Resp> {
    name: Option<Arc<RequestName<Req>>>,
    timeout: Option<Arc<Time<Req>>>,
    answer: Arc<Answer<Resp>>,
    /// Where the layer was made: the line that a request's task names.
    location: &'static Location<'static>,
}

impl<Req, Resp> Clone for Plan<Req, Resp> {
    fn clone(&self) -> Self {
        Plan {
            name: self.name.clone(),
            timeout: self.timeout.clone(),
            answer: self.answer.clone(),
            location: self.location,
        }
    }
}

impl<Req, Resp, E> ScopeLayer<Req, Resp, E> {
    /// Creates a layer that spawns into `group`, which waits for its requests.
    #[track_caller]
    pub fn new(
        group: &Group<'_, E>,
        answer: impl Fn(TaskError) -> Resp + Send + Sync + 'static,
    ) -> Self {
        let plan = Plan {
            name: None,
            timeout: None,
            answer: Arc::new(answer),
            location: Location::caller(),
        };
        ScopeLayer {
            group: group.clone(),
            plan: Arc::new(plan),
        }
    }

    /// Names the task of each request, for reports. The default is `request`.
    pub fn name(mut self, name: impl Fn(&Req) -> String + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.plan).name = Some(Arc::new(name));
        self
    }

    /// Sets the time limit of each request, counted from its arrival; `None` means no
    /// limit. The handler sees it as [`deadline`](crate::deadline()).
    pub fn timeout(
        mut self,
        timeout: impl Fn(&Req) -> Option<Duration> + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.plan).timeout = Some(Arc::new(timeout));
        self
    }
}

impl<Req, Resp, E> Clone for ScopeLayer<Req, Resp, E> {
    fn clone(&self) -> Self {
        ScopeLayer {
            group: self.group.clone(),
            plan: self.plan.clone(),
        }
    }
}

impl<Req, Resp, E> fmt::Debug for ScopeLayer<Req, Resp, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeLayer")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl<S, Req, Resp, E> Layer<S> for ScopeLayer<Req, Resp, E> {
    type Service = ScopeService<S, Req, Resp, E>;

    fn layer(&self, inner: S) -> Self::Service {
        ScopeService {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`ScopeLayer`] makes of another one.
pub struct ScopeService<S, Req, Resp, E = BoxError> {
    inner: S,
    layer: ScopeLayer<Req, Resp, E>,
}

impl<S: Clone, Req, Resp, E> Clone for ScopeService<S, Req, Resp, E> {
    fn clone(&self) -> Self {
        ScopeService {
            inner: self.inner.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S: fmt::Debug, Req, Resp, E> fmt::Debug for ScopeService<S, Req, Resp, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeService")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}

impl<S, Req, Resp, E> Service<Req> for ScopeService<S, Req, Resp, E>
where
    S: Service<Req, Response = Resp>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    Resp: Send + 'static,
    E: Send + 'static,
{
    type Response = Resp;
    type Error = S::Error;
    type Future = ResponseFuture<Resp, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let plan = &self.layer.plan;
        let (mut name, mut timeout) = (Cow::Borrowed("request"), None);
        // All of it is the handler's, and so are its panics.
        let planned = catch(|| {
            if let Some(of) = &plan.name {
                name = Cow::Owned(of(&request));
            }
            timeout = plan.timeout.as_ref().and_then(|of| of(&request));
        });
        let group = &self.layer.group;
        // Inside of it already: what a layer further in does in `call` is part of the request.
        let span = WorkSpan::task(&group.shared.span, || Cow::Borrowed(&*name), plan.location);
        let called = planned.and_then(|()| span.within(|| catch(|| self.inner.call(request))));
        let caught = Caught::new(called, plan.location);
        let (name, start) = (name.into(), Start::within(span.clone()));
        let task = group
            .shared
            .spawn(TaskKind::Plain, name, plan.location, start, caught);
        if let Some(at) = timeout.and_then(after) {
            task.handle().set_deadline(at);
        }
        ResponseFuture {
            task,
            span,
            answer: plan.answer.clone(),
        }
    }
}

pin_project! {
    /// A handler's future: its panic is a value, so that it ends one request
    /// and is no failure of the group.
    struct Caught<F> {
        #[pin]
        future: Option<F>,
        // What the handler panicked with before it had a future.
        panic: Option<Panic>,
        // The request's own, once it was polled.
        node: Option<Arc<Node>>,
        // Where the layer was made.
        location: &'static Location<'static>,
    }

    impl<F> PinnedDrop for Caught<F> {
        // The request is cancelled. A panic here would be its task's, and end the group.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let dropped = context::drop_outside(this.future).err();
            for panic in this.panic.take().into_iter().chain(dropped) {
                report_panic(this.node.as_ref(), &panic, this.location);
            }
        }
    }
}

/// A panic that is not in the request's answer.
fn report_panic(node: Option<&Arc<Node>>, panic: &Panic, location: &'static Location<'static>) {
    let path = node.map(Node::path).unwrap_or_default();
    let message = format!(
        "a request panicked while it was dropped: {}",
        panic.message()
    );
    report::report(ReportKind::Unreported, &path, message, location);
}

impl<F> Caught<F> {
    fn new(called: Result<F, Panic>, location: &'static Location<'static>) -> Caught<F> {
        let (future, panic) = match called {
            Ok(future) => (Some(future), None),
            Err(panic) => (None, Some(panic)),
        };
        Caught {
            future,
            panic,
            node: None,
            location,
        }
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Value<Result<F::Output, TaskError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Some(panic) = this.panic.take() {
            return Poll::Ready(Value(Err(TaskError::Panicked(panic.message()))));
        }
        let mut slot = this.future;
        let Some(future) = slot.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        if this.node.is_none() {
            *this.node = context::ambient().map(|(node, _)| node);
        }
        let mut outcome = match catch(|| future.poll(cx)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(TaskError::Panicked(panic.message())),
        };
        if let Err(panic) = context::drop_outside(slot) {
            if outcome.is_err() {
                report_panic(this.node.as_ref(), &panic, this.location);
            }
            let answer = Err(TaskError::Panicked(panic.message()));
            let site = PanicSite {
                node: this.node.as_ref(),
                location: Some(this.location),
            };
            site.discard(std::mem::replace(&mut outcome, answer));
        }
        Poll::Ready(Value(outcome))
    }
}

/// Future of [`ScopeService`]: waits for the request's task, and cancels the task if
/// it is dropped before.
#[must_use = "futures do nothing unless awaited"]
pub struct ResponseFuture<Resp, Error> {
    task: TaskHandle<Result<Result<Resp, Error>, TaskError>>,
    /// The span of the task, until the response is made.
    span: WorkSpan,
    answer: Arc<Answer<Resp>>,
}

impl<Resp, Error> Unpin for ResponseFuture<Resp, Error> {}

impl<Resp, Error> fmt::Debug for ResponseFuture<Resp, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

impl<Resp, Error> Future for ResponseFuture<Resp, Error> {
    type Output = Result<Resp, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.task).poll(cx));
        let response = match outcome {
            Ok(Ok(output)) => output,
            Ok(Err(error)) | Err(error) => Ok(self.span.within(|| (self.answer)(error))),
        };
        self.span.close();
        Poll::Ready(response)
    }
}

impl<Resp, Error> Drop for ResponseFuture<Resp, Error> {
    fn drop(&mut self) {
        self.task.handle().cancel_with(Reason::Dropped);
        self.span.close();
    }
}
