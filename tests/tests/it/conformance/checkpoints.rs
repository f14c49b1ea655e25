//! Conformance, A: checkpoints and delivery.

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use taskscope::{
    BoxError, CancelHandle, Reason, Scope, TaskError, TaskGroup, cancellable, defer, on_cancel,
};
use taskscope_tests::{Driven, Log, both, cancel_at, counted, one_worker, watched};
use tokio::sync::{mpsc, oneshot};

#[test]
fn a01_checkpoint_is_transparent_until_cancelled() {
    #[cancellable]
    async fn body(log: Log, handle: CancelHandle) {
        taskscope::checkpoint().await;
        log.add("passed");
        handle.cancel();
        log.add("atomic");
        taskscope::checkpoint().await;
        log.add("never");
    }

    both(|| async {
        let live = Log::new();
        let scope = Scope::new();
        let other = Scope::new().handle();
        assert!(scope.run(body(live.clone(), other)).await.is_ok());
        live.is(&["passed", "atomic", "never"]);

        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let left = scope.run(body(log.clone(), handle)).await.unwrap_err();
        assert!(matches!(left.reason(), Reason::Requested));
        log.is(&["passed", "atomic"]);
    });
}

/// The same where nothing is annotated: `checkpoint()` itself is one.
#[test]
fn a01_checkpoint_works_in_plain_code() {
    both(|| async {
        let log = Log::new();
        let inner = log.clone();
        let scope = Scope::new();
        let handle = scope.handle();
        let run = scope.run(async move {
            taskscope::checkpoint().await;
            inner.add("passed");
            handle.cancel();
            taskscope::checkpoint().await;
            inner.add("never");
        });
        assert!(run.await.is_err());
        log.is(&["passed"]);
    });
}

#[test]
fn a04_parked_task_is_woken_once_and_left_on_its_next_poll() {
    #[cancellable]
    async fn body(log: Log) {
        let _mark = log.mark("local");
        log.add("before");
        pending::<()>().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let mut run = Driven::new(scope.run(body(log.clone())));
        run.pending();
        assert_eq!(run.wakes(), 0);

        handle.cancel();
        assert_eq!(run.wakes(), 1, "woken exactly once");
        log.is(&["before"]);

        let Poll::Ready(outcome) = run.poll() else {
            panic!("left on its next poll")
        };
        assert!(matches!(outcome.unwrap_err().reason(), Reason::Requested));
        log.is(&["before", "drop local"]);
        assert_eq!(run.wakes(), 1);
    });
}

/// As a child of a group, where the one who wakes is the executor.
#[test]
fn a04_parked_child_is_woken() {
    both(|| async {
        let (here, reached) = oneshot::channel();
        let outcome = TaskGroup::<BoxError>::new()
            .run(async |g| {
                let child = g.spawn(async move {
                    here.send(()).unwrap();
                    pending::<()>().await;
                });
                reached.await.unwrap();
                assert!(child.cancel());
                let left = child.await;
                assert!(matches!(left, Err(TaskError::Cancelled(_))), "{left:?}");
                Ok(())
            })
            .await;
        outcome.unwrap();
    });
}

#[test]
fn a05_value_ready_in_the_poll_that_sees_the_cancel_is_handed_over() {
    #[cancellable]
    async fn body(log: Log, mut items: mpsc::UnboundedReceiver<u32>) {
        loop {
            let item = items.recv().await.unwrap();
            log.add(format!("got {item}"));
            if item == 99 {
                return;
            }
        }
    }

    both(|| async {
        // Not cancelled: everything arrives.
        let log = Log::new();
        let (send, items) = mpsc::unbounded_channel();
        let mut run = Driven::new(Scope::new().run(body(log.clone(), items)));
        run.pending();
        send.send(1).unwrap();
        send.send(99).unwrap();
        run.finish().unwrap();
        log.is(&["got 1", "got 99"]);

        for cancel_first in [false, true] {
            let log = Log::new();
            let (send, items) = mpsc::unbounded_channel();
            let scope = Scope::new();
            let handle = scope.handle();
            let mut run = Driven::new(scope.run(body(log.clone(), items)));
            run.pending();
            if cancel_first {
                handle.cancel();
                send.send(1).unwrap();
            } else {
                send.send(1).unwrap();
                handle.cancel();
            }
            let Poll::Ready(outcome) = run.poll() else {
                panic!("left in the same poll")
            };
            assert!(outcome.is_err());
            log.is(&["got 1"]);
        }
    });
}

