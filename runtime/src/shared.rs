//! What a group's future, its handles and its tasks share.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::caught::Panic;
use crate::describe::Describe;
use crate::error::{BoxError, Cause, Failure, GroupError, TaskError};
use crate::group::OnFailure;
use crate::handle::{Core, Slot, TaskHandle, TaskId};
use crate::node::{Duties, Node, flag};
use crate::output::{TaskResult, ValueOf};
use crate::reason::{Cancelled, Reason};
use crate::report::{self, ReportKind};
use crate::scope::Place;
use crate::scoped::{Erased, Queue};
use crate::sync::Mutex;
use crate::task::{Admission, Task};

/// How a task stands to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Cancelled with the group.
    Plain,
    /// Not reached by the group's cancellation: runs to its end.
    Shielded,
    /// Cancelled when body and other tasks are gone, and only then.
    Service,
}

/// What the end of the group has to look at.
struct Book<E> {
    /// What has failed so far.
    failures: Vec<Failure<E>>,
    /// To be resumed.
    panic: Option<Panic>,
    /// The group's future was dropped: nobody will be given these.
    deserted: bool,
    services: Vec<Arc<Node>>,
}

/// What a group's future, its handles and its tasks share.
pub(crate) struct Shared<E> {
    pub(crate) node: Arc<Node>,
    pub(crate) on_failure: OnFailure,
    describe: Describe<E>,
    pub(crate) limit: Option<Arc<Semaphore>>,
    /// Where tasks are spawned: the runtime that polls the group.
    pub(crate) runtime: OnceLock<Handle>,
    book: Mutex<Book<E>>,
    /// Whether a task was left by cancellation.
    cut: AtomicBool,
    /// Scoped tasks on their way to the group's future.
    pub(crate) scoped: Queue<Erased>,
    /// Deferred cleanups, the last one to run first.
    pub(crate) deferred: Queue<Erased<Result<(), E>>>,
}

impl<E> Shared<E> {
    pub(crate) fn new(
        node: Arc<Node>,
        on_failure: OnFailure,
        limit: Option<usize>,
        describe: Describe<E>,
    ) -> Shared<E> {
        if let Some(limit) = limit {
            node.set_limit(limit);
        }
        Shared {
            node,
            on_failure,
            describe,
            limit: limit.map(|limit| Arc::new(Semaphore::new(limit))),
            runtime: OnceLock::new(),
            book: Mutex::new(Book {
                failures: Vec::new(),
                panic: None,
                deserted: false,
                services: Vec::new(),
            }),
            cut: AtomicBool::new(false),
            scoped: Queue::new(),
            deferred: Queue::new(),
        }
    }

    /// Body and other tasks are gone: the services have done their work.
    pub(crate) fn cancel_services(&self, reason: &Reason) {
        let services = std::mem::take(&mut self.book.lock().services);
        for service in services {
            service.cancel(reason.clone());
        }
    }
}

