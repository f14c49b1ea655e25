//! What went wrong, with the path it went wrong at.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use taskscope::GroupError;

/// One path that could not be hashed or written, and why.
#[derive(Debug)]
pub struct PathError {
    path: PathBuf,
    cause: Cause,
}

/// Why a path could not be hashed or written.
#[derive(Debug)]
pub enum Cause {
    /// The system said no.
    Io(io::Error),
    /// A link, followed, leads back to a directory that it lies in.
    Loop(PathBuf),
    /// The manifest is UTF-8, so it cannot name this file.
    NotUtf8,
    /// The manifest would replace a directory, or a device or pipe that was not there in the beginning.
    NotRegular,
}

impl PathError {
    /// `cause` happened at `path`.
    pub fn new(path: impl Into<PathBuf>, cause: impl Into<Cause>) -> Self {
        Self {
            path: path.into(),
            cause: cause.into(),
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.path), self.cause)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Loop(ancestor) => {
                write!(f, "symbolic link loop: leads back to {}", shown(ancestor))
            }
            Self::NotUtf8 => f.write_str("name is not UTF-8"),
            Self::NotRegular => f.write_str("exists and is not a regular file"),
        }
    }
}

impl std::error::Error for PathError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Io(error) => Some(error),
            Cause::Loop(_) | Cause::NotUtf8 | Cause::NotRegular => None,
        }
    }
}

/// A path on one line of a terminal: bytes that are not UTF-8 as `\xNN`, control characters escaped.
fn shown(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => text.push_str(r"\\"),
                _ if char.is_control() => text.extend(char.escape_default()),
                _ => text.push(char),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!(r"\x{byte:02X}")));
    }
    text
}

/// Writes a line to standard error. Nobody may be reading there any more, which is no reason to panic.
pub fn say(message: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "treehash: {message}");
}

/// Why there is no manifest.
#[derive(Debug)]
pub enum Failed {
    /// Outside the group.
    Path(PathError),
    /// In the group: every file that failed before the others were cancelled.
    Group(GroupError<PathError>),
}

impl Failed {
    /// All that failed, in order of occurrence.
    pub fn errors(&self) -> Vec<&PathError> {
        match self {
            Self::Path(error) => vec![error],
            Self::Group(error) => error.errors().collect(),
        }
    }
}

impl From<PathError> for Failed {
    fn from(error: PathError) -> Self {
        Self::Path(error)
    }
}

impl From<GroupError<PathError>> for Failed {
    fn from(error: GroupError<PathError>) -> Self {
        Self::Group(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_path_stays_on_one_line() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;

        let path = Path::new(OsStr::from_bytes(b"a/\xc3\xa9 \xff\xfe\n\\\x1b[0m"));
        assert_eq!(shown(path), r"a/é \xFF\xFE\n\\\u{1b}[0m");
    }

    #[test]
    fn an_error_names_its_path_first() {
        let error = PathError::new("a/b", io::Error::other("broken"));
        assert_eq!(error.to_string(), "a/b: broken");
    }
}
