//! `TaskSet`: handles of one type, awaited in order of completion.

use std::fmt;
use std::task::{Context, Poll};

use slab::Slab;

use crate::base::wakeset::{Member, WakeSet};
use crate::task::error::TaskError;
use crate::task::handle::TaskHandle;

/// A set of task handles of one type, which returns results in the order of
/// completion.
///
/// The set is separate from the group, so that a group may have tasks of many types and
/// stores no unread result. Dropping the set changes nothing for the tasks.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::{BoxError, TaskGroup, TaskSet, Value};
///
/// let order = TaskGroup::<BoxError>::new().run(async |g| {
///     let mut tasks = TaskSet::new();
///     for n in [3, 1, 2] {
///         tasks.push(g.spawn(async move {
///             tokio::time::sleep(Duration::from_secs(n)).await;
///             Value(n)
///         }));
///     }
///     assert_eq!(tasks.len(), 3);
///     let mut order = Vec::new();
///     while let Some(n) = tasks.next().await.transpose()? {
///         order.push(n);
///     }
///     assert!(tasks.is_empty());
///     Ok(order)
/// });
/// assert_eq!(order.await.unwrap(), [1, 2, 3]);
/// # }
/// ```
pub struct TaskSet<T> {
    slots: Slab<(TaskHandle<T>, Member)>,
    set: WakeSet,
}

impl<T> TaskSet<T> {
    /// Creates an empty set.
    pub fn new() -> TaskSet<T> {
        TaskSet {
            slots: Slab::new(),
            set: WakeSet::default(),
        }
    }

    /// Adds the handle of a task.
    pub fn push(&mut self, handle: TaskHandle<T>) {
        let entry = self.slots.vacant_entry();
        let member = self.set.member(entry.key());
        entry.insert((handle, member));
    }

    /// Returns how many handles are left in the set.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns whether no handle is left in the set.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Waits for the next task to end, and takes its result out; `None` when the set is
    /// empty.
    ///
    /// # Errors
    ///
    /// What the task's handle returns, see [`TaskError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a future that is dropped has taken nothing out. A result that is never taken
    /// out is dropped, as with a [`TaskHandle`].
    pub async fn next(&mut self) -> Option<Result<T, TaskError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, TaskError>>> {
        if self.slots.is_empty() {
            return Poll::Ready(None);
        }
        let mut woken = self.set.take(cx).into_iter();
        while let Some(index) = woken.next() {
            let Some((handle, member)) = self.slots.get_mut(index) else {
                continue;
            };
            let Poll::Ready(budget) = handle.poll_budget(cx) else {
                self.set.put_back(std::iter::once(index).chain(woken));
                return Poll::Pending;
            };
            if let Poll::Ready(outcome) = member.poll(|cx| handle.poll_outcome(cx)) {
                if let Some(budget) = budget {
                    budget.made_progress();
                }
                self.slots.remove(index);
                self.set.put_back(woken);
                return Poll::Ready(Some(outcome));
            }
        }
        Poll::Pending
    }
}

/// Adds the adapters of a `StreamExt`, whose `next` is the same as the inherent
/// [`next`](Self::next).
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use futures::TryStreamExt;
/// use taskscope::{BoxError, TaskGroup, TaskSet, Value};
///
/// let sum = TaskGroup::<BoxError>::new().run(async |g| {
///     let tasks: TaskSet<u32> = (1..=3).map(|n| g.spawn(async move { Value(n) })).collect();
///     Ok(tasks.try_fold(0, async |sum, n| Ok(sum + n)).await?)
/// });
/// assert_eq!(sum.await.unwrap(), 6);
/// # }
/// ```
#[cfg(feature = "stream")]
impl<T> futures_core::Stream for TaskSet<T> {
    type Item = Result<T, TaskError>;

    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T> Default for TaskSet<T> {
    fn default() -> Self {
        TaskSet::new()
    }
}

impl<T> fmt::Debug for TaskSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.slots.iter().map(|(_, (handle, _))| handle))
            .finish()
    }
}

impl<T> Extend<TaskHandle<T>> for TaskSet<T> {
    fn extend<I: IntoIterator<Item = TaskHandle<T>>>(&mut self, handles: I) {
        for handle in handles {
            self.push(handle);
        }
    }
}

impl<T> FromIterator<TaskHandle<T>> for TaskSet<T> {
    fn from_iter<I: IntoIterator<Item = TaskHandle<T>>>(handles: I) -> Self {
        let mut set = TaskSet::new();
        set.extend(handles);
        set
    }
}
