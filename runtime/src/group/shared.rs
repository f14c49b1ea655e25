//! What a group's future, its handles and its tasks share.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::base::caught::Panic;
use crate::base::sync::Mutex;
use crate::group::book::{Book, Circumstances, Entries, Fate};
use crate::group::child::{Admission, Start, Task};
use crate::group::policy::OnFailure;
use crate::group::scoped::{Erased, Queue, ReadyQueue};
use crate::notes::names::Name;
use crate::notes::report::{self, ReportKind};
use crate::notes::span::GroupSpan;
use crate::task::describe::{Describe, Echo, Passes};
use crate::task::error::{Cause, Contents, Failure, GroupError};
use crate::task::handle::{Core, KeptResult, TaskHandle, note_foreign_failure};
use crate::task::id::TaskId;
use crate::task::output::{TaskResult, ValueOf};
use crate::task::summary::Part;
use crate::tree::node::{Duties, Node, Payload, flag};
use crate::tree::reason::{Cancelled, Culprit, Reason};
use crate::unwind::exit::PanicSite;

/// How a task stands to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TaskKind {
    /// Cancelled with the group.
    Plain,
    /// Not reached by the group's cancellation: runs to its end.
    Shielded,
    /// Cancelled when body and other tasks are gone, and only then.
    Service,
}

impl TaskKind {
    fn duties(self) -> Duties {
        Duties {
            shielded: self != TaskKind::Plain,
            background: self == TaskKind::Service,
        }
    }
}

/// What a group's future, its handles and its tasks share.
pub(crate) struct Shared<E> {
    pub(crate) node: Arc<Node>,
    pub(crate) on_failure: OnFailure,
    describe: Describe<E>,
    pub(crate) limit: Option<Arc<Semaphore>>,
    /// Where tasks are spawned: the runtime that polls the group.
    pub(crate) runtime: OnceLock<Handle>,
    pub(crate) span: GroupSpan,
    book: Mutex<Book<E>>,
    /// Whether a task was left by cancellation.
    cut: AtomicBool,
    /// Scoped children to be polled. Made for the first one: most groups have none.
    inside: OnceLock<Arc<ReadyQueue>>,
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
            span: GroupSpan::default(),
            book: Mutex::new(Book::new()),
            cut: AtomicBool::new(false),
            inside: OnceLock::new(),
            deferred: Queue::new(),
        }
    }

    pub(crate) fn inside(&self) -> &Arc<ReadyQueue> {
        self.inside.get_or_init(Arc::default)
    }

    /// The queue of scoped children, if the group has had any.
    pub(crate) fn made_inside(&self) -> Option<&Arc<ReadyQueue>> {
        self.inside.get()
    }

    /// Body and other tasks are gone: the services have done their work.
    pub(crate) fn cancel_services(&self, reason: &Reason) {
        for service in self.node.take_services() {
            service.cancel(reason.clone());
        }
    }
}

