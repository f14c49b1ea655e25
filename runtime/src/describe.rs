//! What reports say of an error that no caller gets.

#![allow(missing_docs, reason = "the macros' own, described with them")]

use std::any::Any;
use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::Deref;

use crate::error::BoxError;

/// The text of an error.
pub(crate) type Describe<E> = fn(&E) -> String;

/// What can be said of an error of any type.
pub(crate) fn by_type<E: 'static>(error: &E) -> String {
    let any: &dyn Any = error;
    match any.downcast_ref::<BoxError>() {
        Some(error) => error.to_string(),
        None => format!("a `{}`", std::any::type_name::<E>()),
    }
}

/// Chooses for the error type that `task_group!` was given: its `Display` where it has
/// one, else the methods are those of `Opaque`. A bound on the builder would ask every
/// error type for one.
#[derive(Debug)]
pub struct Described<E>(Opaque<E>);

impl<E> Described<E> {
    #[allow(clippy::new_without_default, reason = "written by the macro alone")]
    pub fn new() -> Described<E> {
        Described(Opaque(PhantomData))
    }
}

impl<E: Display> Described<E> {
    pub fn text(&self) -> fn(&E) -> String {
        E::to_string
    }
}

impl<E> Deref for Described<E> {
    type Target = Opaque<E>;

    fn deref(&self) -> &Opaque<E> {
        &self.0
    }
}

/// See [`Described`].
#[derive(Debug)]
pub struct Opaque<E>(PhantomData<fn(&E)>);

impl<E: 'static> Opaque<E> {
    pub fn text(&self) -> fn(&E) -> String {
        by_type::<E>
    }
}
