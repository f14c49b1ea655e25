//! What went wrong where nobody could be told by a return value.

use std::cell::RefCell;
use std::fmt;
use std::io::Write;
use std::panic::Location;
use std::sync::{Arc, RwLock};

use crate::caught::quietly;
use crate::stats::{Count, count};
use crate::sync::Mutex;
use crate::trace;

/// What a [`Report`] is about.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use std::sync::mpsc;
/// # use taskscope::{ReportKind, cancellable, defer};
/// #[cancellable]
/// async fn armed() {
///     defer! { tokio::task::yield_now().await; }
///     std::future::pending::<()>().await;
/// }
/// let (tell, told) = mpsc::channel();
/// taskscope::set_report_hook(move |report| tell.send(report.clone()).unwrap());
/// tokio::time::timeout(std::time::Duration::ZERO, armed()).await.ok(); // a hard drop
/// let report = told.recv().unwrap();
/// assert_eq!(report.kind(), ReportKind::LostCleanup);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportKind {
    /// A future was dropped from outside before a cleanup in it could be
    /// awaited: a losing `tokio::select!` branch, an aborted task, a runtime
    /// that was shut down.
    LostCleanup,
    /// A cleanup or a shielded future did not end within the grace period and
    /// was dropped where it was.
    Overrun,
    /// A failure that came up where no caller is left to return it to.
    Unreported,
    /// Blocking work goes on though nobody waits for it any more.
    Abandoned,
    /// Something blocks its thread, so that it could not even be dropped when
    /// the grace period was over.
    Stuck,
    /// All tasks that have a place under their group's limit wait for tasks
    /// that wait for a place.
    Stalled,
    /// A task keeps its thread without passing a checkpoint; from a
    /// [`Watchdog`](crate::observe::Watchdog).
    Busy,
    /// Something is still there long after its cancellation; from a
    /// [`Watchdog`](crate::observe::Watchdog).
    Late,
}

/// Something that went wrong where nobody could be told by a return value.
///
/// `Display` is one line with the name of the scope or task and the source
/// line.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use std::sync::mpsc;
/// # use taskscope::{cancellable, defer};
/// #[cancellable]
/// async fn armed() {
///     defer! { tokio::task::yield_now().await; }
///     std::future::pending::<()>().await;
/// }
/// let (tell, told) = mpsc::channel();
/// taskscope::set_report_hook(move |report| tell.send(report.clone()).unwrap());
/// tokio::time::timeout(std::time::Duration::ZERO, armed()).await.ok(); // a hard drop
/// let report = told.recv().unwrap();
/// assert!(report.to_string().starts_with("lost cleanup: `defer!`"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    kind: ReportKind,
    scope: String,
    message: String,
    location: &'static Location<'static>,
}

impl Report {
    /// What the report is about.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::sync::mpsc;
    /// # use taskscope::{ReportKind, cancellable, defer};
    /// #[cancellable]
    /// async fn armed() {
    ///     defer! { tokio::task::yield_now().await; }
    ///     std::future::pending::<()>().await;
    /// }
    /// let (tell, told) = mpsc::channel();
    /// taskscope::set_report_hook(move |report| tell.send(report.clone()).unwrap());
    /// tokio::time::timeout(std::time::Duration::ZERO, armed()).await.ok(); // a hard drop
    /// let report = told.recv().unwrap();
    /// assert_eq!(report.kind(), ReportKind::LostCleanup);
    /// # }
    /// ```
    pub fn kind(&self) -> ReportKind {
        self.kind
    }

