//! Groups that have ended take no more tasks, and say so.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use taskscope::{Ambient, BoxError, Group, LocalGroup, Outcome, Permit, Reason, TaskError};
use taskscope::{TaskGroup, TaskHandle, TaskState, Value};
use taskscope_tests::{both, counted, paused_once};
use tokio::task::yield_now;

/// The task was refused because the group has ended: known at once, and nothing was run.
async fn assert_ended<T: std::fmt::Debug>(task: TaskHandle<T>) {
    assert_eq!(task.state(), TaskState::Done(Outcome::Cancelled));
    let Err(TaskError::Cancelled(cancelled)) = task.await else {
        panic!("the task was not refused");
    };
    assert!(matches!(cancelled.reason(), Reason::Ended));
    assert_eq!(
        cancelled.to_string(),
        "`late` was cancelled: group has ended"
    );
}

fn group() -> TaskGroup<BoxError> {
    TaskGroup::new().name("late")
}

type Kept = (Group<'static, BoxError>, Permit<BoxError>);

/// A group that has ended, with all that can still spawn into it.
async fn ended() -> Kept {
    let kept = group().limit(3).run(async |g| {
        let permit = g.reserve().await;
        Ok((g, permit))
    });
    kept.await.unwrap()
}

#[test]
fn every_spawn_into_an_ended_group_says_so() {
    both(|| async {
        let (g, permit) = ended().await;
        let mut futures = Vec::new();
        let mut future = || {
            let (future, counts) = counted(pending::<()>());
            futures.push(counts);
            future
        };
        assert_ended(g.spawn(future())).await;
        assert_ended(g.spawn_named("named", future())).await;
        assert_ended(g.spawn_scoped(future())).await;
        assert_ended(g.spawn_shielded(future())).await;
        assert_ended(g.service(future())).await;
        assert_ended(permit.spawn(future())).await;
        assert_ended(g.reserve().await.spawn_named("named", future())).await;
        let ambient = Ambient::current();
        assert_ended(ambient.enter(|| g.spawn(future()))).await;
        for counts in &futures {
            assert_eq!((counts.polls(), counts.drops()), (0, 1));
        }

        let runs = Arc::new(AtomicUsize::new(0));
        let ran = runs.clone();
        assert_ended(g.spawn_blocking(move || ran.store(1, Ordering::SeqCst))).await;
        assert_eq!(
            (runs.load(Ordering::SeqCst), Arc::strong_count(&runs)),
            (0, 1)
        );
    });
}

#[test]
fn so_does_a_local_group() {
    paused_once(|| async {
        let kept = group().run_local(async |g: LocalGroup<'_, BoxError>| Ok(g));
        let g = kept.await.unwrap();
        let (future, counts) = counted(pending::<()>());
        assert_ended(g.spawn_local(future)).await;
        assert_eq!((counts.polls(), counts.drops()), (0, 1));
    });
}

/// How it has ended makes no difference.
#[test]
fn a_group_that_failed_or_was_cancelled_has_ended_too() {
    both(|| async {
        let mut kept = None;
        let failed = group().run(async |g| {
            kept = Some(g);
            Err::<(), _>("on purpose".into())
        });
        failed.await.unwrap_err();
        assert_ended(kept.unwrap().spawn(async {})).await;

        let cancelled = group().run(async |g| {
            g.cancel();
            Ok(g)
        });
        assert_ended(cancelled.await.unwrap().spawn(async {})).await;
    });
}

/// Control: while it has not ended, the reason is that of its cancellation.
#[test]
fn a_group_that_is_cancelled_gives_its_own_reason() {
    both(|| async {
        let run = group().run(async |g| {
            g.cancel_with(Reason::Shutdown);
            Ok(g.spawn(async {}))
        });
        let Err(TaskError::Cancelled(cancelled)) = run.await.unwrap().await else {
            panic!("the task was not refused");
        };
        assert!(matches!(cancelled.reason(), Reason::Shutdown));
    });
}

/// Nobody has asked for its end.
#[test]
fn a_service_ends_with_its_group() {
    both(|| async {
        let run = group().run(async |g| {
            let service = g.service(async { Value(taskscope::cancelled().await) });
            let waits = g.service(pending::<()>());
            while service.state() == TaskState::Pending {
                yield_now().await;
            }
            Ok((service, waits))
        });
        let (service, waits) = run.await.unwrap();
        assert!(matches!(service.await, Ok(Reason::Ended)));
        let Err(TaskError::Cancelled(cancelled)) = waits.await else {
            panic!("the service was not cancelled");
        };
        assert!(matches!(cancelled.reason(), Reason::Ended));
    });
}
