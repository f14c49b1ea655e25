//! Feature `tracing`: a span for each task, and events. Without the feature every
//! function here is empty, and every type has no size.
//!
//! Work that moves to another task or thread takes the current span along
//! ([`WorkSpan::current`]), or gets a span of its own below it ([`WorkSpan::task`]).
//! The guide's page `observability` tells users the names, fields, parents and levels.

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{CleanupTrace, GroupSpan, WorkSpan, cancelled, reported};
#[cfg(all(feature = "tracing", feature = "shutdown"))]
pub(crate) use on::shutdown;
#[cfg(feature = "tracing")]
pub(crate) use on::{CleanupTrace, GroupSpan, WorkSpan, cancelled, reported};

#[cfg(feature = "tracing")]
mod on {
    use std::borrow::Cow;
    use std::panic::Location;
    use std::sync::Arc;

    use tracing::dispatcher::{get_default, with_default};
    use tracing::level_filters::LevelFilter;
    use tracing::{Dispatch, Instrument, Level, Span, event, span};

    use crate::caught::contain;
    use crate::names::without_line;
    use crate::node::Node;
    use crate::reason::Reason;
    use crate::report::{Report, ReportKind};
    #[cfg(feature = "shutdown")]
    use crate::signal::Signal;
    use crate::sync::Mutex;
    use crate::table::Kind;

    const TARGET: &str = "taskscope";

    /// The span in which a group began to run, while the group's future lives.
    ///
    /// In an `Arc`, because cloning a `Span` runs code of the subscriber, which must not
    /// happen under the lock.
    #[derive(Debug, Default)]
    pub(crate) struct GroupSpan(Mutex<Option<Arc<Span>>>);

    impl GroupSpan {
        pub(crate) fn begin(&self) {
            let span = Span::current();
            if !span.is_none() {
                *self.0.lock() = Some(Arc::new(span));
            }
        }

        /// Releases the span: handles of an ended group do not keep it open.
        pub(crate) fn end(&self) {
            let span = self.0.lock().take();
            contain(|| drop(span));
        }

        fn get(&self) -> Option<Arc<Span>> {
            self.0.lock().clone()
        }
    }

    /// The span in which work runs that was handed to another task or thread.
    #[derive(Clone, Debug)]
    pub(crate) struct WorkSpan(Span);

    /// The only place that makes the span of a task, below an explicit parent or the
    /// current span.
    macro_rules! task_span {
        ($name:expr, $location:expr $(, parent: $parent:expr)?) => {
            span!(
                target: TARGET,
                $(parent: $parent,)?
                Level::INFO,
                "task",
                name = without_line(&$name, $location),
                location = %$location
            )
        };
    }

    impl WorkSpan {
        /// The current span, for work that has none of its own.
        pub(crate) fn current() -> WorkSpan {
            WorkSpan(Span::current())
        }

        /// A span for a new task: below the current span, or where none is current, below
        /// that of the task's group. If the subscriber is not interested in such spans, the
        /// task runs in the span that would be the parent.
        ///
        /// A subscriber that panics does not keep the task from running: the group waits
        /// for the task already.
        pub(crate) fn task<'a>(
            group: &GroupSpan,
            name: impl FnOnce() -> Cow<'a, str>,
            location: &'static Location<'static>,
        ) -> WorkSpan {
            // Without a subscriber nothing is allocated, nor is the group's lock taken.
            if LevelFilter::current() == LevelFilter::OFF {
                return WorkSpan(Span::none());
            }
            let make = || {
                let parent = parent(group);
                let span = match &parent {
                    Some(parent) => below(parent, name, location),
                    None => task_span!(name(), location),
                };
                if span.is_disabled() {
                    parent.map_or_else(Span::current, |parent| Span::clone(&parent))
                } else {
                    span
                }
            };
            WorkSpan(contain(make).unwrap_or_else(Span::none))
        }

        /// Runs `f` inside the span.
        pub(crate) fn within<R>(&self, f: impl FnOnce() -> R) -> R {
            self.0.in_scope(f)
        }

        /// Polls and drops `future` inside the span.
        pub(crate) fn around<F: Future>(
            self,
            future: F,
        ) -> impl Future<Output = F::Output> + use<F> {
            future.instrument(self.0)
        }

