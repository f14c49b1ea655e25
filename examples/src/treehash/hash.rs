//! Hashes one batch of files.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::vec;

use sha2::{Digest, Sha256};
use taskscope::cancellable;
use tokio::sync::mpsc::UnboundedSender;

use super::error::PathError;
use super::manifest::Line;
use super::off_thread;
use super::progress::Progress;
use super::walk::Batch;

/// Read at a time: what the processor's second cache holds.
pub const BUFFER: usize = 64 << 10;
/// Read between two checkpoints: about a millisecond's hashing, so that cancelling is prompt and the way to
/// another thread and back costs little.
const STEP_BYTES: usize = 1 << 20;

/// Hashes the files of `batch` and sends their lines.
///
/// # Errors
/// The first file that cannot be read.
///
/// # Cancel safety
/// Cancelled, it leaves after at most a mebibyte more has been read on another thread.
#[cancellable]
pub async fn hash_batch(
    batch: Batch,
    hashed: UnboundedSender<Vec<Line>>,
    progress: Arc<Progress>,
) -> Result<(), PathError> {
    let mut work = Work::new(batch, Arc::clone(&progress));
    while !work.is_done() {
        let step = off_thread(move || work.step()).await;
        work = step.inspect_err(|_| progress.failed())?;
    }
    // Nobody receives when the group's caller is leaving; then nobody wants the lines either.
    let _ = hashed.send(work.lines);
    Ok(())
}

/// A batch being hashed. It goes to another thread for each step and comes back.
struct Work {
    paths: vec::IntoIter<Box<str>>,
    current: Option<Current>,
    lines: Vec<Line>,
    buffer: Box<[u8]>,
    progress: Arc<Progress>,
}

/// The file being read.
struct Current {
    path: Box<str>,
    file: File,
    digest: Sha256,
}

impl Work {
    fn new(batch: Batch, progress: Arc<Progress>) -> Self {
        Self {
            lines: Vec::with_capacity(batch.len()),
            paths: batch.paths.into_iter(),
            current: None,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            progress,
        }
    }

    fn is_done(&self) -> bool {
        self.current.is_none() && self.paths.as_slice().is_empty()
    }

    /// Goes on until enough has been read or nothing is left.
    fn step(mut self) -> Result<Self, PathError> {
        let mut left = STEP_BYTES;
        while left > 0 {
            let Some(mut current) = self.take_current()? else {
                break;
            };
            match current.advance(&mut self.buffer) {
                Ok(0) => {
                    self.lines.push(current.finish());
                    self.progress.done();
                }
                Ok(count) => {
                    left = left.saturating_sub(count);
                    self.current = Some(current);
                }
                Err(error) => return Err(PathError::new(&*current.path, error)),
            }
        }
        Ok(self)
    }

    /// The file being read, else the next one.
    fn take_current(&mut self) -> Result<Option<Current>, PathError> {
        if let Some(current) = self.current.take() {
            return Ok(Some(current));
        }
        let Some(path) = self.paths.next() else {
            return Ok(None);
        };
        match File::open(&*path) {
            Ok(file) => Ok(Some(Current {
                path,
                file,
                digest: Sha256::new(),
            })),
            Err(error) => Err(PathError::new(&*path, error)),
        }
    }
}

impl Current {
    /// Reads once; 0 at the end of the file.
    fn advance(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(buffer) {
                Ok(count) => {
                    self.digest.update(&buffer[..count]);
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn finish(self) -> Line {
        Line {
            path: self.path,
            digest: self.digest.finalize().into(),
        }
    }
}