impl<E: Send + 'static> Shared<E> {
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn was_cut(&self) {
        // Many tasks may be left at once: the first one writes. Release: pairs with
        // the Acquire of the group that ends.
        if !self.cut.load(Ordering::Relaxed) {
            self.cut.store(true, Ordering::Release);
        }
    }

    pub(crate) fn fail(&self, failure: Failure<E>) {
        self.note(failure);
        self.cancel_rest();
    }

    /// A task was dropped by its runtime. Where the group's future is gone, too,
    /// it goes with it.
    pub(crate) fn lost(&self, failure: impl FnOnce() -> Failure<E>) {
        let deserted = self.book.lock().deserted;
        if !deserted {
            self.fail(failure());
        }
    }

    fn note(&self, failure: Failure<E>) {
        let mut book = self.book.lock();
        if !book.deserted {
            book.failures.push(failure);
            return;
        }
        drop(book);
        self.hand_up(&[failure]);
    }

    /// The group's future is gone: what fails from now on, and what was not
    /// returned, is reported, and attached to the scope that adopts the tasks.
    pub(crate) fn desert(&self) {
        let mut book = self.book.lock();
        book.deserted = true;
        let unreturned = std::mem::take(&mut book.failures);
        drop(book);
        self.hand_up(&unreturned);
    }

    fn hand_up(&self, failures: &[Failure<E>]) {
        if failures.is_empty() {
            return;
        }
        let above = self.node.parent();
        for text in self.report(failures) {
            if let Some((above, _)) = &above {
                above.attach_failure(text);
            }
        }
    }

    fn cancel_rest(&self) {
        if self.on_failure == OnFailure::Cancel {
            self.node.cancel(Reason::SiblingFailed);
        }
    }

    /// The first panic is resumed at the end, unless it is a task's own affair.
    pub(crate) fn panicked(&self, panic: Panic, failure: Failure<E>) {
        if self.on_failure == OnFailure::Continue {
            return self.fail(failure);
        }
        // What is resumed is the payload, which does not say whose it was. A
        // panic that a group below has resumed is known by the task's name.
        if !panic.is_named() {
            self.report(&[failure]);
        }
        self.note_panic(panic.name());
        self.node.cancel(Reason::SiblingFailed);
    }

    fn body_failure(&self, cause: Cause<E>) -> Failure<E> {
        Failure {
            name: "body".to_owned(),
            id: TaskId::next(),
            location: self.node.location(),
            cause,
        }
    }

    pub(crate) fn body_failed(&self, error: E) {
        if !self.is_echo(&error, &self.node) {
            let failure = self.body_failure(Cause::Error(error));
            self.note(failure);
        }
        self.node.cancel(Reason::SiblingFailed);
    }

    pub(crate) fn task_failed(
        &self,
        node: &Node,
        failure: impl FnOnce(Cause<E>) -> Failure<E>,
        error: E,
    ) {
        if self.is_echo(&error, node) {
            self.cancel_rest();
        } else {
            self.fail(failure(Cause::Error(error)));
        }
    }

    /// Whether an error only passes on what the handle of a failed task said:
    /// that failure is listed already.
    ///
    /// Errors of some types can be asked. For the others it is inferred: the
    /// code was told of a failure, and the group is being left for one.
    fn is_echo(&self, error: &E, node: &Node) -> bool {
        if self.book.lock().failures.is_empty() {
            return false;
        }
        passes_on(error).unwrap_or_else(|| {
            self.on_failure == OnFailure::Cancel && node.flags_acquire() & flag::TOLD != 0
        })
    }

    pub(crate) fn body_panicked(&self, panic: Panic) {
        self.note_panic(panic);
        self.node.cancel(Reason::SiblingFailed);
    }

    /// The first one stays.
    fn note_panic(&self, panic: Panic) {
        let mut book = self.book.lock();
        let later = match book.panic {
            Some(_) => Some(panic),
            None => book.panic.replace(panic),
        };
        drop(book);
        drop(later);
    }

    /// Expects a new task; gives its node, or one for its handle alone when the
    /// group takes no more.
    pub(crate) fn expect<P: Any + Send + Sync>(
        &self,
        kind: Kind,
        name: Cow<'static, str>,
        location: &'static Location<'static>,
        payload: P,
    ) -> Result<Arc<Node>, Arc<Node>> {
        let duties = Duties {
            shielded: kind != Kind::Plain,
            background: kind == Kind::Service,
        };
        let node = Node::task(&self.node, duties, name, location, payload)?;
        if kind == Kind::Service {
            self.book.lock().services.push(node.clone());
        }
        Ok(node)
    }

    pub(crate) fn refusal(&self) -> Cancelled {
        self.node.cancelled()
    }

    fn admission(&self) -> Admission {
        let Some(limit) = &self.limit else {
            return Admission::Open;
        };
        if let Ok(permit) = limit.clone().try_acquire_owned() {
            return Admission::holding(permit);
        }
        let limit = limit.clone();
        let mut place: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move {
            match limit.acquire_owned().await {
                Ok(permit) => permit,
                // The semaphore is never closed.
                Err(_) => std::future::pending().await,
            }
        });
        // Polled here once to take its place in the queue in order of spawning.
        match place
            .as_mut()
            .poll(&mut Context::from_waker(std::task::Waker::noop()))
        {
            Poll::Ready(permit) => Admission::holding(permit),
            Poll::Pending => Admission::waiting(place),
        }
    }

    pub(crate) fn spawn<F>(
        self: &Arc<Self>,
        kind: Kind,
        name: Cow<'static, str>,
        location: &'static Location<'static>,
        admission: Option<Admission>,
        future: F,
    ) -> TaskHandle<ValueOf<F>>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E>,
        ValueOf<F>: Send,
    {
        let slot = Slot::<ValueOf<F>>::new();
        let core = match self.expect(kind, name, location, slot) {
            Ok(node) => Core::inside(node),
            Err(node) => return TaskHandle::refused(Core::inside(node), self.refusal()),
        };
        let admission = admission.unwrap_or_else(|| match kind {
            // A service would hold its place until the others are gone.
            Kind::Service => Admission::Open,
            Kind::Plain | Kind::Shielded => self.admission(),
        });
        if kind == Kind::Shielded {
            core.node.set(flag::SHIELDED);
        }
        let (task, handle) = Task::new(self, core, admission, future);
        self.runtime.get_or_init(Handle::current).spawn(task);
        handle
    }

    pub(crate) fn deferred_failed(&self, cause: Cause<E>, panic: Option<Panic>) {
        if let Some(panic) = panic
            && self.on_failure == OnFailure::Cancel
        {
            self.note_panic(panic);
            return;
        }
        let failure = Failure {
            name: "deferred".to_owned(),
            ..self.body_failure(cause)
        };
        self.note(failure);
    }
}

