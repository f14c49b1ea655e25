//! Feature `tracing`: a span for each task, and events. Nothing at all without.
//!
//! The span of a task is called `task`, with its `name` and the `location` where
//! it was spawned. Its parent is the span in which its group began to run: the
//! tree of spans is that of the tasks, whoever spawned them. Events have the
//! target `taskscope`: a shutdown is INFO, a cancellation and a cleanup are DEBUG, reports are WARN or ERROR.

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{CleanupTrace, TaskSpan, cancelled, reported};
#[cfg(all(feature = "tracing", feature = "shutdown"))]
pub(crate) use on::shutdown;
#[cfg(feature = "tracing")]
pub(crate) use on::{CleanupTrace, GroupSpan, TaskSpan, cancelled, reported};

#[cfg(feature = "tracing")]
mod on {
    use std::panic::Location;
    use std::sync::OnceLock;

    use tracing::span::Entered;
    use tracing::{Level, Span, event, span};

    use crate::names::without_line;
    use crate::node::Node;
    use crate::reason::Reason;
    use crate::report::{Report, ReportKind};
    #[cfg(feature = "shutdown")]
    use crate::signal::Signal;
    use crate::table::Kind;

    const TARGET: &str = "taskscope";

    /// The span in which a group runs; in its node.
    #[derive(Debug, Default)]
    pub(crate) struct GroupSpan(OnceLock<Span>);

    impl GroupSpan {
        /// The group runs in the current span, for ever after.
        pub(crate) fn begin(&self) {
            self.0.get_or_init(Span::current);
        }
    }

    /// The span of a task.
    #[derive(Debug)]
    pub(crate) struct TaskSpan(Span);

    impl TaskSpan {
        pub(crate) fn new(task: &Node, group: &Node) -> TaskSpan {
            // Without a subscriber nothing is allocated.
            if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
                return TaskSpan(Span::none());
            }
            let parent = group.span().0.get().and_then(Span::id);
            let (name, location) = (task.name(), task.location());
            TaskSpan(span!(
                target: TARGET,
                parent: parent,
                Level::INFO,
                "task",
                name = without_line(&name, location),
                location = %location
            ))
        }

        pub(crate) fn enter(&self) -> Entered<'_> {
            self.0.enter()
        }
    }

    /// Requests that time out and connections that end are cancelled all day.
    pub(crate) fn cancelled(node: &Node, reason: &Reason) {
        if tracing::enabled!(target: TARGET, Level::DEBUG) {
            let (scope, reason) = (&*node.name(), reason.text());
            event!(target: TARGET, Level::DEBUG, scope, %reason, "cancel");
        }
    }

    /// The process is cancelled, once.
    #[cfg(feature = "shutdown")]
    pub(crate) fn shutdown(node: &Node, signal: Signal) {
        event!(target: TARGET, Level::INFO, scope = &*node.name(), %signal, "shutdown");
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
                event!(target: TARGET, Level::DEBUG, what = kind.name(), %location, "cleanup begins");
            }
        }

        pub(crate) fn end(&self, kind: Kind, location: &Location<'_>) {
            event!(target: TARGET, Level::DEBUG, what = kind.name(), %location, "cleanup ends");
        }
    }

    pub(crate) fn reported(report: &Report) {
        let (scope, location) = (report.scope(), report.location());
        let message = report.message();
        match report.kind() {
            ReportKind::LostCleanup => {
                event!(target: TARGET, Level::ERROR, scope, %location, message, help = report.help(), "lost cleanup");
            }
            ReportKind::Overrun => {
                event!(target: TARGET, Level::ERROR, scope, %location, message, "overrun");
            }
            kind => event!(target: TARGET, Level::WARN, scope, %location, message, ?kind, "report"),
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::panic::Location;

    use crate::node::Node;
    use crate::reason::Reason;
    use crate::report::Report;
    use crate::table::Kind;

    #[derive(Debug)]
    pub(crate) struct TaskSpan;

    /// What is held while a task is polled.
    #[derive(Debug)]
    pub(crate) struct Entered;

    impl TaskSpan {
        #[inline]
        pub(crate) fn new(_: &Node, _: &Node) -> TaskSpan {
            TaskSpan
        }

        #[inline]
        pub(crate) fn enter(&self) -> Entered {
            Entered
        }
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

#[cfg(all(test, feature = "tracing", not(taskscope_loom)))]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use tracing::span::{Attributes, Id, Record};
    use tracing::subscriber::with_default;
    use tracing::{Event, Level, Metadata, Subscriber};

    /// The levels of the events so far.
    #[derive(Clone, Default)]
    struct Levels(Arc<Mutex<Vec<Level>>>);

    impl Subscriber for Levels {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, event: &Event<'_>) {
            if event.metadata().target() == "taskscope" {
                self.0.lock().unwrap().push(*event.metadata().level());
            }
        }

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    /// A service has thousands of them each second.
    #[test]
    fn a_cancellation_is_for_debugging() {
        let levels = Levels::default();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().build().unwrap();
        with_default(levels.clone(), || {
            let late = crate::timeout(Duration::ZERO, std::future::pending::<()>());
            runtime.block_on(late).unwrap_err();
        });
        assert_eq!(*levels.0.lock().unwrap(), [Level::DEBUG]);
    }
}