/// What was not taken yet stays in the channel: it is not received and then
/// dropped.
#[test]
fn a05_no_item_is_dropped() {
    #[cancellable]
    async fn body(log: Log, items: &mut mpsc::UnboundedReceiver<u32>) {
        while let Some(item) = items.recv().await {
            log.add(format!("got {item}"));
        }
    }

    both(|| async {
        let log = Log::new();
        let (send, mut items) = mpsc::unbounded_channel();
        {
            let scope = Scope::new();
            let handle = scope.handle();
            let mut run = Driven::new(scope.run(body(log.clone(), &mut items)));
            run.pending();
            send.send(1).unwrap();
            send.send(2).unwrap();
            handle.cancel();
            assert!(run.finish().is_err());
        }
        log.is(&["got 1"]);
        assert_eq!(items.try_recv(), Ok(2));
    });
}

/// The coop budget of tokio makes a ready channel say `Pending`; that is no
/// reason to lose what it holds.
#[test]
fn a05_an_exhausted_budget_loses_no_value() {
    #[cancellable]
    async fn body(log: Log, gate: oneshot::Receiver<()>, value: oneshot::Receiver<u32>) {
        let both = async {
            gate.await.unwrap();
            while tokio::task::coop::has_budget_remaining() {
                tokio::task::coop::consume_budget().await;
            }
            value.await.unwrap()
        };
        let value = both.await;
        log.add(format!("got {value}"));
        taskscope::checkpoint().await;
        log.add("never");
    }

    // Plain code between the gate and the value: one operation already pending.
    async fn plain(log: Log, gate: oneshot::Receiver<()>, value: oneshot::Receiver<u32>) {
        gate.await.unwrap();
        while tokio::task::coop::has_budget_remaining() {
            tokio::task::coop::consume_budget().await;
        }
        let value = value.await.unwrap();
        log.add(format!("got {value}"));
    }

    #[cancellable]
    async fn calls_plain(log: Log, gate: oneshot::Receiver<()>, value: oneshot::Receiver<u32>) {
        plain(log.clone(), gate, value).await;
        log.add("delivered");
        taskscope::checkpoint().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let (open, gate) = oneshot::channel();
        let (send, value) = oneshot::channel();
        let task = tokio::spawn(scope.run(calls_plain(log.clone(), gate, value)));
        send.send(7).unwrap();
        open.send(()).unwrap();
        handle.cancel();
        assert!(task.await.unwrap().is_err());
        // Cancelled before its first poll or at the gate: nothing may be half
        // done. Where the gate was passed, the value was delivered.
        assert_eq!(log.has("got 7"), log.has("delivered"), "{log:?}");
        assert!(!log.has("never"));

        // Driven through an exhausted budget for certain.
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let (open, gate) = oneshot::channel();
        let (send, value) = oneshot::channel();
        let mut run = Driven::new(scope.run(calls_plain(log.clone(), gate, value)));
        run.pending();
        send.send(7).unwrap();
        open.send(()).unwrap();
        handle.cancel();
        assert!(run.finish_yielding().await.is_err());
        log.is(&["got 7", "delivered"]);

        // Inside annotated code the next await is where it stops.
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let (open, gate) = oneshot::channel();
        let (_send, value) = oneshot::channel();
        let mut run = Driven::new(scope.run(body(log.clone(), gate, value)));
        run.pending();
        open.send(()).unwrap();
        handle.cancel();
        assert!(run.finish_yielding().await.is_err());
        log.is(&[]);
    });
}

#[test]
fn a06_loop_of_ready_awaits_notices_a_cancel_from_elsewhere() {
    const MANY: u64 = 2_000_000_000;

    #[cancellable]
    async fn busy(rounds: Arc<AtomicU64>, started: oneshot::Sender<()>) {
        started.send(()).unwrap();
        while rounds.fetch_add(1, Ordering::Relaxed) < MANY {
            ready(()).await;
        }
    }

    both(|| async {
        // Another task of the same runtime gets its turn, and cancels.
        let rounds = Arc::new(AtomicU64::new(0));
        let scope = Scope::new();
        let handle = scope.handle();
        let (here, reached) = oneshot::channel();
        let canceller = tokio::spawn(async move {
            reached.await.unwrap();
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            handle.cancel();
        });
        let left = scope.run(busy(rounds.clone(), here)).await.unwrap_err();
        assert!(matches!(left.reason(), Reason::Requested));
        canceller.await.unwrap();
        assert!(rounds.load(Ordering::Relaxed) < MANY);

        // A deadline, in real time: the clock of a runtime that is never idle
        // cannot be paused.
        let rounds = Arc::new(AtomicU64::new(0));
        let (here, _reached) = oneshot::channel();
        let busy = busy(rounds.clone(), here);
        let left = taskscope::timeout(Duration::from_millis(20), busy).await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Deadline));
        assert!(rounds.load(Ordering::Relaxed) < MANY);
    });
}

