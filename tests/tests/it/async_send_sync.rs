//! Which of the public types are `Send`, `Sync` and `Unpin`, and of the futures
//! of the public functions.

use std::cell::Cell;
use std::future::Pending;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use taskscope::{
    BoxError, CancelHandle, Cancelled, Cause, DoneId, Failure, Gate, Group, GroupError, LocalGroup,
    OnFailure, Outcome, Permit, Reason, Report, ReportKind, Scope, ScopeRun, Shield, Stats,
    TaskError, TaskGroup, TaskHandle, TaskId, TaskSet, TaskState, Value,
};

/// Asks whether `T` has a trait: an inherent constant, where its bound holds,
/// goes before the one of the trait.
struct Ask<T: ?Sized>(PhantomData<T>);

macro_rules! question {
    ($constant:ident, $no:ident, $bound:path) => {
        trait $no {
            const $constant: bool = false;
        }

        impl<T: ?Sized> $no for Ask<T> {}

        #[allow(dead_code)]
        impl<T: ?Sized + $bound> Ask<T> {
            const $constant: bool = true;
        }
    };
}

question!(SEND, NotSend, Send);
question!(SYNC, NotSync, Sync);
question!(UNPIN, NotUnpin, Unpin);
question!(CLONE, NotClone, Clone);
question!(ERROR, NotError, std::error::Error);

/// `Type: Send Sync Unpin`; what is left out must not hold.
macro_rules! table {
    ($($ty:ty: [$($has:ident)*];)*) => { $(
        let has: &[&str] = &[$(stringify!($has)),*];
        for (name, holds) in [
            ("Send", <Ask<$ty>>::SEND),
            ("Sync", <Ask<$ty>>::SYNC),
            ("Unpin", <Ask<$ty>>::UNPIN),
        ] {
            assert_eq!(holds, has.contains(&name), "`{}`: {name}", stringify!($ty));
        }
    )* };
}

/// `Send`, not `Sync`.
type Single = Cell<u32>;
/// Neither.
type Local = Rc<u32>;
/// `Send`, not `Unpin`.
type Pinned = std::marker::PhantomPinned;

#[test]
fn the_questions_can_be_answered_with_no() {
    table! {
        u32: [Send Sync Unpin];
        Single: [Send Unpin];
        Local: [Unpin];
        Pinned: [Send Sync];
        *const u32: [Unpin];
    }
}

#[test]
fn values() {
    table! {
        Cancelled: [Send Sync Unpin];
        Reason: [Send Sync Unpin];
        TaskError: [Send Sync Unpin];
        TaskId: [Send Sync Unpin];
        TaskState: [Send Sync Unpin];
        Outcome: [Send Sync Unpin];
        DoneId: [Send Sync Unpin];
        OnFailure: [Send Sync Unpin];
        Report: [Send Sync Unpin];
        ReportKind: [Send Sync Unpin];
        Stats: [Send Sync Unpin];

        Value<u32>: [Send Sync Unpin];
        Value<Single>: [Send Unpin];
        Value<Local>: [Unpin];

        GroupError: [Send Sync Unpin];
        GroupError<Single>: [Send Unpin];
        GroupError<Local>: [Unpin];
        Failure<BoxError>: [Send Sync Unpin];
        Failure<Single>: [Send Unpin];
        Cause<BoxError>: [Send Sync Unpin];
        Cause<Local>: [Unpin];
    }
}

