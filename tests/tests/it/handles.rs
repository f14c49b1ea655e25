//! What a handle tells and does beside being awaited.

use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use taskscope::{
    BoxError, Outcome, Scope, TaskGroup, TaskSet, TaskState, Value, cancellable, defer,
};
use taskscope_tests::{Log, both, one_worker, paused, watched};
use tokio::sync::oneshot;

#[test]
fn callbacks_run_in_order_of_registration_and_a_panic_harms_no_other() {
    both(|| async {
        let log = Log::new();
        let (go, wait) = oneshot::channel::<()>();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn(async move { wait.await.unwrap() });
            let noted = log.clone();
            task.on_done(move |_| noted.add("first"));
            task.on_done(|_| panic!("a callback that panics"));
            let noted = log.clone();
            let removed = task.on_done(move |_| noted.add("removed"));
            let noted = log.clone();
            task.on_done(move |outcome| noted.add(format!("last: {outcome:?}")));
            assert!(task.remove_on_done(removed));
            assert!(!task.remove_on_done(removed), "only once");
            go.send(()).unwrap();
            Ok(task)
        });
        let task = group.await.unwrap();
        log.is(&["first", "last: Completed"]);
        let noted = log.clone();
        let late = task.on_done(move |_| noted.add("at once"));
        log.is(&["first", "last: Completed", "at once"]);
        assert!(!task.remove_on_done(late), "it has run");
    });
}

#[test]
fn a_callback_is_dropped_with_its_task_and_keeps_nothing_alive() {
    both(|| async {
        let (tell, told) = mpsc::channel::<()>();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn(pending::<()>());
            task.on_done(move |_| tell.send(()).unwrap());
            drop(task);
            g.cancel();
            Ok(())
        });
        group.await.unwrap();
        told.recv().unwrap();
        assert!(told.recv().is_err(), "the callback is gone");
    });
}

#[test]
fn the_state_goes_from_pending_to_done() {
    both(|| async {
        let (here, arrived) = oneshot::channel();
        let (clean, cleaned) = oneshot::channel::<()>();
        #[cancellable]
        async fn body(here: oneshot::Sender<()>, cleaned: oneshot::Receiver<()>) {
            defer! { cleaned.await.unwrap(); }
            here.send(()).unwrap();
            pending::<()>().await;
        }
        let group = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            let task = g.spawn(body(here, cleaned));
            let queued = g.spawn(async { Value(1) });
            arrived.await.unwrap();
            assert_eq!(task.state(), TaskState::Running);
            assert_eq!(queued.state(), TaskState::Pending, "it waits for a place");
            assert!(task.cancel());
            assert_eq!(task.state(), TaskState::Cancelling);
            clean.send(()).unwrap();
            assert_eq!(queued.await.unwrap(), 1);
            Ok(task)
        });
        let task = group.await.unwrap();
        assert_eq!(task.state(), TaskState::Done(Outcome::Cancelled));
    });
}

#[test]
fn deferred_futures_run_last_in_first_out_when_all_tasks_are_gone() {
    paused(|| async {
        #[cancellable]
        async fn service(log: Log) {
            defer! { log.add("service gone"); }
            pending::<()>().await;
        }
        #[cancellable]
        async fn task(log: Log) {
            defer! { log.add("task gone"); }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().name("pool").run(async |g| {
            g.defer(async { log.add("closed") });
            g.defer(async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                log.add("flushed");
                Err::<(), BoxError>("the disk is full".into())
            });
            g.service(service(log.clone()));
            g.spawn(task(log.clone()));
            Ok(())
        });
        let error = group.await.unwrap_err();
        log.is(&["task gone", "service gone", "flushed", "closed"]);
        assert_eq!(error.failures().len(), 1);
        assert_eq!(error.failures()[0].name(), "deferred");
    });
}

#[test]
fn stop_interrupts_nothing_and_reaches_all_below() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let outcome = scope.run(async {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let polite = g.spawn(async {
                    taskscope::stopping().await;
                    Value(taskscope::is_stopping() && !taskscope::is_cancelled())
                });
                handle.stop();
                Ok(polite.await?)
            });
            group.await.unwrap()
        });
        assert!(outcome.await.unwrap());
        assert!(!handle.is_cancelled());
    });
}

/// Results that are there already are no reason to keep the thread.
#[test]
fn taking_many_results_lets_other_tasks_run() {
    const MANY: usize = 1000;

    async fn others_run(in_a_set: bool) {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let tasks: Vec<_> = (0..MANY)
                .map(|n| g.spawn(async move { Value(n) }))
                .collect();
            while !tasks.iter().all(|task| task.is_finished()) {
                tokio::task::yield_now().await;
            }
            let ran = Arc::new(AtomicBool::new(false));
            let runs = ran.clone();
            g.spawn(async move { runs.store(true, Ordering::SeqCst) });
            let mut sum = 0;
            let mut before = 0;
            let mut count = |n| {
                sum += n;
                before += usize::from(!ran.load(Ordering::SeqCst));
            };
            if in_a_set {
                let mut set: TaskSet<usize> = tasks.into_iter().collect();
                while let Some(n) = set.next().await.transpose()? {
                    count(n);
                }
            } else {
                for task in tasks {
                    count(task.await?);
                }
            }
            assert_eq!(sum, MANY * (MANY - 1) / 2);
            Ok(before)
        });
        let before = group.await.unwrap();
        assert!(before < MANY, "nobody else ran");
    }

    one_worker(|| async {
        others_run(false).await;
        others_run(true).await;
    });
}

/// Where there is no tokio task, there is no budget.
#[test]
fn results_can_be_taken_without_a_runtime() {
    watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            Ok((0..1000)
                .map(|n| g.spawn(async move { Value(n) }))
                .collect())
        });
        let tasks: TaskSet<u32> = runtime.block_on(group).unwrap();
        drop(runtime);
        let all = futures::executor::block_on(async move {
            let mut tasks = tasks;
            let mut all = 0;
            while let Some(n) = tasks.next().await {
                all += n.unwrap();
            }
            all
        });
        assert_eq!(all, 1000 * 999 / 2);
    });
}

/// Feature `stream`.
#[test]
fn a_set_is_a_stream() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let tasks: TaskSet<u32> = (1..=9).map(|n| g.spawn(async move { Value(n) })).collect();
            assert_eq!(tasks.size_hint(), (9, Some(9)));
            let all: Vec<u32> = tasks.map_ok(|n| n * 2).try_collect().await?;
            Ok(all.iter().sum::<u32>())
        });
        assert_eq!(group.await.unwrap(), 90);
    });
}