#[test]
fn a07_checkpoint_loop_is_cut_by_another_thread_and_an_unmarked_one_is_not() {
    const LIMIT: u64 = 20_000_000;

    #[cancellable]
    async fn marked(rounds: Arc<AtomicU64>, cancelled: Arc<AtomicBool>) -> u64 {
        let mut after = 0;
        #[checkpoint]
        while after < LIMIT {
            rounds.fetch_add(1, Ordering::Relaxed);
            if cancelled.load(Ordering::Acquire) {
                after += 1;
            }
        }
        after
    }

    #[cancellable]
    async fn unmarked(rounds: Arc<AtomicU64>, cancelled: Arc<AtomicBool>) -> u64 {
        let mut after = 0;
        while after < 1000 {
            rounds.fetch_add(1, Ordering::Relaxed);
            if cancelled.load(Ordering::Acquire) {
                after += 1;
            }
        }
        after
    }

    fn cancel_once_running(
        handle: CancelHandle,
        rounds: &Arc<AtomicU64>,
        cancelled: &Arc<AtomicBool>,
    ) {
        let (rounds, cancelled) = (rounds.clone(), cancelled.clone());
        std::thread::spawn(move || {
            while rounds.load(Ordering::Relaxed) < 1000 {
                std::thread::yield_now();
            }
            handle.cancel();
            cancelled.store(true, Ordering::Release);
        });
    }

    both(|| async {
        let (rounds, cancelled) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let scope = Scope::new();
        cancel_once_running(scope.handle(), &rounds, &cancelled);
        let left = scope.run(marked(rounds, cancelled)).await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Requested));

        let (rounds, cancelled) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let scope = Scope::new();
        cancel_once_running(scope.handle(), &rounds, &cancelled);
        let done = scope.run(unmarked(rounds, cancelled)).await;
        assert_eq!(done.unwrap(), 1000, "runs to its end and keeps its value");
    });
}

/// Once the cancel has returned, at most one more iteration begins.
#[test]
fn a07_checkpoint_loop_is_cut_at_once() {
    #[cancellable]
    async fn body(handle: CancelHandle, rounds: Arc<AtomicU64>) {
        let mut round = 0;
        #[checkpoint]
        loop {
            round += 1;
            rounds.store(round, Ordering::Relaxed);
            if round == 10 {
                handle.cancel();
            }
            if round == 1_000_000 {
                break;
            }
        }
    }

    both(|| async {
        let rounds = Arc::<AtomicU64>::default();
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(scope.run(body(handle, rounds.clone())).await.is_err());
        assert_eq!(rounds.load(Ordering::Relaxed), 10);
    });
}

#[test]
fn a07_cancellable_loops_marks_every_loop() {
    #[cancellable(loops)]
    async fn body(handle: CancelHandle, log: Log) {
        for i in 0..5u32 {
            log.add(format!("for {i}"));
        }
        let mut i = 0;
        #[no_checkpoint]
        while i < 3 {
            if i == 0 {
                handle.cancel();
            }
            log.add(format!("unmarked {i}"));
            i += 1;
        }
        while i < 10 {
            log.add(format!("never {i}"));
            i += 1;
        }
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(scope.run(body(handle, log.clone())).await.is_err());
        log.is(&[
            "for 0",
            "for 1",
            "for 2",
            "for 3",
            "for 4",
            "unmarked 0",
            "unmarked 1",
            "unmarked 2",
        ]);
    });
}

#[test]
fn a08_child_cancelled_before_its_first_poll_is_never_polled() {
    one_worker(|| async {
        let log = Log::new();
        let outcome = TaskGroup::<BoxError>::new()
            .run(async |g| {
                let (work, control) = counted(async { Ok::<_, BoxError>(()) });
                g.spawn(work).await.unwrap();
                assert_eq!(control.polls(), 1, "a child that is not cancelled runs");

                let captured = log.mark("captured");
                let (work, counts) = counted(async move {
                    let _captured = captured;
                    Ok::<_, BoxError>(())
                });
                let child = g.spawn(work);
                assert!(child.cancel());
                let left = child.await;
                assert!(matches!(left, Err(TaskError::Cancelled(_))), "{left:?}");
                assert_eq!(counts.polls(), 0);
                assert_eq!(counts.drops(), 1);
                log.is(&["drop captured"]);
                Ok("body")
            })
            .await;
        assert_eq!(outcome.unwrap(), "body", "no failure in the group");
    });
}

