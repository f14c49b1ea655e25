use std::sync::{Mutex, Once};

use taskscope::{Report, ReportKind};

/// One report of the library, as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it is about.
    pub kind: ReportKind,
    /// Its text.
    pub text: String,
}

static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

/// Starts to record the reports of this process. Tests run side by side, so
/// each looks only for the names that it alone uses.
pub fn watch_reports() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        taskscope::set_report_hook(|report: &Report| {
            let seen = Seen {
                kind: report.kind(),
                text: report.to_string(),
            };
            SEEN.lock().unwrap().push(seen);
        });
    });
}

/// The lost cleanups among the reports so far that name `name`.
pub fn lost_cleanups(name: &str) -> Vec<Seen> {
    let mut reports = reports_of(name);
    reports.retain(|seen| seen.kind == ReportKind::LostCleanup);
    reports
}

/// The reports so far that name `name`.
pub fn reports_of(name: &str) -> Vec<Seen> {
    let seen = SEEN.lock().unwrap();
    seen.iter()
        .filter(|s| s.text.contains(name))
        .cloned()
        .collect()
}
