//! Conformance, M: races and stress.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use taskscope::{
    BoxError, CancelHandle, OnFailure, Reason, Scope, TaskError, TaskGroup, Value, cancellable,
    checkpoint, defer,
};
use taskscope_tests::{Driven, Log, both, paused, watched};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;

/// How many rounds a race gets.
const ROUNDS: usize = 10_000;

#[test]
fn m02_a_task_that_cancels_its_own_scope_stops_at_its_next_await() {
    #[cancellable]
    async fn body(handle: CancelHandle, log: Log) {
        handle.cancel();
        log.add("goes on to the next await");
        sleep(Duration::from_secs(100)).await;
        log.add("never");
    }

    paused(|| async {
        let since = tokio::time::Instant::now();
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(scope.run(body(handle, log.clone())).await.is_err());
        log.is(&["goes on to the next await"]);
        assert_eq!(since.elapsed(), Duration::ZERO);
    });
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            // Control: the sibling is not concerned.
            let sibling = g.spawn(async {
                yield_now().await;
                checkpoint().await;
                Value("sibling")
            });
            let (give, take) = oneshot::channel::<CancelHandle>();
            let inner = log.clone();
            let task = g.spawn(async move {
                let handle = take.await.unwrap();
                body(handle, inner).await;
            });
            give.send(task.handle()).unwrap();
            let ended = task.await;
            assert!(matches!(ended, Err(TaskError::Cancelled(_))), "{ended:?}");
            Ok(sibling.await?)
        });
        assert_eq!(group.await.unwrap(), "sibling");
        log.is(&["goes on to the next await"]);
    });
}

/// A number below `bound`, as random as these tests need it.
fn random(state: &mut u64, bound: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state % bound as u64) as usize
}

/// Scopes below scopes, each under a random one of those before it.
struct Forest {
    handles: Vec<CancelHandle>,
    gone: mpsc::UnboundedReceiver<usize>,
}

/// One task for each scope: it waits in a scope of its own, which the tasks below it
/// are put into.
async fn grow(count: usize, seed: &mut u64) -> Forest {
    let (tell, gone) = mpsc::unbounded_channel();
    let mut groups = Vec::new();
    let mut handles = Vec::new();
    for number in 0..count {
        let (open, opened) = oneshot::channel();
        let tell = tell.clone();
        let task = async move {
            let group = TaskGroup::<BoxError>::new().run(async move |g| {
                assert!(open.send(g.clone()).is_ok());
                pending::<()>().await;
                Ok(())
            });
            let _gone = Gone(number, tell);
            group.await.ok();
        };
        if number == 0 {
            tokio::spawn(task);
        } else {
            let parent: &taskscope::Group<'static, BoxError> = &groups[random(seed, number)];
            parent.spawn(task);
        }
        let group = opened.await.unwrap();
        handles.push(group.handle());
        groups.push(group);
    }
    Forest { handles, gone }
}

/// Tells that a task is gone, however it went.
struct Gone(usize, mpsc::UnboundedSender<usize>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.1.send(self.0).ok();
    }
}

#[test]
fn m03_a_hundred_scopes_cancelled_from_a_hundred_threads() {
    const SCOPES: usize = 100;
    both(|| async {
        let mut seed = 0x9e37_79b9_7f4a_7c15;
        for _ in 0..5 {
            let mut forest = grow(SCOPES, &mut seed).await;
            let mut order: Vec<usize> = (0..SCOPES).collect();
            for at in (1..SCOPES).rev() {
                order.swap(at, random(&mut seed, at + 1));
            }
            let at_once = Arc::new(Barrier::new(SCOPES));
            let threads: Vec<_> = order
                .into_iter()
                .map(|number| {
                    let (handle, at_once) = (forest.handles[number].clone(), at_once.clone());
                    std::thread::spawn(move || {
                        at_once.wait();
                        handle.cancel();
                    })
                })
                .collect();
            let mut left = BTreeSet::new();
            while left.len() < SCOPES {
                left.insert(forest.gone.recv().await.unwrap());
            }
            for thread in threads {
                thread.join().unwrap();
            }
            for handle in &forest.handles {
                assert!(handle.is_cancelled());
                assert!(matches!(handle.reason(), Some(Reason::Requested)));
            }
        }
    });
}

