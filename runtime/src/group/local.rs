//! [`LocalGroup`]: a group whose tasks need not be `Send`.

use crate::group::group::Group;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::rc::Rc;

use crate::task::error::BoxError;
use crate::task::handle::TaskHandle;
use crate::task::output::TaskResult;

/// A running group of [`TaskGroup::run_local`](crate::TaskGroup::run_local), which also takes
/// tasks that are not `Send`. Everything of [`Group`] can be called on it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::{cell::RefCell, rc::Rc};
/// use taskscope::{BoxError, TaskGroup};
///
/// let log = RefCell::new(Vec::new()); // borrowed by the tasks
/// let name = Rc::new("import"); // not `Send`
/// TaskGroup::<BoxError>::new()
///     .run_local(async |g| {
///         for part in 1..=2 {
///             let (log, name) = (&log, name.clone());
///             g.spawn_local(async move { log.borrow_mut().push(format!("{name} {part}")) });
///         }
///         Ok(())
///     })
///     .await
///     .unwrap();
/// assert_eq!(log.into_inner(), ["import 1", "import 2"]);
/// # }
/// ```
pub struct LocalGroup<'env, E = BoxError> {
    pub(crate) group: Group<'env, E>,
    /// It stays on its thread.
    pub(crate) local: PhantomData<Rc<()>>,
}

impl<E> Clone for LocalGroup<'_, E> {
    fn clone(&self) -> Self {
        LocalGroup {
            group: self.group.clone(),
            local: PhantomData,
        }
    }
}

impl<E> fmt::Debug for LocalGroup<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.group.fmt(f)
    }
}

impl<'env, E> std::ops::Deref for LocalGroup<'env, E> {
    type Target = Group<'env, E>;

    fn deref(&self) -> &Group<'env, E> {
        &self.group
    }
}

impl<'env, E: Send + 'static> LocalGroup<'env, E> {
    /// Spawns a task that runs concurrently inside the group's own task: it need not be
    /// `Send`, and may borrow from outside the group. It does not count under
    /// the limit.
    #[track_caller]
    pub fn spawn_local<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + 'env,
        F::Output: TaskResult<E, Value = T>,
        T: 'env,
    {
        self.group.shared.spawn_inside(Location::caller(), future)
    }
}
