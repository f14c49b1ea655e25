//! The parts of `treehash`: what a file's line is, where lines come from, and where they go.
//!
//! | module | what |
//! | --- | --- |
//! | [`args`] | the command line |
//! | [`error`] | what went wrong, with the path it went wrong at |
//! | [`progress`] | the counts of the last message, and the bar |
//! | [`walk`] | finds the files, a batch at a time |
//! | [`hash`] | hashes one batch |
//! | [`manifest`] | the lines, and the file that is either whole or not there |
//!
//! Memory: at most `limit` batches of at most [`walk::BATCH_FILES`] files are alive, each with one
//! [`hash::BUFFER`], so what is *live* depends on the limit and not on the tree. What is *kept* is one path
//! and 32 bytes a file, because sorted output needs every line before the first can be written, and the
//! paths of folders found but not yet read. A tree whose names do not fit in memory is out of reach.

pub mod args;
pub mod error;
pub mod hash;
pub mod manifest;
pub mod progress;
pub mod walk;

use std::path::Path;
use std::sync::Arc;

use taskscope::{cancellable, defer, task_group};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use args::Args;
use error::{Failed, PathError};
use manifest::{Line, Target};
use progress::Progress;
use walk::{FileId, Walk};

/// Hashes every file below `args.dir` and writes the manifest to where `args` says.
///
/// # Errors
/// [`Failed`] with every path that could not be hashed or written. No manifest was written then.
///
/// # Cancel safety
/// Cancelled before the manifest is whole, it leaves nothing behind; after that, it completes.
#[cancellable]
pub async fn treehash(args: &Args, progress: &Arc<Progress>) -> Result<(), Failed> {
    let mut target = Target::create(args.output.as_deref()).await?;
    // Error, panic, Ctrl-C, time limit: whichever way this function is left, it ends here.
    defer! {
        target.discard().await;
    }
    let lines = hash_tree(&args.dir, args.jobs, target.files(), progress).await?;
    target.write(lines).await?;
    // No await from here on: either this is reached and the manifest is in place, or it is not.
    target.publish()?;
    Ok(())
}

/// The lines of all files below `dir` but `excluded`, in no order, hashed `limit` batches at a time.
#[cancellable]
async fn hash_tree(
    dir: &Path,
    limit: usize,
    excluded: Vec<FileId>,
    progress: &Arc<Progress>,
) -> Result<Vec<Line>, Failed> {
    let mut lines = Vec::new();
    let (sender, mut hashed) = mpsc::unbounded_channel();
    task_group!(name = "hash", limit = limit, error = PathError, |g| {
        if progress.is_visible() {
            // A service: when all files are hashed, nobody waits for the rest of the counting.
            g.service(walk::count(dir.to_owned(), Arc::clone(progress)));
        }
        let mut walk = Walk::new(dir, excluded)?;
        loop {
            let batch;
            (walk, batch) = walk.next_batch().await?;
            let Some(batch) = batch else { break };
            progress.found(&batch);
            // Waits until fewer than `limit` batches are being hashed: the walk never runs ahead.
            let permit = g.reserve().await;
            permit.spawn(hash::hash_batch(
                batch,
                sender.clone(),
                Arc::clone(progress),
            ));
            receive(&mut hashed, &mut lines);
        }
        Ok(())
    })
    .await?;
    // The group has returned, so every task has ended and all that was sent has arrived.
    receive(&mut hashed, &mut lines);
    Ok(lines)
}

/// Moves what has arrived so far.
fn receive(hashed: &mut UnboundedReceiver<Vec<Line>>, lines: &mut Vec<Line>) {
    while let Ok(batch) = hashed.try_recv() {
        lines.extend(batch);
    }
}

/// Runs `step`, which reads or computes for some milliseconds, where it holds up no other task.
///
/// Cancelled while it waits, it abandons the step, which ends by itself: this is why steps are short.
async fn off_thread<T, F>(step: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match tokio::task::spawn_blocking(step).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn a_file_that_vanishes_after_it_was_found_is_named() {
        let dir = std::env::temp_dir().join(format!("treehash-vanish-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("file"), "x").unwrap();
        let walk = Walk::new(&dir, Vec::new()).unwrap();
        let (_, batch) = walk
            .next_batch()
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        fs::remove_dir_all(&dir).unwrap();
        let (sender, _hashed) = mpsc::unbounded_channel();
        let error = hash::hash_batch(batch.unwrap(), sender, Arc::default())
            .await
            .unwrap_err();
        let expected = format!("{}/file: No such file", dir.display());
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}