    /// The name of the scope or task it happened in; empty outside any scope.
    /// For [`Unreported`](ReportKind::Unreported) failures of tasks, for
    /// [`Busy`](ReportKind::Busy) and for [`Late`](ReportKind::Late), the names from the
    /// root on, joined by ` > `.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::sync::mpsc;
    /// # use taskscope::{cancellable, defer};
    /// #[cancellable]
    /// async fn armed() {
    ///     defer! { tokio::task::yield_now().await; }
    ///     std::future::pending::<()>().await;
    /// }
    /// let (tell, told) = mpsc::channel();
    /// taskscope::set_report_hook(move |report| tell.send(report.clone()).unwrap());
    /// tokio::time::timeout(std::time::Duration::ZERO, armed()).await.ok(); // a hard drop
    /// let report = told.recv().unwrap();
    /// assert_eq!(report.scope(), "", "outside any scope");
    /// # }
    /// ```
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The text without the place and the scope.
    #[cfg(feature = "tracing")]
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The source line of the `defer!`, the shield or the task.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// # use std::sync::mpsc;
    /// # use taskscope::{cancellable, defer};
    /// #[cancellable]
    /// async fn armed() {
    ///     defer! { tokio::task::yield_now().await; }
    ///     std::future::pending::<()>().await;
    /// }
    /// let (tell, told) = mpsc::channel();
    /// taskscope::set_report_hook(move |report| tell.send(report.clone()).unwrap());
    /// tokio::time::timeout(std::time::Duration::ZERO, armed()).await.ok(); // a hard drop
    /// let report = told.recv().unwrap();
    /// assert!(report.location().line() > 0);
    /// # }
    /// ```
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.location)?;
        if !self.scope.is_empty() {
            write!(f, " in `{}`", self.scope)?;
        }
        Ok(())
    }
}

type Hook = Arc<dyn Fn(&Report) + Send + Sync>;

static HOOK: RwLock<Option<Hook>> = RwLock::new(None);

/// Replaces what is done with a [`Report`]: by default one line is written to
/// standard error.
///
/// The hook is called where the thing happens, possibly inside a `Drop`: it
/// should not block, and a panic in it is caught and dropped.
///
/// ```
/// taskscope::set_report_hook(|report| eprintln!("taskscope: {report}"));
/// ```
pub fn set_report_hook(hook: impl Fn(&Report) + Send + Sync + 'static) {
    let hook: Hook = Arc::new(hook);
    match HOOK.write() {
        Ok(mut slot) => *slot = Some(hook),
        Err(poisoned) => *poisoned.into_inner() = Some(hook),
    }
}

/// The text of a report that is not made.
pub(crate) fn line(scope: &str, message: String, location: &'static Location<'static>) -> String {
    let report = Report {
        kind: ReportKind::Unreported,
        scope: scope.to_owned(),
        message,
        location,
    };
    report.to_string()
}

/// Counts and publishes a report; returns its text.
pub(crate) fn report(
    kind: ReportKind,
    scope: &str,
    message: String,
    location: &'static Location<'static>,
) -> String {
    match kind {
        ReportKind::LostCleanup => drop(count(Count::LostCleanup)),
        ReportKind::Overrun => drop(count(Count::Overrun)),
        _ => {}
    }
    let report = Report {
        kind,
        scope: scope.to_owned(),
        message,
        location,
    };
    trace::reported(&report);
    publish(&report);
    report.to_string()
}

/// Collects the reports of the threads that it is installed on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sink(Arc<Mutex<Vec<Report>>>);

thread_local! {
    static SINK: RefCell<Option<Sink>> = const { RefCell::new(None) };
}

impl Sink {
    /// For the rest of this thread.
    pub(crate) fn install(&self) {
        SINK.set(Some(self.clone()));
    }

    /// For as long as `f` runs, which does not unwind.
    pub(crate) fn collect<R>(&self, f: impl FnOnce() -> R) -> R {
        let former = SINK.replace(Some(self.clone()));
        let result = f();
        SINK.set(former);
        result
    }

    pub(crate) fn take(&self) -> Vec<Report> {
        std::mem::take(&mut *self.0.lock())
    }
}

fn publish(report: &Report) {
    // A thread that ends has no sink any more.
    let sink = SINK.try_with(|sink| sink.borrow().clone()).ok().flatten();
    if let Some(sink) = sink {
        sink.0.lock().push(report.clone());
    }
    let hook = match HOOK.read() {
        Ok(slot) => slot.clone(),
        Err(poisoned) => poisoned.into_inner().clone(),
    };
    match hook {
        // A report is often made inside a `Drop` during unwinding, where a
        // second panic would abort the process.
        Some(hook) => quietly(|| hook(report)),
        None => print(format_args!("taskscope: {report}\n")),
    }
}

/// Writes to standard error, if it can be written to: a terminal that was closed is no
/// reason to panic, as `eprint!` does, in the middle of a task's end or of a shutdown.
#[allow(clippy::print_stderr, reason = "a test harness captures nothing else")]
pub(crate) fn print(text: fmt::Arguments<'_>) {
    if cfg!(panic = "unwind") {
        quietly(|| eprint!("{text}"));
    } else {
        let _ = std::io::stderr().write_all(text.to_string().as_bytes());
    }
}