impl<E: Send + 'static> Shared<E> {
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    pub(crate) fn note_cut(&self) {
        // Many tasks may be left at once: the first one writes. Release: pairs with
        // the Acquire of the group that ends.
        if !self.cut.load(Ordering::Relaxed) {
            self.cut.store(true, Ordering::Release);
        }
    }

    /// A task failed.
    pub(crate) fn fail(&self, failure: Failure<E>) {
        self.failed(failure, Echo::No, self.on_failure == OnFailure::Cancel);
    }

    /// A task was dropped by its runtime. Where the group's future is gone, too,
    /// it goes with it.
    pub(crate) fn task_dropped(&self, failure: impl FnOnce() -> Failure<E>) {
        let group_dropped = self.book.lock().is_group_dropped();
        if !group_dropped {
            self.fail(failure());
        }
    }

    fn failed(&self, failure: Failure<E>, echo: Echo, cancels: bool) {
        let culprit = cancels.then(|| self.culprit(&failure));
        self.record(failure, echo, cancels);
        if let Some(culprit) = culprit {
            self.cancel_for(culprit);
        }
    }

    /// What the siblings are told of a failure. Nothing, if they are cancelled already.
    fn culprit(&self, failure: &Failure<E>) -> Option<Culprit> {
        (!self.is_cancelled()).then(|| Culprit {
            task: failure.name.clone(),
            how: self.how(&failure.cause),
        })
    }

    fn cancel_for(&self, culprit: Option<Culprit>) {
        if let Some(culprit) = culprit {
            self.node.cancel_for(culprit);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.node.flags_acquire() & flag::CANCELLED != 0
    }

    fn record(&self, failure: Failure<E>, echo: Echo, cancels: bool) {
        let how = Circumstances {
            echo,
            cancels,
            cancelled: self.is_cancelled(),
            unbounded: self.on_failure == OnFailure::Continue,
        };
        let refused = self.book.lock().record(failure, how);
        let Some((failure, fate)) = refused else {
            return;
        };
        let text = self.report(&failure);
        let rest = match fate {
            Fate::Omitted => Some(failure),
            Fate::Late => {
                self.node.attach_failure(text);
                self.book.lock().keep_late(failure)
            }
            Fate::Deserted => {
                self.hand_up(text);
                Some(failure)
            }
        };
        self.discard(rest);
    }

    /// The group's future is gone: what fails from now on, and what was not
    /// returned, is reported, and attached to the scope that adopts the tasks.
    pub(crate) fn on_group_dropped(&self) {
        let mut entries = self.book.lock().on_group_dropped();
        if let Some(panic) = entries.panic.take() {
            PanicSite::of(&self.node).report(&panic);
        }
        for failure in entries.unreported() {
            let text = self.report(failure);
            self.hand_up(text);
        }
        self.discard_all(entries);
    }

    /// Attaches what no caller of the group gets to the scope above, if that is
    /// cancelled. One that is not may live for months, and never look at it.
    fn hand_up(&self, text: String) {
        let above = self.node.parent().map(|(above, _)| above);
        if let Some(above) = above
            && above.flags_acquire() & flag::CANCELLED != 0
        {
            above.attach_failure(text);
        }
    }

    /// The first panic is resumed at the end, unless it is a task's own affair.
    pub(crate) fn panicked(&self, panic: Panic, failure: Failure<E>) {
        if self.on_failure == OnFailure::Continue {
            return self.fail(failure);
        }
        // What is resumed is the payload, which does not say whose it was. A
        // panic that a group below has resumed is known by the task's name.
        let culprit = self.culprit(&failure);
        if !panic.is_named() {
            self.report(&failure);
        }
        self.record_panic(panic.name());
        self.cancel_for(culprit);
    }

    fn body_failure(&self, cause: Cause<E>) -> Failure<E> {
        Failure {
            name: "body".to_owned(),
            id: TaskId::next(),
            location: self.node.location(),
            part: Part::Body,
            cause,
        }
    }

    pub(crate) fn body_failed(&self, error: E) {
        let echo = self.echo(&error, &self.node);
        let failure = self.body_failure(Cause::Error(error));
        if echo != Echo::Yes {
            return self.failed(failure, echo, true);
        }
        let culprit = self.culprit(&failure);
        self.discard(failure);
        let cancelled = self.is_cancelled();
        self.book.lock().fail(cancelled);
        self.cancel_for(culprit);
    }

    pub(crate) fn task_failed(
        &self,
        node: &Node,
        failure: impl FnOnce(Cause<E>) -> Failure<E>,
        error: E,
    ) {
        let cancels = self.on_failure == OnFailure::Cancel;
        match self.echo(&error, node) {
            // The failure that it repeats has cancelled the group, if any does.
            Echo::Yes => {
                self.book.lock().repeats();
                self.discard(error);
            }
            echo => self.failed(failure(Cause::Error(error)), echo, cancels),
        }
    }

    /// Whether an error of the code that runs in `node` only repeats what the handle
    /// of a failed task of this group said: that failure is listed already.
    fn echo(&self, error: &E, node: &Node) -> Echo {
        let seen = node.flags_acquire() & (flag::SAW_FAILURE | flag::SAW_FOREIGN_FAILURE);
        if seen & flag::SAW_FAILURE == 0 || !self.book.lock().has_failures() {
            return Echo::No;
        }
        let echo = match self.describe.passes(error) {
            Passes::Nothing => Echo::No,
            Passes::Unknown => Echo::Maybe,
            Passes::On(told) => self.book.lock().echo(&told),
        };
        match echo {
            // It may as well repeat what another group said, or the handle of its task.
            Echo::Yes if seen & flag::SAW_FOREIGN_FAILURE != 0 => Echo::Maybe,
            echo => echo,
        }
    }

    pub(crate) fn body_panicked(&self, panic: Panic) {
        let culprit = self.culprit(&self.body_failure(Cause::Panic(panic.message())));
        self.record_panic(panic);
        self.cancel_for(culprit);
    }

    /// The first one stays.
    fn record_panic(&self, panic: Panic) {
        let cancelled = self.is_cancelled();
        let later = self.book.lock().record_panic(panic, cancelled);
        if let Some(later) = later {
            PanicSite::of(&self.node).report(&later);
        }
    }

    /// Drops errors of the user's, each by itself.
    fn discard<T>(&self, value: T) {
        PanicSite::of(&self.node).discard(value);
    }

    fn discard_all(&self, entries: Entries<E>) {
        entries.into_all().for_each(|failure| self.discard(failure));
    }

    /// The node of a new task, which the group does not [`expect`](Self::expect) yet.
    #[inline]
    pub(crate) fn task_node<P: Payload>(
        &self,
        kind: TaskKind,
        name: Name,
        location: &'static Location<'static>,
        payload: P,
    ) -> Arc<Node<P>> {
        Node::task(&self.node, kind.duties(), name, location, payload)
    }

    /// Expects a new task. False when the group takes no more: then the node is for its
    /// handle alone.
    pub(crate) fn expect(&self, kind: TaskKind, node: &Arc<Node>) -> bool {
        node.enter_group(&self.node, kind.duties())
    }

    pub(crate) fn refusal(&self) -> Cancelled {
        self.node.refusal()
    }

    fn admission(&self) -> Admission {
        let Some(limit) = &self.limit else {
            return Admission::Open;
        };
        if let Ok(permit) = limit.clone().try_acquire_owned() {
            return Admission::admitted(permit);
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
            Poll::Ready(permit) => Admission::admitted(permit),
            Poll::Pending => Admission::queued(place),
        }
    }

    pub(crate) fn spawn<F>(
        self: &Arc<Self>,
        kind: TaskKind,
        name: Name,
        location: &'static Location<'static>,
        start: Start,
        future: F,
    ) -> TaskHandle<ValueOf<F>>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E>,
        ValueOf<F>: Send,
    {
        let slot = KeptResult::<ValueOf<F>>::new();
        let core = Core::inside(self.task_node(kind, name, location, slot));
        if !self.expect(kind, &core.node) {
            return TaskHandle::refused(core, self.refusal());
        }
        let start = Start {
            admission: start.admission.or_else(|| match kind {
                // A service would hold its place until the others are gone.
                TaskKind::Service => None,
                TaskKind::Plain | TaskKind::Shielded => Some(self.admission()),
            }),
            ..start
        };
        if kind == TaskKind::Shielded {
            core.node.set(flag::SHIELDED);
        }
        let (task, handle) = Task::new(self, core, start, future);
        self.runtime.get_or_init(Handle::current).spawn(task);
        handle
    }

    pub(crate) fn deferred_failed(&self, cause: Cause<E>, panic: Option<Panic>) {
        if let Some(panic) = panic
            && self.on_failure == OnFailure::Cancel
        {
            self.record_panic(panic);
            return;
        }
        let echo = match &cause {
            Cause::Error(error) => self.echo(error, &self.node),
            Cause::Panic(_) | Cause::Aborted => Echo::No,
        };
        let failure = Failure {
            name: "deferred".to_owned(),
            part: Part::Deferred,
            ..self.body_failure(cause)
        };
        match echo {
            Echo::Yes => self.discard(failure),
            echo => self.record(failure, echo, false),
        }
    }
}