#[test]
fn m04_parent_and_child_cancelled_at_once() {
    let parent_reason = || Reason::other("by the parent");
    let child_reason = || Reason::other("by itself");
    watched(|| {
        for _ in 0..ROUNDS / 10 {
            let (outer, inner) = (Scope::new(), Scope::new());
            let (parent, child) = (outer.handle(), inner.handle());
            let mut run = Driven::new(outer.run(inner.run(pending::<()>())));
            run.pending();
            std::thread::scope(|threads| {
                threads.spawn(|| parent.cancel_with(parent_reason()));
                threads.spawn(|| child.cancel_with(child_reason()));
            });
            assert!(parent.is_cancelled() && child.is_cancelled());
            let text = child.reason().unwrap().to_string();
            assert!(["by the parent", "by itself"].contains(&&*text), "{text}");
            let cancelled = run.finish().unwrap_err();
            assert_eq!(cancelled.reason().to_string(), "by the parent");
        }
    });
}

/// The child is cancelled by a task that the parent's cancellation wakes.
#[test]
fn m04_child_cancelled_from_the_parents_notification() {
    both(|| async {
        for _ in 0..100 {
            let (outer, inner) = (Scope::new(), Scope::new());
            let (parent, child) = (outer.handle(), inner.handle());
            let watcher = tokio::spawn({
                let (parent, child) = (parent.clone(), child.clone());
                async move {
                    parent.cancelled().await;
                    child.cancel();
                }
            });
            let run = outer.run(inner.run(pending::<()>()));
            let thread = std::thread::spawn(move || parent.cancel_with(Reason::Shutdown));
            let cancelled = run.await.unwrap_err();
            assert!(matches!(cancelled.reason(), Reason::Shutdown));
            watcher.await.unwrap();
            assert!(thread.join().unwrap());
            assert!(child.is_cancelled());
        }
    });
}

/// Every interleaving of it is tried under loom.
#[test]
fn m05_a_child_made_while_the_parent_is_cancelled_is_cancelled_for_its_reason() {
    both(|| async {
        let canceller = Canceller::start();
        for round in 0..ROUNDS {
            let (outer, inner) = (Scope::new(), Scope::new());
            let (parent, child) = (outer.handle(), inner.handle());
            canceller.cancel(&parent);
            for _ in 0..round % 256 {
                std::hint::spin_loop();
            }
            let cancelled = outer.run(inner.run(pending::<()>())).await.unwrap_err();
            assert!(matches!(cancelled.reason(), Reason::Shutdown));
            assert!(child.is_cancelled());
            assert!(matches!(child.reason(), Some(Reason::Shutdown)));
        }
        canceller.end();
    });
}

/// A thread that cancels what it is given.
struct Canceller {
    handles: std::sync::mpsc::Sender<CancelHandle>,
    thread: std::thread::JoinHandle<()>,
}

impl Canceller {
    fn start() -> Canceller {
        let (handles, given) = std::sync::mpsc::channel::<CancelHandle>();
        let thread = std::thread::spawn(move || {
            for handle in given {
                handle.cancel_with(Reason::Shutdown);
            }
        });
        Canceller { handles, thread }
    }

    fn cancel(&self, handle: &CancelHandle) {
        self.handles.send(handle.clone()).unwrap();
    }

    fn end(self) {
        drop(self.handles);
        self.thread.join().unwrap();
    }
}

#[test]
fn m06_completion_racing_with_cancel_has_one_outcome() {
    both(|| async {
        let canceller = Canceller::start();
        let (values_to_send, sends) = std::sync::mpsc::channel::<(oneshot::Sender<u32>, usize)>();
        let sender = std::thread::spawn(move || {
            for (send, delay) in sends {
                for _ in 0..delay {
                    std::hint::spin_loop();
                }
                // Refused where the task is gone already.
                send.send(7).ok();
            }
        });
        let mut seed = 7919;
        let (mut values, mut cancelled) = (0, 0);
        let mut round = 0;
        while values == 0 || cancelled == 0 || round < 1000 {
            round += 1;
            let (send, receive) = oneshot::channel();
            let done = Arc::new(AtomicUsize::new(0));
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let task = g.spawn(async { Value(receive.await.unwrap()) });
                let count = done.clone();
                task.on_done(move |_| {
                    count.fetch_add(1, Ordering::SeqCst);
                });
                yield_now().await;
                values_to_send.send((send, random(&mut seed, 2000)))?;
                for _ in 0..random(&mut seed, 2000) {
                    std::hint::spin_loop();
                }
                canceller.cancel(&task.handle());
                Ok(task.await)
            });
            match group.await.unwrap() {
                Ok(value) => {
                    assert_eq!(value, 7);
                    values += 1;
                }
                Err(TaskError::Cancelled(_)) => cancelled += 1,
                Err(other) => panic!("{other:?}"),
            }
            assert_eq!(done.load(Ordering::SeqCst), 1);
        }
        canceller.end();
        drop(values_to_send);
        sender.join().unwrap();
    });
}

