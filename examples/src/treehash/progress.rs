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

    /// `files` more are hashed.
    pub fn done(&self, files: u64) {
        self.done.fetch_add(files, Ordering::Relaxed);
        self.bar.inc(files);
    }

    /// Takes the bar off the screen, so that a message can be written.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// What became of the files: how many are done, and how many of those already found are not, less
    /// those that `failed`.
    pub fn summary(&self, failed: u64) -> String {
        let done = self.done.load(Ordering::Relaxed);
        let left = self.found.load(Ordering::Relaxed).saturating_sub(done);
        format!(
            "{done} files done, {} cancelled",
            left.saturating_sub(failed)
        )
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
