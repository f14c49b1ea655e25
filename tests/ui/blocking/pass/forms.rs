#![deny(warnings, missing_docs, clippy::pedantic)]
#![allow(clippy::missing_errors_doc)]
//! Blocking functions of every shape.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use taskscope::{BoxError, Cancelled, cancellable};

/// An error of one's own.
#[derive(Debug)]
pub enum Error {
    /// It was cancelled.
    Cancelled(Cancelled),
    /// It failed.
    Io(io::Error),
}

impl From<Cancelled> for Error {
    fn from(cancelled: Cancelled) -> Self {
        Self::Cancelled(cancelled)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// All three loops, labels, and those left out.
#[cancellable(blocking)]
pub fn loops(limit: u64) -> Result<u64, BoxError> {
    let mut n = 0;
    'outer: loop {
        while n < limit {
            n += 1;
            if n % 7 == 0 {
                continue 'outer;
            }
        }
        #[no_checkpoint]
        for _ in 0..3 {
            n += 1;
        }
        #[checkpoint]
        for m in 0..3 {
            if m == 2 {
                break 'outer;
            }
        }
    }
    let found = loop {
        n += 1;
        if n % 10 == 0 {
            break n;
        }
    };
    while let Some(m) = n.checked_sub(1) {
        n = m;
    }
    Ok(found)
}

/// Generic, with a lifetime, an opaque argument and an opaque value.
#[cancellable(blocking)]
pub fn generic<T, const N: usize>(
    items: &[T; N],
    seen: impl Fn(&T),
) -> Result<impl Display, Error>
where
    T: Display,
{
    for item in items {
        seen(item);
    }
    Ok(&items[0])
}

/// A loop that never ends by itself.
#[cancellable(blocking)]
pub fn endless() -> io::Result<std::convert::Infallible> {
    loop {
        std::thread::yield_now();
    }
}

/// The loops of closures and of inner functions are theirs.
#[cancellable(blocking)]
pub fn nested(paths: &[PathBuf]) -> io::Result<usize> {
    fn depth(path: &Path) -> usize {
        let mut depth = 0;
        for _ in path.ancestors() {
            depth += 1;
        }
        depth
    }
    let longest = || {
        let mut longest = 0;
        for path in paths {
            longest = longest.max(path.as_os_str().len());
        }
        longest
    };
    let later = async {
        for _ in 0..3 {
            std::future::ready(()).await;
        }
    };
    drop(later);
    Ok(paths.iter().map(|path| depth(path)).sum::<usize>() + longest())
}

/// Recursive.
#[cancellable(blocking)]
pub fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else {
            found.push(path);
        }
    }
    Ok(())
}

/// Has both kinds of functions.
pub struct Table(Vec<u64>);

#[cancellable(blocking, loops)]
impl Table {
    /// Blocking.
    pub fn sum(&mut self) -> Result<u64, Error> {
        let mut sum = 0;
        for row in &self.0 {
            sum += row;
        }
        self.0.clear();
        Ok(sum)
    }

    /// Has no way to say that it was cancelled.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut len = 0;
        for _ in &self.0 {
            len += 1;
        }
        len
    }

    /// Async.
    pub async fn load(&mut self) -> Result<(), Error> {
        for row in &mut self.0 {
            *row = std::future::ready(1).await;
        }
        Ok(())
    }
}

/// With a default method.
pub trait Source {
    /// The default.
    #[cancellable(blocking)]
    fn all(&mut self) -> Result<Vec<u64>, BoxError> {
        let mut all = Vec::new();
        while let Some(next) = self.next()? {
            all.push(next);
        }
        Ok(all)
    }

    /// One.
    fn next(&mut self) -> Result<Option<u64>, BoxError>;
}

/// A whole module.
#[cancellable(blocking)]
pub mod inner {
    /// Blocking.
    pub fn count(n: u64) -> std::io::Result<u64> {
        let mut count = 0;
        for _ in 0..n {
            count += 1;
        }
        Ok(count)
    }
}

fn main() {
    assert_eq!(loops(5).unwrap(), 10);
    assert_eq!(generic(&["x"], |_| ()).map(|x| x.to_string()).unwrap(), "x");
    let mut table = Table(vec![1, 2]);
    assert_eq!((table.len(), table.sum().unwrap()), (2, 3));
    drop(table.load());
    assert_eq!(inner::count(3).unwrap(), 3);
    walk(Path::new("/nowhere"), &mut Vec::new()).unwrap_err();
}
