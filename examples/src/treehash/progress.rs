//! The counts of the last message, and the bar.

use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::{ProgressBar, ProgressStyle};

use super::walk::Batch;

/// How far the work is. Shared by the walk, the hashing tasks and `main`.
///
/// All counts are `Relaxed`: they are read for messages only, and the last message is written when the
/// tasks that count are gone.
pub struct Progress {
    found: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    bar: ProgressBar,
}

impl Progress {
    /// Nothing done yet. The bar is on standard error, and not there where that is no terminal.
    pub fn new() -> Self {
        let style =
            ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} files {elapsed}")
                .expect("the template is a constant and valid");
        Self {
            found: AtomicU64::new(0),
            done: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            bar: ProgressBar::new(0).with_style(style),
        }
    }

    /// Whether somebody can see the bar.
    pub fn is_visible(&self) -> bool {
        !self.bar.is_hidden()
    }

    /// The bar's whole length grows by these files.
    pub fn counted(&self, batch: &Batch) {
        self.bar.inc_length(batch.len() as u64);
    }

    /// These files are about to be hashed.
    pub fn found(&self, batch: &Batch) {
        self.found.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }

    /// One more is hashed.
    pub fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
        self.bar.inc(1);
    }

    /// One that was found cannot be hashed.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the bar off the screen, so that a message can be written.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// What became of the files found: how many are hashed, how many were not because something else ended
    /// the work.
    pub fn summary(&self) -> String {
        let [found, done, failed] =
            [&self.found, &self.done, &self.failed].map(|count| count.load(Ordering::Relaxed));
        let cancelled = found.saturating_sub(done + failed);
        format!("{done} files done, {cancelled} cancelled")
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
