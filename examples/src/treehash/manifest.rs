//! The lines of the manifest, and the file that is either whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use taskscope::cancellable;

use super::error::{Cause, PathError, say};
use super::off_thread;
use super::walk::FileId;

/// A file's line.
#[derive(Debug)]
pub struct Line {
    /// The file.
    pub path: Box<str>,
    /// Its SHA-256.
    pub digest: [u8; 32],
}

impl Line {
    /// Writes the line as GNU `sha256sum` does: a name with a line break or backslash is escaped, and a
    /// backslash in front of the line says so.
    fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let escaped = self.path.contains(['\\', '\n', '\r']);
        if escaped {
            out.write_all(b"\\")?;
        }
        out.write_all(&hex(&self.digest))?;
        out.write_all(b"  ")?;
        if escaped {
            write_escaped(&self.path, out)?;
        } else {
            out.write_all(self.path.as_bytes())?;
        }
        out.write_all(b"\n")
    }
}

fn write_escaped(name: &str, out: &mut impl Write) -> io::Result<()> {
    for byte in name.as_bytes() {
        match byte {
            b'\\' => out.write_all(br"\\")?,
            b'\n' => out.write_all(br"\n")?,
            b'\r' => out.write_all(br"\r")?,
            _ => out.write_all(&[*byte])?,
        }
    }
    Ok(())
}

fn hex(digest: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    text
}

/// Writes all lines, ordered by the bytes of their paths.
fn write_sorted(mut lines: Vec<Line>, out: impl Write) -> io::Result<()> {
    lines.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    let mut out = BufWriter::with_capacity(64 << 10, out);
    for line in &lines {
        line.write_to(&mut out)?;
    }
    out.flush()
}

/// Where the manifest goes.
pub enum Target {
    /// Standard output, written to only when all files are hashed.
    Stdout,
    /// A pipe or a device, as the user named it. Written to as standard output is.
    Stream(PathBuf, Arc<File>),
    /// A file, put in place only when it is written and on disk.
    File(Replacement),
}

impl Target {
    /// Makes sure, before the work begins, that its result can be written.
    ///
    /// # Errors
    /// When the manifest cannot be written to `path`.
    ///
    /// # Cancel safety
    /// Cancelled while it waits for a pipe's reader, it has created nothing.
    #[cancellable]
    pub async fn create(path: Option<&Path>) -> Result<Self, PathError> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        // Through links, such as /dev/stdout.
        let created = match fs::metadata(path) {
            Ok(there) if stdout_file() == Some(FileId::of(&there)) => Ok(Self::Stdout),
            Ok(there) if !there.is_file() && !there.is_dir() => Self::open(path.to_owned()).await,
            _ => Replacement::create(path).map(Self::File),
        };
        created.map_err(|cause| PathError::new(path, cause))
    }

    /// Opens a pipe, which waits for its reader, or a device.
    #[cancellable]
    async fn open(path: PathBuf) -> Result<Self, Cause> {
        let opened = off_thread(move || {
            let file = OpenOptions::new().write(true).open(&path)?;
            Ok::<_, io::Error>((path, file))
        });
        let (path, file) = opened.await?;
        if file.metadata()?.is_file() {
            return Err(Cause::NotRegular); // it was replaced meanwhile
        }
        Ok(Self::Stream(path, Arc::new(file)))
    }

    /// The files that are the manifest, old and new: hashing them would make it wrong.
    pub fn files(&self) -> Vec<FileId> {
        match self {
            Self::Stdout => stdout_file().into_iter().collect(),
            Self::Stream(..) => Vec::new(),
            Self::File(replacement) => replacement.files(),
        }
    }

    /// Writes all lines, in order.
    ///
    /// # Errors
    /// When they cannot be written.
    #[cancellable]
    pub async fn write(&self, lines: Vec<Line>) -> Result<(), PathError> {
        let (name, result) = match self {
            Self::Stdout => {
                let written = off_thread(move || write_sorted(lines, io::stdout().lock())).await;
                (Path::new("standard output"), written)
            }
            Self::Stream(named, file) => {
                let file = Arc::clone(file);
                let written = off_thread(move || write_sorted(lines, &*file)).await;
                (named.as_path(), written)
            }
            Self::File(replacement) => {
                let file = Arc::clone(&replacement.file);
                let written =
                    off_thread(move || write_sorted(lines, &*file).and_then(|()| file.sync_all()))
                        .await;
                (replacement.named.as_path(), written)
            }
        };
        result.map_err(|error| PathError::new(name, error))
    }

    /// Puts a written file in place. Not async: nothing can come between.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub fn publish(&mut self) -> Result<(), PathError> {
        match self {
            Self::Stdout | Self::Stream(..) => Ok(()),
            Self::File(replacement) => match replacement.publish() {
                Ok(()) => Ok(()),
                Err(cause) => Err(PathError::new(&replacement.named, cause)),
            },
        }
    }

    /// Removes what has not been put in place.
    pub async fn discard(&mut self) {
        if let Self::File(replacement) = self {
            replacement.discard().await;
        }
    }
}

/// The file behind standard output, as in `treehash . > SUMS`.
fn stdout_file() -> Option<FileId> {
    let file = File::from(io::stdout().as_fd().try_clone_to_owned().ok()?);
    Some(FileId::of(&file.metadata().ok()?))
}

/// A file beside the target that is to take its place.
pub struct Replacement {
    /// The target as the user named it, for messages.
    named: PathBuf,
    /// The target itself, links resolved: a link to a manifest stays a link.
    target: PathBuf,
    /// The file to become it; `None` once it has.
    temporary: Option<PathBuf>,
    file: Arc<File>,
}

