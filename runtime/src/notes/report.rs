//! What went wrong where nobody could be told by a return value.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, RwLock};
#[cfg(feature = "shutdown")]
use std::time::{Duration, Instant};

use crate::base::caught::{Panic, catch, contain};
use crate::base::sync::Mutex;
use crate::notes::events;
use crate::notes::names::without_line;
use crate::notes::stats::{Count, count};

/// What a [`Report`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReportKind {
    /// A future was dropped from outside before a cleanup in it had run to its end: by a
    /// `tokio::select!` that another branch won, with an aborted task, or with its runtime.
    LostCleanup,
    /// A cleanup, a shielded future, a shielded task or blocking work exceeded the grace
    /// period, or had not ended when a second signal ended it. It was dropped where it was;
    /// blocking work was abandoned.
    Overrun,
    /// A failure or a panic that is returned to no caller, and what keeps the library
    /// from reporting or listening.
    Unreported,
    /// Blocking work still runs, though the future that waited for it was dropped.
    Abandoned,
    /// Something still runs when the process exits after the grace period: it blocks its
    /// thread, so that it could not be dropped.
    Stuck,
    /// All tasks that have a place under their group's limit wait for tasks
    /// that wait for a place.
    Stalled,
    /// A task has kept its thread without passing a checkpoint; from a
    /// [`Watchdog`](crate::observe::Watchdog).
    Busy,
    /// Something still runs long after it was cancelled; from a
    /// [`Watchdog`](crate::observe::Watchdog). Also a thread that an executor inside a
    /// poll blocks after the grace period; from a [`Shutdown`](crate::Shutdown).
    Late,
    /// [`stopping`](crate::stopping()) or [`cancelled`](crate::cancelled()) was called and
    /// awaited outside any scope, where it never completes.
    Unscoped,
}

/// A mistake or failure that no return value could tell.
///
/// `Display` is one line: what happened, the source line, and the scope or task. The first
/// lost cleanup of a process also says where to [read on](Self::help).
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use std::sync::mpsc;
/// # use taskscope::{cancellable, defer, observe::ReportKind};
/// #[cancellable]
/// async fn armed() {
///     defer! { tokio::task::yield_now().await; }
///     std::future::pending::<()>().await;
/// }
/// let (tell, told) = mpsc::channel();
/// taskscope::observe::set_report_hook(move |report| tell.send(report.clone()).unwrap());
/// tokio::time::timeout(std::time::Duration::ZERO, armed()).await.ok(); // a hard drop
/// let report = told.recv().unwrap();
/// assert_eq!(report.kind(), ReportKind::LostCleanup);
/// assert_eq!(report.scope(), "", "outside any scope");
/// assert_eq!(report.location().file(), file!());
/// assert!(report.to_string().starts_with("lost cleanup: `defer!`"));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    kind: ReportKind,
    scope: String,
    message: String,
    /// What is known beside, such as which code has dropped a cleanup.
    detail: Option<String>,
    location: &'static Location<'static>,
    help: Option<&'static str>,
}

impl Report {
    /// Returns what the report is about.
    pub fn kind(&self) -> ReportKind {
        self.kind
    }

    /// Returns the name of the scope or task it happened in; empty outside any scope.
    /// For [`Unreported`](ReportKind::Unreported) failures of tasks, for
    /// [`Busy`](ReportKind::Busy) and for [`Late`](ReportKind::Late), the names from the
    /// root on, joined by ` > `.
    pub fn scope(&self) -> &str {
        &self.scope
    }

    /// The text without the location and the scope.
    #[cfg(feature = "tracing")]
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        match &self.detail {
            Some(detail) => format!("{}; {detail}", self.message).into(),
            None => self.message.as_str().into(),
        }
    }

    /// Returns the source line of the `defer!`, the shield or the task.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Returns where to read on. Only the first report of a [lost cleanup](ReportKind::LostCleanup)
    /// in the process has it.
    pub fn help(&self) -> Option<&str> {
        self.help
    }
}