impl<E: Send + 'static> Shared<E> {
    /// What the group returns, once all is gone.
    pub(crate) fn outcome<T>(
        &self,
        value: Option<T>,
        place: &mut Place,
    ) -> Poll<Result<T, GroupError<E>>> {
        let outer = place.close();
        let mut book = self.book.lock();
        let (failures, panic) = (std::mem::take(&mut book.failures), book.panic.take());
        drop(book);
        if let Some(panic) = panic {
            self.report(&failures);
            panic.resume();
        }
        // Acquire: pairs with `was_cut`.
        let cut = self.cut.load(Ordering::Acquire);
        let complete = failures.is_empty() && (!cut || (outer.is_none() && !self.timed_out()));
        match (value, outer) {
            (Some(value), _) if complete => Poll::Ready(Ok(value)),
            (_, None) => Poll::Ready(Err(self.error(failures))),
            (_, Some(outer)) => {
                let earlier = self.node.take_failures();
                for text in earlier.into_iter().chain(self.report(&failures)) {
                    outer.attach_failure(text);
                }
                place.leave();
                Poll::Pending
            }
        }
    }

    fn timed_out(&self) -> bool {
        self.node
            .origin()
            .is_some_and(|origin| matches!(origin.reason, Reason::Deadline))
    }

    fn error(&self, failures: Vec<Failure<E>>) -> GroupError<E> {
        let own = self
            .node
            .origin()
            .is_some_and(|origin| !matches!(origin.reason, Reason::SiblingFailed));
        let cancelled = self.node.take_cancelled();
        let attached = cancelled.shared_failures();
        let name = self.node.name().into_owned();
        GroupError::new(name, failures, own.then_some(cancelled), attached)
    }

    /// Failures that cannot be returned. Their errors need not be `Display`.
    fn report(&self, failures: &[Failure<E>]) -> Vec<String> {
        let group = self.node.name();
        let text = |failure: &Failure<E>| {
            let how = match &failure.cause {
                Cause::Error(error) => format!("failed: {}", (self.describe)(error)),
                Cause::Panic(message) => format!("panicked: {message}"),
                Cause::Aborted => "was aborted".to_owned(),
            };
            format!("task `{}` {how}", failure.name)
        };
        failures
            .iter()
            .map(|failure| {
                report::report(
                    ReportKind::Unreported,
                    &group,
                    text(failure),
                    failure.location,
                )
            })
            .collect()
    }
}

/// Whether an error comes from a failed task's handle, if it can be asked.
fn passes_on<E: 'static>(error: &E) -> Option<bool> {
    let any: &dyn Any = error;
    if let Some(error) = any.downcast_ref::<BoxError>() {
        return Some(chain_passes_on(&**error));
    }
    if let Some(error) = any.downcast_ref::<io::Error>() {
        return Some(chain_passes_on(error));
    }
    any.downcast_ref::<TaskError>().map(tells_of_failure)
}

fn chain_passes_on(error: &(dyn Error + 'static)) -> bool {
    let mut at = Some(error);
    while let Some(error) = at {
        // An `io::Error` made from another error is transparent to `source`.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let inner = inner.map_or(error, |inner| inner);
        if let Some(error) = inner.downcast_ref::<TaskError>() {
            return tells_of_failure(error);
        }
        at = inner.source();
    }
    false
}

fn tells_of_failure(error: &TaskError) -> bool {
    !matches!(error, TaskError::Cancelled(_))
}
