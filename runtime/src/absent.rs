//! Methods of other libraries, under the types where people look for them first.
//!
//! rustc answers `TaskGroup::new().spawn(…)` with "no method named `spawn`" and cannot
//! know what to write instead. So these methods exist, hidden, under a bound that no type
//! meets: calling one is an error, and the bound's own message names the way.
//!
//! Each trait is one such message, followed by the methods that it is for. They take and
//! return whatever the call needs, so that the message remains the only error, and they take
//! `&self`, so that a method of the same name in a user's trait that takes `self` comes first.

use crate::group::builder::TaskGroup;
use crate::group::group::Group;
use crate::scope::handle::CancelHandle;
use crate::scope::scope::Scope;
use crate::task::handle::TaskHandle;
use crate::task::set::TaskSet;

/// Gives a type methods that cannot be called.
macro_rules! absent {
    ($bound:path: [$($generic:ident)?] $owner:ty: $($method:ident($($argument:ident),*)),+) => {
        // Without a parameter of the method's in it, such as the lifetime, rustc would refuse the
        // bound here and not at the call.
        #[doc(hidden)]
        impl<$($generic)?> $owner {$(
            pub fn $method<'a, Returned, $($argument),*>(&'a self, $(_: $argument),*) -> Returned
            where
                &'a Self: $bound,
            {
                unreachable!("no type is `{}`", stringify!($bound))
            }
        )+}
    };
}

#[diagnostic::on_unimplemented(
    message = "a `TaskGroup` has no tasks before it runs",
    label = "this is a method of the group that the body is given",
    note = "only `run` waits for the tasks, so only its body spawns them",
    note = "write `.run(async |g| {{ g.spawn(…); Ok(()) }}).await`"
)]
pub trait Running {}
absent!(Running: [E] TaskGroup<E>:
    spawn(Future), spawn_named(Name, Future), spawn_scoped(Future), spawn_blocking(Work),
    spawn_shielded(Future), spawn_local(Future), service(Future), defer(Future), reserve(),
    cancel(), stop(), handle(), start_soon(Work), launch(Work), create_task(Future)
);

#[diagnostic::on_unimplemented(
    message = "a `TaskGroup` is not waited for by hand",
    label = "`run` returns when all tasks have ended",
    note = "write `.run(async |g| {{ g.spawn(…); Ok(()) }}).await`",
    note = "for the results of tasks, `.await` the handles that `g.spawn` returns"
)]
pub trait WaitedFor {}
absent!(WaitedFor: [E] TaskGroup<E>:
    join_next(), join_all(), wait(), close(), shutdown(), abort_all()
);

#[diagnostic::on_unimplemented(
    message = "a group is not waited for in its body",
    label = "the group returns when all its tasks have ended",
    note = "end the body with `Ok(())`, and the group waits",
    note = "for the results of tasks, `.await` the handles that `spawn` returns, or collect \
            them into a `TaskSet` and call `set.next().await`"
)]
pub trait JoinedInBody {}
absent!(JoinedInBody: [E] Group<'_, E>: join_next(), join_all(), wait(), close());

#[diagnostic::on_unimplemented(
    message = "the tasks of a group are cancelled, not aborted",
    label = "a group has no such method",
    note = "write `g.cancel()`: the tasks run their cleanups, and the group waits for them"
)]
pub trait Aborted {}
absent!(Aborted: [E] Group<'_, E>: abort_all(), shutdown());

#[diagnostic::on_unimplemented(
    message = "the tasks of a group are started with `spawn`",
    label = "a group has no such method",
    note = "write `g.spawn(future)`: it takes a future, and returns a handle that can be awaited"
)]
pub trait Started {}
absent!(Started: [E] Group<'_, E>:
    start_soon(Work), launch(Work), create_task(Future), track_future(Future)
);

