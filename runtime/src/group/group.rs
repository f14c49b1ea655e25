//! Task groups: parallel tasks that are gone when the group returns.

use crate::group::permit::Permit;
use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use crate::blocking::blocking::blocking;
use crate::group::child::Start;
use crate::group::run::report_lost_deferred;
use crate::group::scoped::erase;
use crate::group::shared::{Shared, TaskKind};
use crate::notes::names::Name;
use crate::notes::span::WorkSpan;
use crate::poll::context;
use crate::scope::handle::CancelHandle;
use crate::task::error::BoxError;
use crate::task::handle::TaskHandle;
use crate::task::output::{HasValue, TaskResult};
use crate::tree::node::flag;
use crate::tree::reason::Reason;

/// A running group: spawns its tasks. Cheap to clone into tasks, which may
/// spawn siblings, also while the group waits for its last tasks.
///
/// `'env` is the lifetime of what the futures given to [`spawn_scoped`](Self::spawn_scoped) borrow.
///
/// ```
/// # #[tokio::main]
/// # async fn main() {
/// use taskscope::{BoxError, Group, TaskGroup, Value};
///
/// /// Runs in a task, and spawns a sibling that may outlast it.
/// async fn connection(g: Group<'static>, number: u32) -> Result<(), BoxError> {
///     g.spawn_named("audit", async move { println!("connection {number} was served") });
///     Ok(())
/// }
///
/// TaskGroup::<BoxError>::new()
///     .run(async |g| {
///         for number in 1..=3 {
///             g.spawn(connection(g.clone(), number));
///         }
///         let sum = g.spawn_blocking(|| Value((1..=10).sum::<u32>()));
///         assert_eq!(sum.await?, 55);
///         Ok(())
///     })
///     .await
///     .unwrap(); // all tasks have ended
/// # }
/// ```
pub struct Group<'env, E = BoxError> {
    pub(crate) shared: Arc<Shared<E>>,
    env: PhantomData<fn(&'env ())>,
}

impl<E> Clone for Group<'_, E> {
    fn clone(&self) -> Self {
        Group {
            shared: self.shared.clone(),
            env: PhantomData,
        }
    }
}

impl<E> fmt::Debug for Group<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.shared.node.name())
            .finish_non_exhaustive()
    }
}

impl<E> Group<'_, E> {
    pub(crate) fn new(shared: Arc<Shared<E>>) -> Self {
        Group {
            shared,
            env: PhantomData,
        }
    }
}

