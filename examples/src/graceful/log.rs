//! The file that all connections write to.

use std::path::{Path, PathBuf};

use taskscope::{BoxError, cancellable, shield};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

/// Lines, each written whole.
pub(super) struct Log {
    path: PathBuf,
    file: Mutex<File>,
}

impl Log {
    /// A new file in the place of an old one.
    ///
    /// # Errors
    /// The path, and what the system says.
    #[cancellable]
    pub(super) async fn create(path: &Path) -> Result<Log, BoxError> {
        let file = File::create(path)
            .await
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Log {
            path: path.to_owned(),
            file: Mutex::new(file),
        })
    }

    /// Writes a line. A disk that is full stops no connection.
    #[cancellable]
    pub(super) async fn line(&self, line: impl AsRef<str>) {
        let line = format!("{}\n", line.as_ref());
        // Half a line would be cut off where a task is cancelled.
        let written = shield(async {
            let mut file = self.file.lock().await;
            file.write_all(line.as_bytes()).await?;
            file.flush().await
        });
        if let Err(error) = written.await {
            eprintln!("graceful: {}: {error}", self.path.display());
        }
    }

    /// Writes the last line, and waits until all is on the disk.
    #[cancellable]
    pub(super) async fn close(&self) {
        self.line("closed").await;
        if let Err(error) = self.file.lock().await.sync_all().await {
            eprintln!("graceful: {}: {error}", self.path.display());
        }
    }
}