#[diagnostic::on_unimplemented(
    message = "a `Scope` has no tasks",
    label = "a scope runs one future",
    note = "for tasks, write `task_group!(|g| {{ g.spawn(…); Ok(()) }}).await`, in a scope or without one"
)]
pub trait WithTasks {}
absent!(WithTasks: [] Scope<'_>:
    spawn(Future), spawn_blocking(Work), spawn_scoped(Future), spawn_local(Future),
    start_soon(Work), launch(Work)
);

#[diagnostic::on_unimplemented(
    message = "a `Scope` is cancelled through its handle",
    label = "a scope has no such method",
    note = "write `let handle = scope.handle();` before `scope.run(…)`, and call the handle"
)]
pub trait WithHandle {}
absent!(WithHandle: [] Scope<'_>:
    cancel(), stop(), cancelled(), is_cancelled(), child_token(), token()
);

#[diagnostic::on_unimplemented(
    message = "a `TaskHandle` is awaited, not joined",
    label = "a handle has no such method",
    note = "write `handle.await`"
)]
pub trait Joined {}
absent!(Joined: [T] TaskHandle<T>: join(), wait());

#[diagnostic::on_unimplemented(
    message = "a task is cancelled, not aborted",
    label = "a handle has no such method",
    note = "write `task.cancel()`: the task runs its cleanups, and its group waits for it",
    note = "for a handle that only cancels, write `task.handle()`"
)]
pub trait AbortedAlone {}
absent!(AbortedAlone: [T] TaskHandle<T>: abort(), abort_handle());

#[diagnostic::on_unimplemented(
    message = "a task is not detached from its group",
    label = "a handle has no such method",
    note = "drop the handle: the task goes on, and its group waits for it"
)]
pub trait Detached {}
absent!(Detached: [T] TaskHandle<T>: detach());

#[diagnostic::on_unimplemented(
    message = "a `TaskSet` does not spawn",
    label = "a set collects the handles of tasks that a group has spawned",
    note = "write `set.push(g.spawn(…))`"
)]
pub trait Spawning {}
absent!(Spawning: [T] TaskSet<T>:
    spawn(Future), spawn_blocking(Work), spawn_local(Future), insert(Handle)
);

#[diagnostic::on_unimplemented(
    message = "the results of a `TaskSet` come from `next`",
    label = "a set has no such method",
    note = "write `while let Some(result) = set.next().await {{ … }}`"
)]
pub trait JoinedByName {}
absent!(JoinedByName: [T] TaskSet<T>: join_next(), try_join_next(), join_all());

#[diagnostic::on_unimplemented(
    message = "a `TaskSet` does not own its tasks",
    label = "the tasks belong to the group that has spawned them",
    note = "write `g.cancel()` for all tasks of the group"
)]
pub trait Owning {}
absent!(Owning: [T] TaskSet<T>: abort_all(), shutdown(), detach_all());

#[diagnostic::on_unimplemented(
    message = "a `CancelHandle` has no children",
    label = "scopes are nested by running one inside the other",
    note = "write `Scope::new().run(future)` where the child begins: what cancels the outer scope \
            cancels it, too"
)]
pub trait WithChildren {}
absent!(WithChildren: [] CancelHandle: child_token());

#[diagnostic::on_unimplemented(
    message = "a `CancelHandle` does not run futures",
    label = "the future has to run in the scope that the handle cancels",
    note = "write `let scope = Scope::new(); let handle = scope.handle(); scope.run(future).await`"
)]
pub trait RunningFutures {}
absent!(RunningFutures: [] CancelHandle:
    run_until_cancelled(Future), run_until_cancelled_owned(Future)
);

#[diagnostic::on_unimplemented(
    message = "a scope needs no guard that cancels it",
    label = "a handle has no such method",
    note = "a scope whose future is dropped is cancelled by that, with `Reason::Dropped`"
)]
pub trait Guarding {}
absent!(Guarding: [] CancelHandle: drop_guard(), drop_guard_ref());