impl<'env, E: Send + 'static> Group<'env, E> {
    /// Spawns a task that belongs to the line of the caller.
    #[track_caller]
    fn start<F, T>(&self, kind: TaskKind, name: Name, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        let location = Location::caller();
        self.shared
            .spawn(kind, name, location, Start::default(), future)
    }

    /// Spawns a parallel task.
    ///
    /// It is named after the async function whose future it runs, `app::fetch`. An async
    /// block is named after the function around it and the line that spawns it,
    /// `app::main (src/main.rs:12)`. [`spawn_named`](Self::spawn_named) takes another name.
    ///
    /// The task belongs to this group, in whatever scope the caller runs. In
    /// a group that was cancelled or has ended the future is dropped unpolled,
    /// and the handle says so.
    #[track_caller]
    pub fn spawn<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.start(TaskKind::Plain, Name::of_future::<F>(), future)
    }

    /// Spawns a named parallel task.
    #[track_caller]
    pub fn spawn_named<F, T>(&self, name: impl Into<Cow<'static, str>>, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.start(TaskKind::Plain, name.into().into(), future)
    }

    /// Spawns a task that runs concurrently inside the group's own task, so that it may
    /// borrow from outside the group. It is a task in every other way, but does
    /// not count under the limit.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup, Value};
    /// let name = String::from("taskscope");
    /// let group = TaskGroup::<BoxError>::new().run(async |g| {
    ///     let length = g.spawn_scoped(async { Value(name.len()) });
    ///     Ok(length.await?)
    /// });
    /// assert_eq!(group.await.unwrap(), 9);
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_scoped<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'env,
        F::Output: TaskResult<E, Value = T>,
        T: Send + 'env,
    {
        self.shared.spawn_inside(Location::caller(), future)
    }

    /// Runs a closure on the blocking pool, as a task of this group.
    ///
    /// It runs inside the group's scope, see [`blocking`](crate::blocking()):
    /// cancelled before it has begun, it never runs; once begun it is waited
    /// for, until one of its checkpoints refuses or the grace period is over.
    /// For one that may be abandoned, spawn `blocking(f).abandon()`.
    ///
    /// A body that is cancelled while it awaits the handle does not get the value: a file or a
    /// connection that the closure has opened by then is dropped without an asynchronous
    /// cleanup. To open a resource, await `blocking(open)` in the body and arm its
    /// `defer!` in the next line, or see
    /// [the guide](crate::guide::cancel_safety#a-resource-that-nobody-takes).
    #[track_caller]
    pub fn spawn_blocking<F, R, T>(&self, f: F) -> TaskHandle<T>
    where
        F: FnOnce() -> R + Send + 'static,
        R: TaskResult<E> + HasValue<T, E>,
        T: Send + 'static,
    {
        self.start(
            TaskKind::Plain,
            Name::of_function::<F>(),
            blocking(move || f().into_result()),
        )
    }

    /// Spawns a task that the group's cancellation does not reach: it starts
    /// and runs to its end, and the group waits for it. It counts under the
    /// limit. Only the end of the grace period cuts it, with a report.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup, Value};
    /// let group = TaskGroup::<BoxError>::new().run(async |g| {
    ///     let saving = g.spawn_shielded(async { Value("saved") });
    ///     g.cancel();
    ///     Ok(saving)
    /// });
    /// assert_eq!(group.await.unwrap().await.unwrap(), "saved");
    /// # }
    /// ```
    #[track_caller]
    pub fn spawn_shielded<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.start(TaskKind::Shielded, Name::of_future::<F>(), future)
    }

    /// Spawns a background task: cancelled once the body and the other tasks
    /// have ended, in whatever way, so that their cleanup may still use
    /// it. It does not count under the limit.
    ///
    /// A service is cancelled, not drained: it is not asked to stop first, and messages that are
    /// still in its queue are lost unless a `defer!` empties it. See
    /// [A queue that must be emptied](crate::guide::groups#a-queue-that-must-be-emptied).
    ///
    /// A service must not hold the sender of a channel that a task of the group reads until it
    /// closes: the task would wait for the service, and
    /// the service for the task. Give it a weak sender, see
    /// [Services](crate::guide::groups#services).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    /// use taskscope::{BoxError, TaskGroup};
    /// TaskGroup::<BoxError>::new()
    ///     .run(async |g| {
    ///         g.service(async {
    ///             loop {
    ///                 tokio::time::sleep(Duration::from_secs(1)).await;
    ///                 println!("still working");
    ///             }
    ///         });
    ///         g.spawn(tokio::time::sleep(Duration::from_secs(10)));
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// # }
    /// ```
    #[track_caller]
    pub fn service<F, T>(&self, future: F) -> TaskHandle<T>
    where
        F: Future + Send + 'static,
        F::Output: TaskResult<E, Value = T>,
        T: Send,
    {
        self.start(TaskKind::Service, Name::of_future::<F>(), future)
    }

    /// Registers a cleanup that runs when the group ends, after all tasks have
    /// ended: last in, first out, shielded. An `Err` is a failure of the group.
    ///
    /// In a group that has ended the future is dropped. In one that is aborted, too, and
    /// reported as a lost cleanup: a cleanup that registers another one would keep it open.
    /// After 64 cleanups that are ready at once, other tasks get to run.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// use taskscope::{BoxError, TaskGroup};
    /// let log = std::sync::Mutex::new(Vec::new());
    /// TaskGroup::<BoxError>::new()
    ///     .run(async |g| {
    ///         g.defer(async { log.lock().unwrap().push("first in") });
    ///         g.defer(async { log.lock().unwrap().push("last in") });
    ///         Ok(())
    ///     })
    ///     .await
    ///     .unwrap();
    /// assert_eq!(*log.lock().unwrap(), ["last in", "first in"]);
    /// # }
    /// ```
    pub fn defer<F>(&self, future: F)
    where
        F: Future + Send + 'env,
        F::Output: TaskResult<E>,
    {
        let node = &self.shared.node;
        // One that defers another would keep an aborted group open.
        if node.flags_acquire() & flag::ABORTED != 0 {
            drop(future);
            return report_lost_deferred(node);
        }
        let future = WorkSpan::current().around(async { future.await.into_result().map(drop) });
        let future = Box::pin(future);
        // Noted first: the group does not end without having looked for it.
        self.shared.node.await_deferred();
        if let Err(refused) = self.shared.deferred.push(erase(future)) {
            self.shared.node.deferred_ended();
            report_lost_deferred(node);
            drop(refused);
        }
    }

    /// Waits for a free place under the limit: spawning through permits keeps
    /// memory in the order of the limit; see [`Permit`]. In a group that is cancelled or has ended,
    /// it does not wait: the permit's `spawn` is refused there.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped gives back its place in the queue.
    pub fn reserve(&self) -> impl Future<Output = Permit<E>> + Send + 'static + use<E> {
        let shared = self.shared.clone();
        async move {
            let Some(limit) = shared.limit.clone() else {
                return Permit {
                    shared,
                    place: None,
                };
            };
            let mut acquire = Box::pin(limit.acquire_owned());
            let mut cancelled = crate::scope::watch::FlagWatch::new(
                Some(shared.node.clone()),
                flag::CANCELLED | flag::CLOSED,
            );
            let place = std::future::poll_fn(|cx| {
                if let Poll::Ready(Ok(permit)) = acquire.as_mut().poll(cx) {
                    return Poll::Ready(Some(permit));
                }
                context::current(|frame| {
                    if let Some(frame) = frame {
                        frame
                            .node()
                            .stall(&shared.node, || "`reserve()`".to_owned());
                    }
                });
                Pin::new(&mut cancelled).poll(cx).map(|()| None)
            })
            .await;
            Permit { shared, place }
        }
    }

    /// Cancels the body and all tasks. Returns false if that had happened before.
    ///
    /// A body that passes no further checkpoint keeps its value, and the group
    /// returns it.
    pub fn cancel(&self) -> bool {
        self.handle().cancel()
    }

    /// Cancels the body and all tasks with a reason; the first reason stays.
    pub fn cancel_with(&self, reason: Reason) -> bool {
        self.handle().cancel_with(reason)
    }

    /// Asks the body and the tasks to finish, without interrupting them; the shielded ones and
    /// the services too.
    pub fn stop(&self) {
        self.handle().stop();
    }

    /// Returns a handle that cancels the group.
    pub fn handle(&self) -> CancelHandle {
        CancelHandle::new(self.shared.node.clone())
    }

    /// Returns how many tasks have not ended, including those that wait under the limit. A task
    /// whose handle was ready just now may still be counted.
    pub fn len(&self) -> usize {
        self.shared.node.tasks()
    }

    /// Returns whether all tasks have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
