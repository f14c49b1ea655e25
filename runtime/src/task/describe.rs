//! What the library can learn of an error whose type it does not know.
//!
//! It has two questions. What is the error's text, for a report that no caller
//! returns? And does the error only repeat that a task failed, as `task.await?` makes
//! it: then the group lists that failure already. A bound on the builder would ask
//! every error type for `Error`, which `anyhow::Error` and `BoxError` are not. So the
//! builder asks `Any`, or is told by its user; the macro chooses by the traits that the
//! type implements.

#![allow(missing_docs, reason = "the macros' own, described with them")]

use std::any::Any;
use std::error::Error;
use std::fmt::{self, Display};
use std::io;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::base::caught::catch;
use crate::notes::names;
use crate::task::error::{BoxError, TaskError};

/// Answers the two questions for errors of one type.
pub enum Describe<E> {
    /// No trait of the type is known. It may still be one of the types that are known here.
    Unknown,
    /// The text is made for this type, and so repeats what the error passes on.
    Text(fn(&E) -> String),
    /// The error is or holds one that has a text, and whose sources can be asked.
    Error(fn(&E) -> &(dyn Error + 'static)),
}

/// Whether an error only repeats what the handle of a failed task said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    No,
    Maybe,
    Yes,
}

/// What an error says of a failed task, in its chain of sources.
#[derive(Clone, Debug)]
pub(crate) enum Passes {
    Nothing,
    /// Its sources cannot be asked, or may be hidden.
    Unknown,
    On(TaskError),
}

impl<E> Clone for Describe<E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Describe<E> {}

impl<E> fmt::Debug for Describe<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Describe").finish_non_exhaustive()
    }
}

impl<E: 'static> Describe<E> {
    /// The text of an error, if there is one other than its `Debug`.
    pub(crate) fn known_text(&self, error: &E) -> Option<String> {
        let is_known = matches!(self, Describe::Text(_)) || self.as_error(error).is_some();
        is_known.then(|| self.text(error))
    }

    /// The text of an error. Runs the user's code, so not under a lock.
    pub(crate) fn text(&self, error: &E) -> String {
        let text = catch(|| match (self, self.as_error(error)) {
            (Describe::Text(text), _) => text(error),
            (_, Some(error)) => error.to_string(),
            (_, None) => format!("a `{}`", names::type_name::<E>()),
        });
        text.unwrap_or_else(|_| "an error whose Display panics".to_owned())
    }

    /// What an error passes on of what a handle said. Runs the user's code, so not
    /// under a lock.
    pub(crate) fn passes(&self, error: &E) -> Passes {
        let in_chain = catch(|| self.as_error(error).map(passed_on));
        match in_chain {
            Ok(Some(Some(error))) => Passes::On(error),
            // A source may be hidden: `#[error(transparent)]` skips the error itself.
            Ok(Some(None)) => self.passes_in_text(error),
            Ok(None) if matches!(self, Describe::Text(_)) => self.passes_in_text(error),
            Ok(None) | Err(_) => Passes::Unknown,
        }
    }

    fn passes_in_text(&self, error: &E) -> Passes {
        if TaskError::is_quoted_in(&self.text(error)) {
            Passes::Unknown
        } else {
            Passes::Nothing
        }
    }

    /// The error as one whose sources can be asked, if it is one.
    fn as_error<'a>(&self, error: &'a E) -> Option<&'a (dyn Error + 'static)> {
        if let Describe::Error(view) = self {
            return Some(view(error));
        }
        let any: &dyn Any = error;
        if let Some(error) = any.downcast_ref::<BoxError>() {
            return Some(&**error);
        }
        if let Some(error) = any.downcast_ref::<io::Error>() {
            return Some(error);
        }
        any.downcast_ref::<TaskError>().map(|error| error as _)
    }
}

/// The first in the chain of an error that tells that a task failed.
fn passed_on(error: &(dyn Error + 'static)) -> Option<TaskError> {
    let mut at = Some(error);
    while let Some(error) = at {
        // An `io::Error` made from another error is transparent to `source`.
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        let inner = inner.map_or(error, |inner| inner);
        if let Some(error) = inner.downcast_ref::<TaskError>() {
            let failed = !matches!(error, TaskError::Cancelled(_));
            return failed.then(|| error.clone());
        }
        at = inner.source();
    }
    None
}

/// Chooses for the error type that `task_group!` was given, by what it implements:
/// `Error`; else, through `Deref`, what `Holder`, `Shown` and `Opaque` ask for.
#[derive(Debug)]
pub struct Described<E>(Holder<E>);

impl<E> Described<E> {
    #[allow(clippy::new_without_default, reason = "written by the macro alone")]
    pub fn new() -> Described<E> {
        Described(Holder(Shown(Opaque(PhantomData))))
    }
}

impl<E: Error + 'static> Described<E> {
    pub fn how(&self) -> Describe<E> {
        Describe::Error(|error| error)
    }
}

impl<E> Deref for Described<E> {
    type Target = Holder<E>;

    fn deref(&self) -> &Holder<E> {
        &self.0
    }
}

/// For what holds an error, as `anyhow::Error` and `BoxError` do.
#[derive(Debug)]
pub struct Holder<E>(Shown<E>);

impl<E: AsRef<dyn Error + Send + Sync> + 'static> Holder<E> {
    pub fn how(&self) -> Describe<E> {
        Describe::Error(|error| error.as_ref())
    }
}

impl<E> Deref for Holder<E> {
    type Target = Shown<E>;

    fn deref(&self) -> &Shown<E> {
        &self.0
    }
}

/// For what has a text.
#[derive(Debug)]
pub struct Shown<E>(Opaque<E>);

impl<E: Display + 'static> Shown<E> {
    pub fn how(&self) -> Describe<E> {
        Describe::Text(E::to_string)
    }
}

impl<E> Deref for Shown<E> {
    type Target = Opaque<E>;

    fn deref(&self) -> &Opaque<E> {
        &self.0
    }
}

/// For any other type.
#[derive(Debug)]
pub struct Opaque<E>(PhantomData<fn(&E)>);

impl<E: 'static> Opaque<E> {
    pub fn how(&self) -> Describe<E> {
        Describe::Unknown
    }
}
