//! Names the error type of what is spawned into a group, for expansions.

use std::marker::PhantomData;
use std::ops::Deref;

use crate::group::group::Group;
use crate::group::local::LocalGroup;
use crate::group::permit::Permit;

/// Names the error type of what is spawned into a `G`. If `G` is a group of this crate or a permit,
/// the methods are its own. Otherwise they are those of [`Unknown`], which name nothing.
pub struct HintOf<G: ?Sized>(PhantomData<fn(&G)>);

/// A type that only goes by the name of a group.
pub struct Unknown;

impl<G: ?Sized> HintOf<G> {
    /// The hint at one place.
    #[must_use]
    pub fn here() -> Self {
        Self(PhantomData)
    }
}

impl<G: ?Sized> Deref for HintOf<G> {
    type Target = Unknown;

    fn deref(&self) -> &Unknown {
        &Unknown
    }
}

impl Unknown {
    /// Returns the future as it is.
    pub fn task<F>(&self, future: F) -> F {
        future
    }

    /// Returns the work as it is.
    pub fn work<F>(&self, work: F) -> F {
        work
    }
}

macro_rules! hints {
    ($($group:ty),*) => {
        $(impl<E> HintOf<$group> {
            /// Returns the future of a task, whose error type is that of the group.
            pub fn task<T, F: Future<Output = Result<T, E>>>(&self, future: F) -> F {
                future
            }

            /// Returns blocking work, whose error type is that of the group.
            pub fn work<T, F: FnOnce() -> Result<T, E>>(&self, work: F) -> F {
                work
            }
        })*
    };
}

hints!(Group<'_, E>, LocalGroup<'_, E>, Permit<E>);