        /// Closes a task's span, unless it has been cloned.
        pub(crate) fn close(&mut self) {
            if !self.0.is_none() {
                contain(|| self.0 = Span::none());
            }
        }
    }

    /// The group's span, where no span is current. A subscriber that does not say which
    /// span is current places a new span itself.
    fn parent(group: &GroupSpan) -> Option<Arc<Span>> {
        let current = get_default(Dispatch::current_span);
        if current.is_known() && current.id().is_none() {
            group.get()
        } else {
            None
        }
    }

    /// A span below that of a group, in the group's subscriber: it may be another one here,
    /// which does not know the group's span.
    fn below<'a>(
        parent: &Span,
        name: impl FnOnce() -> Cow<'a, str>,
        location: &'static Location<'static>,
    ) -> Span {
        let made = parent.with_subscriber(|(id, subscriber)| {
            with_default(
                subscriber,
                || task_span!(name(), location, parent: id.clone()),
            )
        });
        made.unwrap_or_else(Span::none)
    }

    // A subscriber that panics in an event keeps no cancellation and no cleanup from running.

    /// Requests that time out and connections that end are cancelled all day.
    pub(crate) fn cancelled(node: &Node, reason: &Reason) {
        if tracing::enabled!(target: TARGET, Level::DEBUG) {
            let (scope, reason) = (&*node.name(), reason.text());
            contain(|| event!(target: TARGET, Level::DEBUG, scope, %reason, "cancel"));
        }
    }

    /// The process is cancelled, once.
    #[cfg(feature = "shutdown")]
    pub(crate) fn shutdown(node: &Node, signal: Signal) {
        let scope = &*node.name();
        contain(|| event!(target: TARGET, Level::INFO, scope, %signal, "shutdown"));
    }

    /// What a cleanup tells about itself.
    #[derive(Debug)]
    pub(crate) struct CleanupTrace {
        begun: bool,
    }

    impl CleanupTrace {
        pub(crate) fn new() -> CleanupTrace {
            CleanupTrace { begun: false }
        }

        pub(crate) fn begin(&mut self, kind: Kind, location: &Location<'_>) {
            if !self.begun {
                self.begun = true;
                let what = kind.name();
                contain(|| event!(target: TARGET, Level::DEBUG, what, %location, "cleanup begins"));
            }
        }

        pub(crate) fn end(&self, kind: Kind, location: &Location<'_>) {
            let what = kind.name();
            contain(|| event!(target: TARGET, Level::DEBUG, what, %location, "cleanup ends"));
        }
    }

    pub(crate) fn reported(report: &Report) {
        let (scope, location, kind) = (report.scope(), report.location(), report.kind());
        let message = report.message();
        match kind {
            ReportKind::LostCleanup | ReportKind::Overrun => {
                let help = report.help();
                event!(target: TARGET, Level::ERROR, scope, %location, ?kind, help, "{message}");
            }
            _ => event!(target: TARGET, Level::WARN, scope, %location, ?kind, "{message}"),
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::borrow::Cow;
    use std::panic::Location;

    use crate::node::Node;
    use crate::reason::Reason;
    use crate::report::Report;
    use crate::table::Kind;

    #[derive(Debug, Default)]
    pub(crate) struct GroupSpan(());

    impl GroupSpan {
        #[inline]
        pub(crate) fn begin(&self) {}

        #[inline]
        pub(crate) fn end(&self) {}
    }

    #[derive(Clone, Debug)]
    pub(crate) struct WorkSpan;

    impl WorkSpan {
        #[inline]
        pub(crate) fn current() -> WorkSpan {
            WorkSpan
        }

        #[inline]
        pub(crate) fn task<'a>(
            _: &GroupSpan,
            _: impl FnOnce() -> Cow<'a, str>,
            _: &'static Location<'static>,
        ) -> WorkSpan {
            WorkSpan
        }

        #[inline]
        pub(crate) fn within<R>(&self, f: impl FnOnce() -> R) -> R {
            f()
        }

        #[inline]
        pub(crate) fn around<F: Future>(self, future: F) -> F {
            future
        }

        #[inline]
        pub(crate) fn close(&mut self) {}
    }

    #[inline]
    pub(crate) fn cancelled(_: &Node, _: &Reason) {}

    #[derive(Debug)]
    pub(crate) struct CleanupTrace;

    impl CleanupTrace {
        #[inline]
        pub(crate) fn new() -> CleanupTrace {
            CleanupTrace
        }

        #[inline]
        pub(crate) fn begin(&mut self, _: Kind, _: &Location<'_>) {}

        #[inline]
        pub(crate) fn end(&self, _: Kind, _: &Location<'_>) {}
    }

    #[inline]
    pub(crate) fn reported(_: &Report) {}
}
