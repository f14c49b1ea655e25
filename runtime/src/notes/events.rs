//! Events of feature `tracing`. Without the feature every function here is empty.
//!
//! The guide's page `observability` tells users their fields and levels.

#[cfg(not(feature = "tracing"))]
pub(crate) use off::{CleanupTrace, cancelled, reported};
#[cfg(feature = "tracing")]
pub(crate) use on::{CleanupTrace, cancelled, reported};
#[cfg(all(feature = "tracing", feature = "shutdown"))]
pub(crate) use on::{second_signal, shutdown, stopping};

/// The target of all events and spans.
#[cfg(feature = "tracing")]
pub(crate) const TARGET: &str = "taskscope";

#[cfg(feature = "tracing")]
mod on {
    use std::borrow::Cow;
    use std::cell::Cell;
    use std::fmt::{self, Display};
    use std::panic::Location;
    #[cfg(feature = "shutdown")]
    use std::time::Duration;

    use tracing::{Level, event};

    use super::TARGET;
    use crate::base::caught::contain;
    use crate::notes::report::{Report, ReportKind};

    // A subscriber that panics in an event keeps no cancellation and no cleanup from running.

    /// Requests that time out and connections that end are cancelled all day.
    /// `scope` and `reason` are called only where somebody listens.
    pub(crate) fn cancelled<'a, R: Display>(
        scope: impl FnOnce() -> Cow<'a, str>,
        reason: impl FnOnce() -> R,
    ) {
        if tracing::enabled!(target: TARGET, Level::DEBUG) {
            let (scope, reason) = (&*scope(), reason());
            contain(|| event!(target: TARGET, Level::DEBUG, scope, %reason, "cancel"));
        }
    }

    /// A signal asks the process to stop.
    #[cfg(feature = "shutdown")]
    pub(crate) fn stopping(scope: &str, signal: &dyn Display, drain: Duration) {
        contain(|| event!(target: TARGET, Level::INFO, scope, %signal, ?drain, "stopping"));
    }

    /// A signal ends the time that the first one left: `drain` or `grace`.
    #[cfg(feature = "shutdown")]
    pub(crate) fn second_signal(scope: &str, signal: &dyn Display, ends: &str) {
        contain(|| event!(target: TARGET, Level::INFO, scope, %signal, ends, "second signal"));
    }

    /// The process is cancelled, once.
    #[cfg(feature = "shutdown")]
    pub(crate) fn shutdown(scope: &str, signal: &dyn Display) {
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

        pub(crate) fn begin(&mut self, what: &'static str, location: &Location<'_>) {
            if !self.begun {
                self.begun = true;
                contain(|| event!(target: TARGET, Level::DEBUG, what, %location, "cleanup begins"));
            }
        }

        pub(crate) fn end(&self, what: &'static str, location: &Location<'_>) {
            contain(|| event!(target: TARGET, Level::DEBUG, what, %location, "cleanup ends"));
        }
    }

    /// Emits the event of a report. Returns whether a subscriber has taken its text.
    ///
    /// Whether one is interested in such events is not enough: of several layers, one may
    /// only count them, and a filter may look at the fields. A subscriber that writes the
    /// text has to format it, here and now: an event only borrows what it tells.
    pub(crate) fn reported(report: &Report) -> bool {
        let text = report.text();
        let message = Message {
            text: &text,
            is_taken: Cell::new(false),
        };
        // A report is often made inside a `Drop` during unwinding, where a second panic
        // would abort the process.
        let is_emitted = contain(|| emit(report, &message)).is_some();
        is_emitted && message.is_taken.get()
    }

    fn emit(report: &Report, message: &Message<'_>) {
        let (scope, location, kind) = (report.scope(), report.location(), report.kind());
        match kind {
            ReportKind::LostCleanup | ReportKind::Overrun => {
                let help = report.help();
                event!(target: TARGET, Level::ERROR, scope, %location, ?kind, help, "{message}");
            }
            _ => event!(target: TARGET, Level::WARN, scope, %location, ?kind, "{message}"),
        }
    }

    /// A text that notes whether it was formatted.
    struct Message<'a> {
        text: &'a str,
        is_taken: Cell<bool>,
    }

    impl Display for Message<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.text)?;
            self.is_taken.set(true);
            Ok(())
        }
    }
}

#[cfg(not(feature = "tracing"))]
mod off {
    use std::borrow::Cow;
    use std::panic::Location;

    use crate::notes::report::Report;

    #[inline]
    pub(crate) fn cancelled<'a, R>(_: impl FnOnce() -> Cow<'a, str>, _: impl FnOnce() -> R) {}

    #[derive(Debug)]
    pub(crate) struct CleanupTrace;

    impl CleanupTrace {
        #[inline]
        pub(crate) fn new() -> CleanupTrace {
            CleanupTrace
        }

        #[inline]
        pub(crate) fn begin(&mut self, _: &'static str, _: &Location<'_>) {}

        #[inline]
        pub(crate) fn end(&self, _: &'static str, _: &Location<'_>) {}
    }

    #[inline]
    pub(crate) fn reported(_: &Report) -> bool {
        false
    }
}
