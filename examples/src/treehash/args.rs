//! The command line.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use clap::Parser;

use crate::seconds::parse_seconds;

/// The most files that may be hashed at a time: each takes a thread while it is read.
const MOST_JOBS: u64 = 256;

/// Writes the SHA-256 of every file below DIR, as `sha256sum -c` reads it
///
/// Paths are written as DIR was given, so check the manifest in the directory where treehash was run.
/// Symbolic links are followed; sockets, pipes and devices are skipped, and so is the manifest itself.
#[derive(Debug, Parser)]
#[command(after_help = EXIT_CODES, after_long_help = EXIT_CODES)]
pub struct Args {
    /// The directory whose files are hashed
    pub dir: PathBuf,

    /// Write to this file, which appears whole or not at all, or into this pipe or device, instead of
    /// standard output
    #[arg(short, long, value_name = "MANIFEST")]
    pub output: Option<PathBuf>,

    /// Hash this many batches of files at a time
    #[arg(short, long, value_name = "N", default_value_t = available_jobs(), value_parser = parse_jobs)]
    pub jobs: usize,

    /// Give up after this many seconds
    #[arg(long, value_name = "SECS", value_parser = parse_seconds)]
    pub timeout: Option<Duration>,
}

const EXIT_CODES: &str = "\
Exit codes: 0 the manifest is written, 1 something could not be read or written, 2 wrong usage,
124 timed out, 130 interrupted (Ctrl-C), 143 terminated. With any but 0 there is no new MANIFEST.";

fn available_jobs() -> usize {
    thread::available_parallelism().map_or(1, |n| n.get().min(MOST_JOBS as usize))
}

fn parse_jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(jobs @ 1..=MOST_JOBS) => Ok(jobs as usize),
        _ => Err(format!("a number from 1 to {MOST_JOBS} is needed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn jobs_are_bounded() {
        assert_eq!(parse_jobs("1"), Ok(1));
        assert_eq!(parse_jobs("256"), Ok(256));
        for wrong in ["0", "257", "-1", "many", ""] {
            assert!(parse_jobs(wrong).is_err(), "{wrong}");
        }
        assert!((1..=MOST_JOBS as usize).contains(&available_jobs()));
    }
}
