//! Spans of feature `tracing`: one for each task. Without the feature every function here
//! is empty, and every type has no size.
//!
//! Work that moves to another task or thread takes the current span along
//! ([`WorkSpan::current`]), or gets a span of its own below it ([`WorkSpan::task`]).
//! The guide's page `observability` tells users the names, fields, parents and levels.

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{GroupSpan, WorkSpan};
#[cfg(feature = "tracing")]
pub(crate) use on::{GroupSpan, WorkSpan};

#[cfg(feature = "tracing")]
mod on {
    use std::borrow::Cow;
    use std::panic::Location;
    use std::sync::Arc;

    use tracing::dispatcher::{get_default, with_default};
    use tracing::level_filters::LevelFilter;
    use tracing::{Dispatch, Instrument, Level, Span, span};

    use crate::base::caught::contain;
    use crate::base::sync::Mutex;
    use crate::notes::events::TARGET;
    use crate::notes::names::without_line;

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
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::borrow::Cow;
    use std::panic::Location;

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
}