impl Replacement {
    fn create(named: &Path) -> Result<Self, Cause> {
        let target = match fs::canonicalize(named) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => named.to_owned(),
            Err(error) => return Err(Cause::Io(error)),
        };
        let folder = named.as_os_str().as_encoded_bytes().ends_with(b"/");
        if folder || fs::metadata(&target).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(Cause::NotRegular);
        }
        let (temporary, file) = create_in(folder_of(&target))?;
        Ok(Self {
            named: named.to_owned(),
            target,
            temporary: Some(temporary),
            file: Arc::new(file),
        })
    }

    fn files(&self) -> Vec<FileId> {
        let old = fs::metadata(&self.target);
        let new = self.file.metadata();
        [old, new].iter().flatten().map(FileId::of).collect()
    }

    fn publish(&mut self) -> Result<(), Cause> {
        if let Some(temporary) = &self.temporary {
            let replaced = put_in_place(temporary, &self.target)?;
            if !replaced || fs::remove_file(temporary).is_ok() {
                self.temporary = None;
            }
            // For the name to survive a power cut. Not every file system can do this, and the manifest is
            // whole either way.
            let _ = File::open(folder_of(&self.target)).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }

    async fn discard(&mut self) {
        if let Some(temporary) = self.temporary.take()
            && let Err(error) = tokio::fs::remove_file(&temporary).await
        {
            say(PathError::new(temporary, error));
        }
    }
}

/// Renames `new` to `target`, unless something other than a file is there by now, such as a new pipe. Returns
/// whether there was a file, which is at `new` then.
fn put_in_place(new: &Path, target: &Path) -> Result<bool, Cause> {
    let rename = |flags| renameat_with(CWD, new, CWD, target, flags);
    loop {
        fs::symlink_metadata(new)?;
        let there = match fs::symlink_metadata(target) {
            Ok(there) if is_replaceable(&there) => true,
            Ok(_) => return Err(Cause::NotRegular),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(Cause::Io(error)),
        };
        // Something else may be there in a moment. So exchange the two, and look at what came back.
        let renamed = match there {
            true => rename(RenameFlags::EXCHANGE),
            false => rename(RenameFlags::NOREPLACE),
        };
        match renamed {
            Ok(()) if there && !is_replaceable(&fs::symlink_metadata(new)?) => {
                rename(RenameFlags::EXCHANGE).map_err(io::Error::from)?;
                return Err(Cause::NotRegular);
            }
            Ok(()) => return Ok(there),
            // It has come or gone meanwhile.
            Err(Errno::EXIST | Errno::NOENT) => {}
            // Not every file system knows these flags.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                fs::rename(new, target)?;
                return Ok(false);
            }
            Err(error) => return Err(Cause::Io(error.into())),
        }
    }
}

/// Of links, only dangling ones are left here: the others were resolved in the beginning.
fn is_replaceable(metadata: &fs::Metadata) -> bool {
    metadata.is_file() || metadata.is_symlink()
}

/// A new file in `folder`, under a name that nothing there has.
fn create_in(folder: &Path) -> io::Result<(PathBuf, File)> {
    for attempt in 0_u32.. {
        let path = folder.join(format!(".treehash.{}.{attempt}.tmp", process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(paths: &[&str]) -> String {
        let lines = paths.iter().map(|&path| Line {
            path: path.into(),
            digest: [0x0f; 32],
        });
        let mut out = Vec::new();
        write_sorted(lines.collect(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lines_are_sorted_by_bytes() {
        let digest = "0f".repeat(32);
        let expected: String = ["B", "a", "a-b", "a/b", "é"]
            .map(|path| format!("{digest}  {path}\n"))
            .concat();
        assert_eq!(written(&["é", "a/b", "a", "B", "a-b"]), expected);
    }

    #[test]
    fn line_breaks_and_backslashes_are_escaped() {
        let digest = "0f".repeat(32);
        assert_eq!(
            written(&["a\\b\nc\rd"]),
            format!("\\{digest}  a\\\\b\\nc\\rd\n")
        );
    }

    /// A folder with a new file `new`, and what `put_in_place` makes of it and `target`.
    fn put(name: &str, prepare: impl FnOnce(&Path)) -> (Result<bool, Cause>, PathBuf) {
        let folder = std::env::temp_dir().join(format!("treehash-put-{name}-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("new"), "new").unwrap();
        let target = folder.join("target");
        prepare(&target);
        (put_in_place(&folder.join("new"), &target), folder)
    }

    #[test]
    fn a_file_is_replaced_and_anything_else_stays() {
        let (done, folder) = put("none", |_| ());
        assert!(matches!(done, Ok(false)), "{done:?}");
        assert_eq!(fs::read(folder.join("target")).unwrap(), b"new");
        fs::remove_dir_all(folder).unwrap();

        let (done, folder) = put("file", |target| fs::write(target, "old").unwrap());
        assert!(matches!(done, Ok(true)), "{done:?}");
        assert_eq!(fs::read(folder.join("target")).unwrap(), b"new");
        assert_eq!(fs::read(folder.join("new")).unwrap(), b"old");
        fs::remove_dir_all(folder).unwrap();

        let (done, folder) = put("folder", |target| fs::create_dir(target).unwrap());
        assert!(matches!(done, Err(Cause::NotRegular)), "{done:?}");
        assert!(folder.join("target").is_dir());
        assert_eq!(fs::read(folder.join("new")).unwrap(), b"new");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_folder_of_a_bare_name_is_this_one() {
        assert_eq!(folder_of(Path::new("SUMS")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/SUMS")), Path::new("a"));
        assert_eq!(folder_of(Path::new("/SUMS")), Path::new("/"));
    }
}
