//! [`Permit`]: a free place under the limit of a group.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;

use crate::group::child::Start;
use crate::group::shared::{Shared, TaskKind};
use crate::notes::names::Name;
use crate::task::error::BoxError;
use crate::task::handle::TaskHandle;
use crate::task::output::TaskResult;

/// A free place under a group's limit; given back when dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::{BoxError, TaskGroup};
/// use tokio::{sync::mpsc, time::sleep};
///
/// let (send, mut jobs) = mpsc::channel(1);
/// let group = TaskGroup::<BoxError>::new().limit(2).run(async |g| {
///     loop {
///         // First a place, then a job: what cannot run yet stays in the channel.
///         let permit = g.reserve().await;
///         let Some(job) = jobs.recv().await else { break };
///         permit.spawn(sleep(job));
///         assert!(g.len() <= 2);
///     }
///     Ok(())
/// });
/// let produce = async move {
///     for _ in 0..100 {
///         send.send(Duration::from_secs(1)).await.unwrap();
///     }
/// };
/// let (done, ()) = taskscope::join!(group, produce);
/// done.unwrap();
/// # }
/// ```
#[must_use = "a permit does nothing until a task is spawned with it"]
pub struct Permit<E = BoxError> {
    pub(crate) shared: Arc<Shared<E>>,
    /// `None` in a group without a limit, or in a cancelled one.
    pub(crate) place: Option<OwnedSemaphorePermit>,
}

impl<E> fmt::Debug for Permit<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("group", &self.shared.node.name())
            .finish()
    }
}

impl<E: Send + 'static> Permit<E> {
    /// Spawns a task that belongs to the line of the caller, and holds this permit.
    #[track_caller]
    fn start<F, T>(self, name: Name, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        let (location, start) = (Location::caller(), Start::admitted(self.place));
        self.shared
            .spawn(TaskKind::Plain, name, location, start, future)
    }

    /// Spawns a task in this place; see [`Group::spawn`](crate::Group::spawn).
    #[track_caller]
    pub fn spawn<F, T>(self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.start(Name::of_future::<F>(), future)
    }

    /// Spawns a named task in this place.
    #[track_caller]
    pub fn spawn_named<F, T>(self, name: impl Into<Cow<'static, str>>, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.start(name.into().into(), future)
    }
}
