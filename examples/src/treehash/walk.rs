//! Finds the files below a directory, a batch at a time.

use std::fs::{self, DirEntry, Metadata, ReadDir};
use std::mem;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use taskscope::cancellable;

use super::error::{Cause, PathError};
use super::off_thread;
use super::progress::Progress;

/// The most files in a batch. A task for each file would cost more than hashing a small one.
pub const BATCH_FILES: usize = 64;
/// A batch of more bytes is closed: a large file is the last of its batch, so that large ones do not queue
/// up in one task while the others have nothing to do.
const BATCH_BYTES: u64 = 1 << 20;
/// The most entries and folders looked at in one step off the thread, so that steps stay short.
const STEP_ENTRIES: usize = 256;

/// Files to be hashed by one task.
#[derive(Default)]
pub struct Batch {
    /// Their paths, UTF-8 since they are to stand in the manifest.
    pub paths: Vec<Box<str>>,
    bytes: u64,
}

impl Batch {
    /// How many files.
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    fn is_full(&self) -> bool {
        self.len() >= BATCH_FILES || self.bytes >= BATCH_BYTES
    }
}

/// What a path leads to, however it is spelled: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId(u64, u64);

impl FileId {
    /// The file that this is the metadata of.
    pub fn of(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }
}

/// A directory, and the way that led to it.
struct Folder {
    path: PathBuf,
    id: FileId,
    parent: Option<Arc<Folder>>,
}

impl Folder {
    /// The directory `id`, if it is this one or one of those that led here.
    fn find(&self, id: FileId) -> Option<&Folder> {
        let mut way = std::iter::successors(Some(self), |folder| folder.parent.as_deref());
        way.find(|folder| folder.id == id)
    }
}

/// A walk under way. Symbolic links are followed, and reported where they lead back to where they lie.
///
/// One directory is open at a time, and only directories that were found and not yet read are remembered.
pub struct Walk {
    /// The directory being read.
    open: Option<(Arc<Folder>, ReadDir)>,
    /// Those to be read, the last first.
    waiting: Vec<Arc<Folder>>,
    excluded: Vec<FileId>,
    batch: Batch,
}

impl Walk {
    /// A walk of what lies below `dir`, less the files `excluded`.
    ///
    /// # Errors
    /// When `dir` is missing or out of reach.
    pub fn new(dir: &Path, excluded: Vec<FileId>) -> Result<Self, PathError> {
        let metadata = fs::metadata(dir).map_err(|error| PathError::new(dir, error))?;
        let mut walk = Self {
            open: None,
            waiting: Vec::new(),
            excluded,
            batch: Batch::default(),
        };
        walk.enter(dir.to_owned(), FileId::of(&metadata))?;
        Ok(walk)
    }

    /// The next files, and the walk to go on with; no batch when there are no more.
    ///
    /// It takes the walk by value, since the step runs on another thread and may be abandoned there.
    ///
    /// # Errors
    /// When something cannot be read, is named in no UTF-8, or is a link that leads back.
    #[cancellable]
    pub async fn next_batch(mut self) -> Result<(Self, Option<Batch>), PathError> {
        let mut ended = false;
        while !ended && !self.batch.is_full() {
            (self, ended) = off_thread(move || self.step()).await?;
        }
        let batch = mem::take(&mut self.batch);
        Ok((self, Some(batch).filter(|batch| !batch.is_empty())))
    }

    /// Adds to the batch until it is full or the step long enough. True at the end of the walk.
    fn step(mut self) -> Result<(Self, bool), PathError> {
        for _ in 0..STEP_ENTRIES {
            if self.batch.is_full() {
                break;
            }
            match &mut self.open {
                None => match self.waiting.pop() {
                    None => return Ok((self, true)),
                    Some(folder) => self.open = Some((Arc::clone(&folder), read(&folder)?)),
                },
                Some((folder, entries)) => match entries.next() {
                    None => self.open = None,
                    Some(Ok(entry)) => self.visit(&entry)?,
                    Some(Err(error)) => return Err(PathError::new(&folder.path, error)),
                },
            }
        }
        Ok((self, false))
    }

    fn visit(&mut self, entry: &DirEntry) -> Result<(), PathError> {
        let path = entry.path();
        let metadata = match followed(entry, &path) {
            Ok(metadata) => metadata,
            Err(error) => return Err(PathError::new(path, error)),
        };
        let id = FileId::of(&metadata);
        if metadata.is_dir() {
            self.enter(path, id)
        } else if metadata.is_file() && !self.excluded.contains(&id) {
            self.batch.bytes += metadata.len();
            self.batch.paths.push(utf8(path)?.into_boxed_str());
            Ok(())
        } else {
            Ok(())
        }
    }

    fn enter(&mut self, path: PathBuf, id: FileId) -> Result<(), PathError> {
        let path = PathBuf::from(utf8(path)?);
        let parent = self.open.as_ref().map(|(folder, _)| Arc::clone(folder));
        if let Some(ancestor) = parent.as_deref().and_then(|folder| folder.find(id)) {
            return Err(PathError::new(path, Cause::Loop(ancestor.path.clone())));
        }
        self.waiting.push(Arc::new(Folder { path, id, parent }));
        Ok(())
    }
}

fn read(folder: &Folder) -> Result<ReadDir, PathError> {
    fs::read_dir(&folder.path).map_err(|error| PathError::new(&folder.path, error))
}

/// The metadata of what the entry leads to.
fn followed(entry: &DirEntry, path: &Path) -> std::io::Result<Metadata> {
    let metadata = entry.metadata()?;
    if metadata.is_symlink() {
        return fs::metadata(path);
    }
    Ok(metadata)
}

fn utf8(path: PathBuf) -> Result<String, PathError> {
    let text = path.into_os_string().into_string();
    text.map_err(|path| PathError::new(path, Cause::NotUtf8))
}

/// Walks ahead of the walk that is hashed, so that the bar knows how long it is going to be.
///
/// What it cannot read it leaves out: the other walk comes there too, and reports it.
#[cancellable]
pub async fn count(dir: PathBuf, progress: Arc<Progress>) {
    let mut next = Walk::new(&dir, Vec::new());
    while let Ok(walk) = next {
        next = match walk.next_batch().await {
            Ok((walk, Some(batch))) => {
                progress.counted(&batch);
                Ok(walk)
            }
            Ok((_, None)) => return,
            Err(error) => Err(error),
        };
    }
}