/// On several workers too: queued behind a limit, it cannot have started.
#[test]
fn a08_queued_child_that_is_cancelled_is_never_polled() {
    both(|| async {
        let outcome = TaskGroup::<BoxError>::new()
            .limit(1)
            .run(async |g| {
                let (open, gate) = oneshot::channel::<()>();
                let first = g.spawn(async move {
                    gate.await.ok();
                });
                let (work, counts) = counted(async {});
                let queued = g.spawn(work);
                assert!(queued.cancel());
                let left = queued.await;
                assert!(matches!(left, Err(TaskError::Cancelled(_))), "{left:?}");
                assert_eq!((counts.polls(), counts.drops()), (0, 1));
                open.send(()).unwrap();
                first.await.unwrap();
                Ok(())
            })
            .await;
        outcome.unwrap();
    });
}

#[test]
fn a12_innermost_frame_is_left_first() {
    #[cancellable]
    async fn outer(log: Log, here: oneshot::Sender<()>) {
        let _first = log.mark("outer first");
        let _second = log.mark("outer second");
        middle(&log, here).await;
        log.add("never");
    }

    #[cancellable]
    async fn middle(log: &Log, here: oneshot::Sender<()>) {
        let _local = log.mark("middle");
        inner(log, here).await;
        log.add("never");
    }

    #[cancellable]
    async fn inner(log: &Log, here: oneshot::Sender<()>) {
        let _first = log.mark("inner first");
        let _second = log.mark("inner second");
        here.send(()).unwrap();
        pending::<()>().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let left = cancel_at(Scope::new(), |here| outer(log.clone(), here)).await;
        assert!(left.is_err());
        log.is(&[
            "drop inner second",
            "drop inner first",
            "drop middle",
            "drop outer second",
            "drop outer first",
        ]);
    });
}

#[test]
fn a14_without_a_scope_checkpoints_do_nothing() {
    #[cancellable]
    async fn body(log: Log) -> u32 {
        assert!(!taskscope::is_cancelled());
        assert_eq!(taskscope::deadline(), None);
        taskscope::checkpoint().await;
        assert!(taskscope::cancelled().now_or_never().is_none());
        let mut sum = 0;
        #[checkpoint]
        for i in 0..1000 {
            sum += i;
        }
        {
            defer! { log.add("cleanup"); }
            ready(()).await;
            log.add("body");
        }
        on_cancel! { log.add("never"); }
        taskscope::shield(ready(())).await;
        sum
    }

    both(|| async {
        let log = Log::new();
        assert_eq!(body(log.clone()).await, 499_500);
        log.is(&["body", "cleanup"]);
    });

    // And without any runtime.
    let log = Log::new();
    watched(|| assert_eq!(futures::executor::block_on(body(log.clone())), 499_500));
    log.is(&["body", "cleanup"]);
    assert!(!taskscope::is_cancelled());
}

#[test]
fn a15_one_cancel_stops_every_branch() {
    #[cancellable]
    async fn branch(log: Log, name: &'static str) {
        defer! { log.add(format!("left {name}")); }
        log.add(format!("entered {name}"));
        pending::<()>().await;
        log.add("never");
    }

    #[cancellable]
    async fn tokio_join(log: Log, here: oneshot::Sender<()>) {
        tokio::join!(branch(log.clone(), "a"), branch(log.clone(), "b"), async {
            here.send(()).unwrap();
        });
        log.add("never");
    }

    #[cancellable]
    async fn own_join(log: Log, here: oneshot::Sender<()>) {
        taskscope::join!(branch(log.clone(), "a"), branch(log.clone(), "b"), async {
            here.send(()).unwrap();
        });
        log.add("never");
    }

    #[cancellable]
    async fn futures_join(log: Log, here: oneshot::Sender<()>) {
        futures::join!(branch(log.clone(), "a"), branch(log.clone(), "b"), async {
            here.send(()).unwrap();
        });
        log.add("never");
    }

    #[cancellable(allow(hard_drop))]
    async fn select(log: Log, here: oneshot::Sender<()>) {
        let signal = async {
            here.send(()).unwrap();
            pending::<()>().await;
        };
        tokio::select! {
            _ = branch(log.clone(), "a") => log.add("never"),
            _ = branch(log.clone(), "b") => log.add("never"),
            _ = signal => log.add("never"),
        }
        log.add("never");
    }

    fn check(log: &Log) {
        let entries = log.entries();
        let (mut first, mut last) = (entries[..2].to_vec(), entries[2..].to_vec());
        first.sort();
        last.sort();
        assert_eq!(first, ["entered a", "entered b"]);
        assert_eq!(last, ["left a", "left b"]);
    }

    both(|| async {
        macro_rules! each {
            ($($body:ident)*) => { $(
                let log = Log::new();
                let left = cancel_at(Scope::new(), |here| $body(log.clone(), here)).await;
                assert!(left.is_err(), stringify!($body));
                check(&log);
            )* };
        }
        each!(tokio_join own_join futures_join select);
    });
}