impl<E: Send + 'static> Shared<E> {
    /// What the group returns, once all is gone. Nothing, if `outer`, the scope outside, is
    /// cancelled as well.
    pub(crate) fn outcome<T>(
        &self,
        value: Option<T>,
        outer: Option<Arc<Node>>,
    ) -> Poll<Result<T, GroupError<E>>> {
        let mut entries = self.book.lock().take();
        if let Some(panic) = entries.panic.take() {
            for failure in entries.unreported() {
                self.report(failure);
            }
            self.discard_all(entries);
            self.discard(value);
            panic.resume();
        }
        // Acquire: pairs with `was_cut`.
        let cut = self.cut.load(Ordering::Acquire);
        let complete = entries.failures.is_empty()
            && entries.late.is_empty()
            && (!cut || (outer.is_none() && !self.timed_out()));
        match (value, outer) {
            (Some(value), _) if complete => Poll::Ready(Ok(value)),
            (value, None) => {
                self.discard(value);
                if !entries.failures.is_empty() || !entries.late.is_empty() {
                    note_foreign_failure();
                }
                Poll::Ready(Err(self.error(entries)))
            }
            (value, Some(outer)) => {
                self.discard(value);
                let earlier = self.node.take_failures();
                let texts = entries.unreported().map(|failure| self.report(failure));
                for text in earlier.into_iter().chain(texts) {
                    outer.attach_failure(text);
                }
                self.discard_all(entries);
                Poll::Pending
            }
        }
    }

    fn timed_out(&self) -> bool {
        self.node
            .origin()
            .is_some_and(|origin| origin.reason.is_deadline())
    }

    fn error(&self, entries: Entries<E>) -> GroupError<E> {
        for echo in entries.echoes {
            let (path, message) = self.text_of(&echo);
            let text = report::line(&path, message, echo.location);
            self.discard(echo);
            self.node.attach_failure(text);
        }
        let own = self
            .node
            .origin()
            .is_some_and(|origin| !origin.reason.is_sibling_failed());
        let cancelled = self.node.take_cancelled();
        let attached = cancelled.share_attached();
        GroupError::new(Contents {
            group: self.node.name().into_owned(),
            failures: entries.failures,
            late: entries.late,
            omitted: entries.omitted,
            cancelled: own.then_some(cancelled),
            attached,
            describe: self.describe,
        })
    }

    /// Reports a failure that cannot be returned.
    fn report(&self, failure: &Failure<E>) -> String {
        let (path, message) = self.text_of(failure);
        report::report(ReportKind::Unreported, &path, message, failure.location)
    }

    /// What is said of a failure: the names from the root down to the task, and what
    /// happened.
    fn text_of(&self, failure: &Failure<E>) -> (String, String) {
        let path = format!("{} > {}", self.node.path(), failure.name);
        let what = match failure.part {
            Part::Task => format!("task `{}`", failure.short_name()),
            Part::Body => "the body".to_owned(),
            Part::Deferred => "a deferred cleanup".to_owned(),
        };
        let message = format!("{what} {}", self.how(&failure.cause));
        (path, message)
    }

    /// An error need not be `Display`. Runs the user's code, so not under a lock.
    fn how(&self, cause: &Cause<E>) -> String {
        match cause {
            Cause::Error(error) => format!("failed: {}", self.describe.text(error)),
            Cause::Panic(message) => format!("panicked: {message}"),
            Cause::Aborted => "was aborted".to_owned(),
        }
    }
}