/// What the first report of a kind adds to its text.
fn first_help(kind: ReportKind) -> Option<&'static str> {
    static HELPED: AtomicBool = AtomicBool::new(false);
    let is_first = kind == ReportKind::LostCleanup && !HELPED.swap(true, Ordering::Relaxed);
    is_first.then_some(
        "a future that is dropped from outside (by `select!`, a timeout of another crate, \
         or with an aborted task) cannot await its cleanup: see \"Hard drops\" in \
         taskscope::guide::cancel_safety, \
         https://docs.rs/taskscope/latest/taskscope/guide/cancel_safety/index.html#hard-drops",
    )
}

impl Report {
    /// The text without the help.
    fn full_message(&self) -> String {
        let mut text = format!("{} ({})", self.message, self.location);
        match without_line(&self.scope, self.location) {
            "" => {}
            scope => text.push_str(&format!(" in `{scope}`")),
        }
        if let Some(detail) = &self.detail {
            text.push_str(&format!("; {detail}"));
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full_message())?;
        match self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// The texts of reports, of equal ones the first with their number, and the help of all at
/// the end.
pub(crate) fn folded(reports: &[Report]) -> Vec<String> {
    let mut counted: Vec<(String, usize)> = Vec::new();
    for report in reports {
        let text = report.full_message();
        match counted.iter_mut().find(|(seen, _)| *seen == text) {
            Some((_, count)) => *count += 1,
            None => counted.push((text, 1)),
        }
    }
    let lines = counted.into_iter().map(|(text, count)| match count {
        1 => text,
        _ => format!("{text} × {count}"),
    });
    let help = reports.iter().filter_map(|report| report.help);
    lines
        .chain(help.map(|help| format!("help: {help}")))
        .collect()
}

type Hook = Arc<dyn Fn(&Report) + Send + Sync>;

static HOOK: RwLock<Option<Hook>> = RwLock::new(None);

/// Sets the function that receives each [`Report`]. Without one, a line is written to
/// standard error, by one `write`. With feature `tracing`, a subscriber that takes the
/// report's event takes the place of that line; if none does, because none is set or a
/// filter leaves the event out, the line is written. A hook is called in any case.
///
/// The hook is called where the thing happens, possibly inside a `Drop`: it
/// should not block, and a panic in it is caught and dropped. A hook may set another
/// hook. It may also cause reports, for which it is called again; if that goes on for
/// several levels, the next report is written to standard error instead.
///
/// The previous hook is dropped here, or when the last call to it returns.
///
/// Before a [`Shutdown`](crate::Shutdown) exits the process, it waits for running hooks, at
/// most until the end of the grace period.
///
/// ```
/// taskscope::observe::set_report_hook(|report| eprintln!("taskscope: {report}"));
/// ```
pub fn set_report_hook(hook: impl Fn(&Report) + Send + Sync + 'static) {
    let hook: Hook = Arc::new(hook);
    let former = match HOOK.write() {
        Ok(mut slot) => slot.replace(hook),
        Err(poisoned) => poisoned.into_inner().replace(hook),
    };
    // Not under the lock: dropping what the hook captured may report, or set a hook.
    drop(former);
}

/// The text of a report that is not made.
pub(crate) fn line(scope: &str, message: String, location: &'static Location<'static>) -> String {
    let report = Report {
        kind: ReportKind::Unreported,
        scope: scope.to_owned(),
        message,
        detail: None,
        location,
        help: None,
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
    report_and(kind, scope, message, None, location)
}

/// Counts and publishes a report with a further detail, which is printed after the location:
/// before it, the location would read as a part of the detail.
pub(crate) fn report_and(
    kind: ReportKind,
    scope: &str,
    message: String,
    detail: Option<String>,
    location: &'static Location<'static>,
) -> String {
    match kind {
        ReportKind::LostCleanup => drop(count(Count::LostCleanup)),
        ReportKind::Overrun => drop(count(Count::Overrun)),
        _ => {}
    }
    let muted = kind == ReportKind::LostCleanup && is_muted();
    let report = Report {
        kind,
        scope: scope.to_owned(),
        message,
        detail,
        location,
        help: if muted { None } else { first_help(kind) },
    };
    if muted {
        return report.to_string();
    }
    let publishing = Publishing::begin();
    let is_logged = events::reported(&report);
    publish(&report, &publishing, is_logged);
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

    /// For as long as `f` runs.
    pub(crate) fn collect<R>(&self, f: impl FnOnce() -> R) -> R {
        let _former = FormerSink(SINK.replace(Some(self.clone())));
        f()
    }

    pub(crate) fn take(&self) -> Vec<Report> {
        std::mem::take(&mut *self.0.lock())
    }
}

/// Puts the former sink of the thread back, also when unwinding.
struct FormerSink(Option<Sink>);

impl Drop for FormerSink {
    fn drop(&mut self) {
        SINK.set(self.0.take());
    }
}

thread_local! {
    /// Lost cleanups are not told of.
    static MUTED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f`, which drops a test that hangs: the test fails with the tree of what runs, and
/// the cleanups that are lost for that reason would only hide it. A panic is caught.
pub(crate) fn mute_losses<R>(f: impl FnOnce() -> R) -> Result<R, Panic> {
    let former = MUTED.replace(true);
    let result = catch(f);
    MUTED.set(former);
    result
}

fn is_muted() -> bool {
    // A thread that ends has no storage any more.
    MUTED.try_with(Cell::get).unwrap_or(false)
}

/// How deep a hook may be nested in itself before its reports bypass it.
const DEEPEST: usize = 8;

/// How many reports are being delivered.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How many of them this thread delivers, each inside the hook of the one before.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Counts a report as being delivered until this is dropped.
struct Publishing {
    depth: usize,
}

impl Publishing {
    fn begin() -> Publishing {
        // SeqCst here and below: once the tasks are seen to be gone, their reports are seen.
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        let depth = DEPTH.try_with(|depth| depth.replace(depth.get() + 1));
        Publishing {
            depth: depth.unwrap_or(0),
        }
    }
}

impl Drop for Publishing {
    fn drop(&mut self) {
        // A thread that ends has no storage any more.
        DEPTH.try_with(|depth| depth.set(self.depth)).ok();
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether some report is being delivered.
#[cfg(feature = "shutdown")]
pub(crate) fn is_under_way() -> bool {
    UNDER_WAY.load(Ordering::SeqCst) > 0
}

/// Waits, at most until `until`, until no report is being delivered.
#[cfg(feature = "shutdown")]
pub(crate) fn settle(until: Instant) {
    while is_under_way() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// `is_logged`: a subscriber of feature `tracing` has taken the text, so that standard error
/// need not say it again.
fn publish(report: &Report, publishing: &Publishing, is_logged: bool) {
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
        Some(hook) if publishing.depth < DEEPEST => {
            contain(|| hook(report));
            // If another hook was set meanwhile, this one is dropped here.
            contain(|| drop(hook));
        }
        None if is_logged => {}
        _ => print(&format!("taskscope: {report}\n")),
    }
}

/// Writes a text to standard error with one `write`. Errors are ignored: a closed terminal
/// is no reason to panic in the middle of a task's end.
#[allow(clippy::print_stderr, reason = "a test harness captures nothing else")]
pub(crate) fn print(text: &str) {
    contain(|| eprint!("{}", Lenient(text)));
}

/// A pipe takes this much in one piece or not at all.
#[cfg(feature = "shutdown")]
const PIPE_BUF: usize = 4096;

/// Writes lines to standard error, in pieces of whole lines that a full pipe cannot cut in
/// the middle.
#[cfg(feature = "shutdown")]
pub(crate) fn print_lines(text: &str) {
    let mut piece = String::new();
    for line in text.split_inclusive('\n') {
        if piece.len() + line.len() > PIPE_BUF {
            print(&piece);
            piece.clear();
        }
        piece.push_str(line);
    }
    print(&piece);
}

/// A text whose `Display` ignores write errors, so that `eprint!` does not panic. Catching
/// that panic would not be enough: the panic hook may end the process.
struct Lenient<'a>(&'a str);

impl fmt::Display for Lenient<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0).ok();
        Ok(())
    }
}