#[test]
fn m07_a_cancel_from_another_thread_wakes_a_parked_task() {
    both(|| async {
        let canceller = Canceller::start();
        for round in 0..ROUNDS {
            let scope = Scope::new();
            let handle = scope.handle();
            let cancelled = scope.run(async {
                canceller.cancel(&handle);
                for _ in 0..round % 256 {
                    std::hint::spin_loop();
                }
                pending::<()>().await;
            });
            assert!(cancelled.await.is_err());
        }
        canceller.end();
    });
}

/// A group of tasks that stay, each with a cleanup.
async fn stays(log: Log, here: oneshot::Sender<()>) -> Result<(), BoxError> {
    #[cancellable]
    async fn task(log: Log) {
        let _mark = log.mark("task");
        defer! {
            yield_now().await;
            log.add("clean");
        }
        log.add("here");
        pending::<()>().await;
    }

    TaskGroup::<BoxError>::new()
        .run(async |g| {
            for _ in 0..10 {
                g.spawn(task(log.clone()));
            }
            while log.count("here") < 10 {
                yield_now().await;
            }
            here.send(()).unwrap();
            Ok(())
        })
        .await?;
    Ok(())
}

#[test]
fn m08_a_group_dropped_by_select_leaves_nothing_behind() {
    both(|| async {
        let log = Log::new();
        let (here, reached) = oneshot::channel();
        let scope = Scope::new().grace(Duration::from_secs(10));
        let outcome = scope.run(async {
            tokio::select! {
                biased;
                _ = stays(log.clone(), here) => unreachable!(),
                reached = reached => reached.unwrap(),
            }
            log.add("dropped");
        });
        outcome.await.unwrap();
        // The scope has waited for the tasks, and they have cleaned up.
        assert!(log.has("dropped"));
        assert_eq!(log.count("clean"), 10);
        assert_eq!(log.count("drop task"), 10);
    });
}

#[test]
fn m08_a_group_in_an_aborted_task_leaves_nothing_behind() {
    both(|| async {
        let log = Log::new();
        let (here, reached) = oneshot::channel();
        let task = tokio::spawn(stays(log.clone(), here));
        reached.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        // There is no scope that could wait for them.
        while log.count("drop task") < 10 {
            yield_now().await;
        }
        assert_eq!(log.count("clean"), 10);
    });
}

#[test]
fn m10_a_hundred_thousand_parked_children_are_cancelled_and_drained() {
    const CHILDREN: usize = 100_000;
    let bound = match cfg!(debug_assertions) {
        true => Duration::from_secs(30),
        false => Duration::from_secs(2),
    };
    both(move || async move {
        let alive = Arc::new(AtomicUsize::new(0));
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            for _ in 0..CHILDREN {
                let alive = Alive::new(&alive);
                g.spawn(async move {
                    let _alive = alive;
                    pending::<()>().await;
                });
            }
            assert_eq!(g.len(), CHILDREN);
            let since = Instant::now();
            g.cancel();
            Ok(since)
        });
        let since = group.await.unwrap();
        assert!(since.elapsed() < bound, "{:?}", since.elapsed());
        assert_eq!(alive.load(Ordering::SeqCst), 0);
    });
}

/// Counts those that are there.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Alive {
        count.fetch_add(1, Ordering::SeqCst);
        Alive(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn m12_children_that_fail_at_the_same_instant_are_each_listed_once() {
    const CHILDREN: usize = 8;

    async fn round(on_failure: OnFailure) {
        let at_once = Arc::new(Barrier::new(CHILDREN));
        let group = TaskGroup::<BoxError>::new()
            .on_failure(on_failure)
            .run(async |g| {
                for number in 0..CHILDREN {
                    let at_once = at_once.clone();
                    g.spawn_blocking(move || {
                        at_once.wait();
                        Err::<(), _>(number.to_string())
                    });
                }
                Ok(())
            });
        let error = group.await.unwrap_err();
        let listed: Vec<String> = error.errors().map(ToString::to_string).collect();
        let all: BTreeSet<String> = (0..CHILDREN).map(|number| number.to_string()).collect();
        assert_eq!(listed.len(), CHILDREN, "{listed:?}");
        assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), all);
    }

    both(|| async {
        for _ in 0..100 {
            round(OnFailure::Continue).await;
            // The first failure comes when all have begun, none of which looks whether
            // it is cancelled.
            round(OnFailure::Cancel).await;
        }
    });
}