#[test]
fn handles_and_builders() {
    table! {
        CancelHandle: [Send Sync Unpin];
        Scope<'static>: [Send Unpin];
        TaskGroup: [Send Sync Unpin];
        TaskGroup<Single>: [Send Sync Unpin];

        // Shared by tasks, whatever it collects.
        Group<'static>: [Send Sync Unpin];
        Group<'static, Single>: [Send Sync Unpin];
        LocalGroup<'static>: [Unpin];
        Permit: [Send Sync Unpin];

        // A handle hands the value over to the one who awaits it.
        TaskHandle<u32>: [Send Sync Unpin];
        TaskHandle<Single>: [Send Sync Unpin];
        TaskHandle<Local>: [Unpin];
        TaskHandle<Pinned>: [Send Sync Unpin];
        TaskSet<u32>: [Send Sync Unpin];
        TaskSet<Single>: [Send Sync Unpin];
        TaskSet<Local>: [Unpin];
    }

    let clones = [
        <Ask<CancelHandle>>::CLONE,
        <Ask<Cancelled>>::CLONE,
        <Ask<Reason>>::CLONE,
        <Ask<Group<'static>>>::CLONE,
        <Ask<LocalGroup<'static>>>::CLONE,
        <Ask<TaskError>>::CLONE,
    ];
    assert_eq!(clones, [true; 6]);
    let singles = [<Ask<TaskHandle<u32>>>::CLONE, <Ask<Scope<'static>>>::CLONE];
    assert_eq!(singles, [false; 2]);
}

/// As the future inside, but never `Unpin` unless that is. `ScopeRun` holds its timer.
#[test]
fn futures() {
    table! {
        Gate: [Send Sync Unpin];
        ScopeRun<'static, Pending<u32>>: [Send];
        ScopeRun<'static, WithLocal>: [];
        ScopeRun<'static, WithPin>: [Send];
        Shield<Pending<u32>>: [Send Sync Unpin];
        Shield<WithLocal>: [Unpin];
        Shield<WithPin>: [Send Sync];
    }
}

/// A future that holds an `Rc`.
struct WithLocal(#[allow(dead_code)] Rc<u32>);

/// A future that must stay where it is.
struct WithPin(#[allow(dead_code)] std::marker::PhantomPinned);

macro_rules! never_ready {
    ($($ty:ty)*) => { $(
        impl Future for $ty {
            type Output = u32;

            fn poll(
                self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<u32> {
                std::task::Poll::Pending
            }
        }
    )* };
}

never_ready!(WithLocal WithPin);

#[test]
fn errors() {
    let errors = [
        <Ask<Cancelled>>::ERROR,
        <Ask<TaskError>>::ERROR,
        <Ask<GroupError>>::ERROR,
        <Ask<GroupError<String>>>::ERROR,
        <Ask<Reason>>::ERROR,
    ];
    assert_eq!(errors, [true, true, true, true, false]);

    fn converts<T, U: From<T>>() {}
    converts::<Cancelled, std::io::Error>();
    converts::<TaskError, std::io::Error>();
    converts::<Cancelled, BoxError>();
    converts::<TaskError, BoxError>();
    converts::<GroupError, BoxError>();
}

/// What the functions return can be spawned: `Send` and `'static` where the
/// argument is.
#[test]
#[allow(clippy::async_yields_async)]
fn futures_of_functions() {
    fn spawnable<F: Future + Send + 'static>(_: F) {}

    let long = Duration::from_secs(1);
    let some = std::future::pending::<u32>;
    spawnable(taskscope::checkpoint());
    spawnable(taskscope::cancelled());
    spawnable(taskscope::stopping());
    spawnable(taskscope::shield(some()));
    spawnable(async move { taskscope::timeout(long, some()).await });
    spawnable(async move { Scope::new().cancel_when(some()).run(some()).await });
    spawnable(async move {
        let handle = Scope::new().handle();
        handle.cancelled().await;
        handle.stopping().await;
    });
    spawnable(async move {
        TaskGroup::<BoxError>::new()
            .run(async |g| {
                let permit = g.reserve().await;
                let first = permit.spawn(async {});
                let text = String::new();
                let task = g.spawn(async move { Value(text) });
                g.defer(async {});
                first.await?;
                let mut set: TaskSet<u32> = TaskSet::new();
                set.push(g.spawn(async { Value(7) }));
                set.next().await;
                Ok(task.await?)
            })
            .await
    });
    // A group handed on, stored, and used from another task.
    spawnable(async move {
        TaskGroup::<BoxError>::new()
            .run(async |g| {
                let handed: Group<'static> = g.clone();
                g.spawn(async move {
                    handed.spawn(async {});
                });
                Ok(())
            })
            .await
    });
    spawnable(async move {
        taskscope::join!(some(), some());
        taskscope::try_join!(async { Ok::<u8, BoxError>(1) }, async { Ok(2) }).ok();
    });
}
