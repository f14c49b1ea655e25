//! Arrangements in which a cancellation could get stuck, be lost, or reach the
//! wrong code.

use std::future::pending;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, FuturesUnordered};
use taskscope::{
    BoxError, CancelHandle, Reason, ReportKind, Scope, TaskGroup, cancellable, defer, on_cancel,
    shield,
};
use taskscope_tests::{
    Driven, Log, both, cancel_at, caught, lost_cleanups, paused, paused_once, reports_of, text_of,
    watch_reports, watched,
};
use tokio::sync::{Mutex, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// Holds a cleanup until it is left.
#[cancellable]
async fn armed(log: Log, name: String) {
    let _mark = log.mark(&name);
    defer! {
        yield_now().await;
        log.add(format!("clean {name}"));
    }
    pending::<()>().await;
}

/// The stream's futures are armed, and nobody polls them while the consumer is
/// busy with what it got.
#[test]
fn dormant_in_a_stream_whose_consumer_is_busy() {
    #[cancellable]
    async fn consumer(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("consumer"); }
        let boxed: [Pin<Box<dyn Future<Output = ()> + Send>>; 3] = [
            Box::pin(yield_now()),
            Box::pin(armed(log.clone(), "a".to_owned())),
            Box::pin(armed(log.clone(), "b".to_owned())),
        ];
        let mut results = stream::iter(boxed).buffer_unordered(3);
        results.next().await.unwrap();
        busy(&log, here).await;
        results.next().await;
        log.add("never");
    }

    #[cancellable]
    async fn busy(log: &Log, here: oneshot::Sender<()>) {
        defer! { log.add("busy"); }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        watch_reports();
        let before = lost_cleanups("in `dormant stream`").len();
        let log = Log::new();
        let scope = Scope::new().name("dormant stream");
        let left = cancel_at(scope, |here| consumer(log.clone(), here)).await;
        assert!(left.is_err());
        // Dropped where they are, and reported, each once.
        assert_eq!((log.count("drop a"), log.count("drop b")), (1, 1));
        assert!(
            !log.has("clean a") && !log.has("clean b"),
            "nobody can poll them"
        );
        assert_eq!(lost_cleanups("in `dormant stream`").len() - before, 2);
        // Everybody else left in order.
        assert!(log.at("busy") < log.at("consumer"));
        assert_eq!(log.entries().last().unwrap(), "consumer");
    });
}

/// The same future left alone in a local, after a `select!` on `&mut`.
#[test]
fn dormant_behind_a_mut_that_nobody_polls() {
    #[cancellable(allow(hard_drop))]
    async fn owner(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("owner"); }
        let mut forgotten = Box::pin(armed(log.clone(), "forgotten".to_owned()));
        tokio::select! {
            biased;
            () = &mut forgotten => log.add("never"),
            () = yield_now() => {}
        }
        on_cancel! { log.add("inside"); }
        here.send(()).unwrap();
        pending::<()>().await;
        (&mut forgotten).await;
    }

    both(|| async {
        watch_reports();
        let before = lost_cleanups("in `dormant local`").len();
        let log = Log::new();
        let scope = Scope::new().name("dormant local");
        let left = cancel_at(scope, |here| owner(log.clone(), here)).await;
        assert!(left.is_err());
        assert_eq!(lost_cleanups("in `dormant local`").len() - before, 1);
        log.is(&["inside", "drop forgotten", "owner"]);
    });
}

/// The same without a scope around: nothing is cancelled, nothing is dormant.
#[test]
fn not_dormant_while_nothing_is_cancelled() {
    #[cancellable]
    async fn slow(log: Log, name: String) -> String {
        defer! { log.add(format!("clean {name}")); }
        for _ in 0..3 {
            yield_now().await;
        }
        name.clone()
    }

    #[cancellable(allow(hard_drop))]
    async fn consumer(log: Log) {
        let names = ["a", "b", "c", "d"].map(str::to_owned);
        let slow = names.map(|name| slow(log.clone(), name));
        let mut results = stream::iter(slow).buffer_unordered(2);
        while let Some(name) = results.next().await {
            for _ in 0..10 {
                yield_now().await;
            }
            log.add(format!("consumed {name}"));
        }
    }

    both(|| async {
        watch_reports();
        let log = Log::new();
        Scope::new()
            .name("awake stream")
            .run(consumer(log.clone()))
            .await
            .unwrap();
        for name in ["a", "b", "c", "d"] {
            assert!(log.at(&format!("clean {name}")) < log.at(&format!("consumed {name}")));
        }
        assert!(reports_of("in `awake stream`").is_empty());
    });
}

/// One that is merely slow to leave, because its cleanup waits long, is not
/// taken for dormant: not beside others that make progress, nor by wakes from
/// outside.
#[test]
fn slow_cleanup_is_not_dormant() {
    #[cancellable]
    async fn slow(log: Log, here: oneshot::Sender<()>) {
        defer! {
            sleep(Duration::from_secs(10)).await;
            log.add("slow is clean");
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    #[cancellable]
    async fn fidgety(log: Log) {
        defer! {
            for _ in 0..200 {
                yield_now().await;
            }
            for _ in 0..50 {
                sleep(Duration::from_millis(10)).await;
            }
            log.add("fidgety is clean");
        }
        pending::<()>().await;
    }

    #[cancellable(allow(hard_drop))]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        let mut here = Some(here);
        // Polled one by one, by their own wakers.
        let mut all: FuturesUnordered<Pin<Box<dyn Future<Output = ()> + Send>>> =
            FuturesUnordered::new();
        all.push(Box::pin(slow(log.clone(), here.take().unwrap())));
        all.push(Box::pin(fidgety(log.clone())));
        while let Some(()) = all.next().await {}
    }

    paused(|| async {
        watch_reports();
        let log = Log::new();
        let start = Instant::now();
        let scope = Scope::new().name("slow, not dormant");
        let left = cancel_at(scope, |here| body(log.clone(), here)).await;
        assert!(left.is_err());
        log.is(&["fidgety is clean", "slow is clean"]);
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        assert!(reports_of("in `slow, not dormant`").is_empty());
    });
}

/// A combinator with a waker of its own, as `FuturesUnordered` has: between the
/// mark that its future is woken and the moment when that takes effect, the
/// thread that wakes can be taken off the processor. Here it always is.
struct SlowToWake {
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
    wake: Arc<SlowWake>,
}

struct SlowWake {
    marked: AtomicBool,
    effective: AtomicBool,
    parent: futures::task::AtomicWaker,
    home: std::thread::ThreadId,
}

impl Wake for SlowWake {
    fn wake(self: Arc<Self>) {
        if self.marked.swap(true, Ordering::SeqCst) {
            return;
        }
        if std::thread::current().id() != self.home {
            std::thread::sleep(Duration::from_millis(2));
        }
        self.effective.store(true, Ordering::SeqCst);
        self.parent.wake();
    }
}

impl Future for SlowToWake {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.wake.parent.register(cx.waker());
        if !self.wake.effective.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        self.wake.marked.store(false, Ordering::SeqCst);
        let waker = Waker::from(self.wake.clone());
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }
}

/// A region is not dormant while the one who wakes it is still at it.
#[test]
fn region_whose_wake_is_under_way_is_not_dormant() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("outer"); }
        let inner = log.clone();
        let slow = SlowToWake {
            future: Box::pin(armed(inner, "inner".to_owned())),
            wake: Arc::new(SlowWake {
                marked: AtomicBool::new(true),
                effective: AtomicBool::new(true),
                parent: futures::task::AtomicWaker::new(),
                home: std::thread::current().id(),
            }),
        };
        let telling = async {
            yield_now().await;
            here.send(()).unwrap();
        };
        futures::join!(slow, telling);
    }

    // On one thread, so that every wake from elsewhere is the slow one.
    watched(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            watch_reports();
            let log = Log::new();
            let scope = Scope::new().name("slow wake");
            let handle = scope.handle();
            let (here, reached) = oneshot::channel();
            let thread = std::thread::spawn(move || {
                reached.blocking_recv().unwrap();
                handle.cancel();
            });
            let left = scope.run(body(log.clone(), here)).await;
            assert!(left.is_err());
            thread.join().unwrap();
            log.is(&["clean inner", "drop inner", "outer"]);
            assert!(reports_of("in `slow wake`").is_empty());
        });
    });
}

#[cancellable]
async fn holds(lock: Arc<Mutex<Log>>, log: Log) {
    let guard = lock.lock().await;
    guard.add("holds the lock");
    log.add("waits");
    pending::<()>().await;
    drop(guard);
}

#[cancellable]
async fn needs(lock: Arc<Mutex<Log>>, here: oneshot::Sender<()>) {
    defer! { lock.lock().await.add("the cleanup has the lock"); }
    here.send(()).unwrap();
    pending::<()>().await;
}

/// The branch that holds the lock has nothing to leave in order: it is dropped
/// at once, not together with the branch whose cleanup waits for that lock.
#[test]
fn sibling_branch_holds_the_lock_that_a_cleanup_needs() {
    #[cancellable]
    async fn first(lock: Arc<Mutex<Log>>, log: Log, here: oneshot::Sender<()>) {
        taskscope::join!(holds(lock.clone(), log), needs(lock.clone(), here));
    }

    #[cancellable]
    async fn last(lock: Arc<Mutex<Log>>, log: Log, here: oneshot::Sender<()>) {
        taskscope::join!(
            async {},
            async {
                // Begins after the other, which is polled first.
                taskscope::join!(holds(lock.clone(), log), async { yield_now().await });
            },
            async {
                yield_now().await;
                needs(lock.clone(), here).await;
            }
        );
    }

    #[cancellable]
    async fn in_try_join(lock: Arc<Mutex<Log>>, log: Log, here: oneshot::Sender<()>) {
        let holder = async {
            holds(lock.clone(), log).await;
            Ok::<(), BoxError>(())
        };
        let needy = async {
            needs(lock.clone(), here).await;
            Ok(())
        };
        taskscope::try_join!(holder, needy).unwrap();
    }

    #[cancellable]
    async fn in_group(lock: Arc<Mutex<Log>>, log: Log, here: oneshot::Sender<()>) {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let both = (lock.clone(), lock.clone());
            g.spawn_scoped(async { holds(both.0, log).await });
            g.spawn_scoped(async { needs(both.1, here).await });
            Ok(())
        });
        group.await.unwrap();
    }

    /// The group's body holds it, a scoped child needs it.
    #[cancellable]
    async fn body_of_a_group(lock: Arc<Mutex<Log>>, log: Log, here: oneshot::Sender<()>) {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let needy = needs(lock.clone(), here);
            g.spawn_scoped(async move {
                yield_now().await;
                needy.await;
            });
            holds(lock.clone(), log).await;
            Ok(())
        });
        group.await.unwrap();
    }

    both(|| async {
        macro_rules! each {
            ($($body:ident)*) => { $(
                let (log, locked) = (Log::new(), Log::new());
                let lock = Arc::new(Mutex::new(locked.clone()));
                let left = cancel_at(Scope::new(), |here| $body(lock, log.clone(), here)).await;
                assert!(left.is_err(), stringify!($body));
                locked.is(&["holds the lock", "the cleanup has the lock"]);
            )* };
        }
        each!(first last in_try_join in_group body_of_a_group);
    });
}

#[test]
fn sibling_branch_of_tokio_join_holds_the_lock() {
    #[cancellable]
    async fn body(lock: Arc<Mutex<Log>>, log: Log, here: oneshot::Sender<()>) {
        tokio::join!(holds(lock.clone(), log), needs(lock.clone(), here));
    }

    #[cancellable(allow(hard_drop))]
    async fn in_try_join(lock: Arc<Mutex<Log>>, log: Log, here: oneshot::Sender<()>) {
        let holder = async {
            holds(lock.clone(), log).await;
            Ok::<(), BoxError>(())
        };
        let needy = async {
            needs(lock.clone(), here).await;
            Ok(())
        };
        tokio::try_join!(holder, needy).unwrap();
    }

    both(|| async {
        macro_rules! each {
            ($($body:ident)*) => { $(
                let (log, locked) = (Log::new(), Log::new());
                let lock = Arc::new(Mutex::new(locked.clone()));
                let left = cancel_at(Scope::new(), |here| $body(lock, log.clone(), here)).await;
                assert!(left.is_err(), stringify!($body));
                locked.is(&["holds the lock", "the cleanup has the lock"]);
            )* };
        }
        each!(body in_try_join);
    });
}

#[test]
fn timeout_inside_a_cleanup() {
    #[cancellable]
    async fn body(log: Log) {
        defer! {
            let late = taskscope::timeout(Duration::from_secs(2), close(&log)).await;
            log.add(format!("late: {}", late.is_err()));
            assert_eq!(taskscope::deadline(), None);
        }
        pending::<()>().await;
    }

    #[cancellable]
    async fn close(log: &Log) {
        assert!(taskscope::deadline().is_some());
        defer! { log.add("close is left in order"); }
        pending::<()>().await;
    }

    paused(|| async {
        let log = Log::new();
        let start = Instant::now();
        let left = taskscope::timeout(Duration::from_secs(1), body(log.clone())).await;
        let left = left.unwrap_err();
        assert!(matches!(left.reason(), Reason::Deadline));
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        log.is(&["close is left in order", "late: true"]);
    });
}

#[cancellable]
async fn two_steps(log: Log, first: oneshot::Receiver<u32>, second: oneshot::Receiver<u32>) -> u32 {
    let first = first.await.unwrap();
    log.add(format!("first {first}"));
    let second = second.await.unwrap();
    log.add(format!("second {second}"));
    first + second
}

/// Cut by a timeout, through `&mut`, it stays where it was and goes on outside.
#[test]
fn future_polled_on_outside_its_boundary_goes_on() {
    // Suspended in an operation.
    paused(|| async {
        let log = Log::new();
        let (send_first, first) = oneshot::channel();
        let (send_second, second) = oneshot::channel();
        let mut steps = Box::pin(two_steps(log.clone(), first, second));
        let late = taskscope::timeout(Duration::from_secs(1), &mut steps).await;
        assert!(late.is_err());
        send_first.send(1).unwrap();
        let late = taskscope::timeout(Duration::from_secs(1), &mut steps).await;
        assert!(late.is_err());
        log.is(&["first 1"]);
        send_second.send(2).unwrap();
        assert_eq!(steps.await, 3);
        log.is(&["first 1", "second 2"]);
    });

    // Parked at a checkpoint.
    both(|| async {
        let log = Log::new();
        let (send_first, first) = oneshot::channel();
        let (send_second, second) = oneshot::channel();
        let mut steps = Box::pin(two_steps(log.clone(), first, second));
        let scope = Scope::new();
        let handle = scope.handle();
        let mut run = Driven::new(scope.run(&mut steps));
        run.pending();
        send_second.send(2).unwrap();
        send_first.send(1).unwrap();
        handle.cancel();
        assert!(run.finish().is_err());
        drop(run);
        log.is(&["first 1"]);
        assert_eq!(steps.await, 3);
        log.is(&["first 1", "second 2"]);
    });
}

/// Inside a combinator that polls only what was woken: the parked checkpoint
/// is woken when the boundary returns.
#[test]
fn future_polled_on_inside_futures_unordered_goes_on() {
    both(|| async {
        let log = Log::new();
        let mut senders = Vec::new();
        let mut all = FuturesUnordered::new();
        for _ in 0..3 {
            let (send_first, first) = oneshot::channel();
            let (send_second, second) = oneshot::channel();
            senders.push((send_first, send_second));
            all.push(two_steps(log.clone(), first, second));
        }
        let scope = Scope::new();
        let handle = scope.handle();
        let mut run = Driven::new(scope.run(all.next()));
        run.pending();
        for (first, second) in senders {
            first.send(1).unwrap();
            second.send(2).unwrap();
        }
        handle.cancel();
        let outcome = run.finish();
        drop(run);
        assert!(outcome.is_err());
        assert_eq!(log.count("first 1"), 3, "control: all are parked now");
        assert_eq!(log.count("second 2"), 0);
        let mut sum = 0;
        while let Some(one) = all.next().await {
            sum += one;
        }
        assert_eq!(sum, 9);
    });

    // In time, with a timeout over and over.
    paused_once(|| async {
        let log = Log::new();
        let mut all: FuturesUnordered<_> = (1..=3).map(|i| steps(log.clone(), i)).collect();
        let mut late = 0;
        loop {
            match taskscope::timeout(Duration::from_millis(700), all.next()).await {
                Ok(Some(i)) => log.add(format!("got {i}")),
                Ok(None) => break,
                Err(_) => late += 1,
            }
        }
        log.is(&["got 1", "got 2", "got 3"]);
        assert!(late >= 3, "control: {late}");
    });

    #[cancellable]
    async fn steps(log: Log, i: u64) -> u64 {
        for _ in 0..i {
            sleep(Duration::from_secs(1)).await;
        }
        drop(log);
        i
    }
}

/// Its frames were left: there is nothing to go on with, and it says so.
#[test]
fn frame_that_was_left_panics_when_polled_again() {
    #[cancellable]
    async fn guarded(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("clean"); }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        let log = Log::new();
        let (here, reached) = oneshot::channel();
        let mut guarded = Box::pin(guarded(log.clone(), here));
        let scope = Scope::new();
        let handle = scope.handle();
        let (left, ()) = futures::join!(scope.run(&mut guarded), async {
            reached.await.unwrap();
            handle.cancel();
        });
        assert!(left.is_err());
        log.is(&["clean"]);
        let panic = caught(guarded).await.unwrap_err();
        let text = text_of(&*panic);
        assert!(text.contains("traps.rs"), "names the place: {text}");
        log.is(&["clean"]);
    });
}

/// Tasks of a `LocalSet` polled inside a cancelled task are not part of it.
#[test]
fn local_set_inside_a_cancelled_task() {
    #[cancellable]
    async fn local_work(log: Log, go: oneshot::Receiver<()>) -> u32 {
        defer! { log.add("local cleanup"); }
        assert_eq!(taskscope::deadline(), None);
        go.await.unwrap();
        for _ in 0..20 {
            yield_now().await;
            assert!(!taskscope::is_cancelled());
        }
        log.add("local work ends");
        7
    }

    #[cancellable]
    async fn inside(
        log: Log,
        local: &tokio::task::LocalSet,
        here: oneshot::Sender<()>,
        go: oneshot::Sender<()>,
    ) {
        assert!(
            taskscope::deadline().is_some(),
            "control: the outer task has one"
        );
        let turning = local.run_until(async {
            defer! {
                // Local tasks are polled on meanwhile.
                go.send(()).unwrap();
                for _ in 0..10 {
                    yield_now().await;
                }
                log.add("cleanup");
            }
            yield_now().await;
            here.send(()).unwrap();
            pending::<()>().await;
        });
        turning.await;
    }

    let body = || async {
        let log = Log::new();
        let local = tokio::task::LocalSet::new();
        let (go, goes) = oneshot::channel();
        let work = local.spawn_local(local_work(log.clone(), goes));
        let scope = Scope::new().timeout(Duration::from_secs(3600));
        let left = cancel_at(scope, |here| inside(log.clone(), &local, here, go)).await;
        assert!(left.is_err());
        let value = local.run_until(work).await;
        assert_eq!(value.unwrap(), 7);
        assert_eq!(log.count("cleanup"), 1);
        assert!(log.at("local work ends") < log.at("local cleanup"));
    };
    // Once as the main future, once inside a (local) task of its own.
    paused_once(body);
    paused_once(move || async move {
        let outer = tokio::task::LocalSet::new();
        outer
            .run_until(async { tokio::task::spawn_local(body()).await.unwrap() })
            .await;
    });
}

/// A nested `block_on` on the same thread is another world as well.
#[test]
fn nested_executor_inside_a_cancelled_scope() {
    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let inner = log.clone();
        let left = scope.run(async move {
            handle.cancel();
            let thread = std::thread::spawn(move || {
                futures::executor::block_on(async {
                    assert!(!taskscope::is_cancelled());
                    taskscope::checkpoint().await;
                    inner.add("elsewhere");
                });
            });
            thread.join().unwrap();
            taskscope::checkpoint().await;
        });
        assert!(left.await.is_err());
        log.is(&["elsewhere"]);
    });
}

#[cancellable]
async fn travels(log: Log, go: oneshot::Receiver<()>, arrived: oneshot::Sender<()>) -> u32 {
    defer! {
        yield_now().await;
        log.add("clean");
    }
    let deeper = async {
        defer! { log.add("deeper clean"); }
        go.await.unwrap();
        log.add("goes on");
        arrived.send(()).ok();
        yield_now().await;
        pending::<()>().await;
    };
    deeper.await;
    0
}

/// Armed in one scope, then moved elsewhere: the first scope does not wait for
/// it, the second leaves it in order.
#[test]
fn region_moved_to_another_scope_while_armed() {
    both(|| async {
        let log = Log::new();
        let (let_go, go) = oneshot::channel();
        let (arrived, arrives) = oneshot::channel();
        let mut travels = Box::pin(travels(log.clone(), go, arrived));

        let first = Scope::new().name("first");
        let first_handle = first.handle();
        let armed = first.run(async {
            assert!(futures::poll!(&mut travels).is_pending());
            let mut moved = Scope::new();
            moved = moved.name("second");
            let handle = moved.handle();
            (moved, handle)
        });
        let (second, second_handle) = armed.await.unwrap();
        first_handle.cancel();
        log.is(&[]);

        let (left, ()) = futures::join!(second.run(travels), async {
            let_go.send(()).unwrap();
            arrives.await.unwrap();
            log.add("cancel");
            second_handle.cancel();
        });
        assert_eq!(left.unwrap_err().scope(), "second");
        log.is(&["goes on", "cancel", "deeper clean", "clean"]);
    });
}

#[test]
fn region_moved_to_another_task_while_armed() {
    both(|| async {
        watch_reports();
        let log = Log::new();
        let (let_go, go) = oneshot::channel();
        let (arrived, arrives) = oneshot::channel();
        let mut travels = Box::pin(travels(log.clone(), go, arrived));

        let first = Scope::new().name("moved away");
        let first_handle = first.handle();
        let (give, given) = oneshot::channel();
        let (here, reached) = oneshot::channel();
        let from = async {
            assert!(futures::poll!(&mut travels).is_pending());
            give.send(travels).ok().unwrap();
            here.send(()).unwrap();
            pending::<()>().await;
        };
        let to = TaskGroup::<BoxError>::new().run(async |g| {
            let travels = given.await?;
            let task = g.spawn(async move {
                travels.await;
            });
            // The first scope is cancelled and returns, the traveller is not
            // its concern any more, wherever it is at this moment.
            reached.await?;
            let_go.send(()).unwrap();
            arrives.await?;
            first_handle.cancel();
            yield_now().await;
            log.add("cancel");
            assert!(task.cancel());
            assert!(task.await.is_err());
            Ok(())
        });
        let (left, done) = futures::join!(first.run(from), to);
        assert!(left.is_err());
        done.unwrap();
        log.is(&["goes on", "cancel", "deeper clean", "clean"]);
        assert!(reports_of("in `moved away`").is_empty());
    });
}

/// Moved out of a scope and never polled again before that scope is cancelled:
/// the scope does not wait for it.
#[test]
fn region_moved_away_and_kept_does_not_hold_up_its_scope() {
    both(|| async {
        let log = Log::new();
        let (_let_go, go) = oneshot::channel();
        let (arrived, _arrives) = oneshot::channel();
        let mut travels = Box::pin(travels(log.clone(), go, arrived));
        let left = cancel_at(Scope::new(), |here| {
            let travels = &mut travels;
            async move {
                assert!(futures::poll!(travels).is_pending());
                here.send(()).unwrap();
                pending::<()>().await;
            }
        });
        assert!(left.await.is_err());
        log.is(&[]);
        // Polled outside any scope it is what it was.
        assert!(futures::poll!(&mut travels).is_pending());
        log.is(&[]);
    });
}

#[test]
fn panic_in_a_body_with_two_defers() {
    #[cancellable]
    async fn body(log: Log) {
        defer! {
            yield_now().await;
            log.add("first declared");
        }
        let _local = log.mark("local");
        defer! {
            yield_now().await;
            log.add("second declared");
        }
        yield_now().await;
        panics(&log).await;
    }

    #[cancellable]
    async fn panics(log: &Log) {
        let _local = log.mark("where it panics");
        yield_now().await;
        panic!("on purpose");
    }

    let expected = [
        "drop where it panics",
        "second declared",
        "drop local",
        "first declared",
    ];
    both(move || async move {
        // Outside any scope.
        let log = Log::new();
        let panic = caught(body(log.clone())).await.unwrap_err();
        assert_eq!(text_of(&*panic), "on purpose");
        log.is(&expected);

        // In a scope.
        let log = Log::new();
        let panic = caught(Scope::new().run(body(log.clone())))
            .await
            .unwrap_err();
        assert_eq!(text_of(&*panic), "on purpose");
        log.is(&expected);

        // In a branch: the sibling leaves in order before it is resumed.
        let log = Log::new();
        let sibling = Log::new();
        let joined = async {
            taskscope::join!(
                body(log.clone()),
                armed(sibling.clone(), "sibling".to_owned())
            );
        };
        let panic = caught(joined).await.unwrap_err();
        assert_eq!(text_of(&*panic), "on purpose");
        log.is(&expected);
        sibling.is(&["clean sibling", "drop sibling"]);
    });
}

/// The first panic is the one resumed.
#[test]
fn panic_in_a_body_and_in_a_cleanup() {
    #[cancellable]
    async fn body(log: Log) {
        defer! { log.add("last"); }
        defer! {
            log.add("cleanup");
            panic!("second");
        }
        yield_now().await;
        panic!("first");
    }

    both(|| async {
        let log = Log::new();
        let panic = caught(Scope::new().run(body(log.clone())))
            .await
            .unwrap_err();
        assert_eq!(text_of(&*panic), "first");
        log.is(&["cleanup", "last"]);
    });
}

/// The inner cleanup is cut; the outer one still gets its turn, and has what
/// it can do without waiting.
#[test]
fn cleanup_that_overruns_inside_one_that_does_not() {
    #[cancellable]
    async fn outer(log: Log) {
        defer! { log.add("outermost"); }
        defer! {
            log.add("outer begins");
            yield_now().await;
            log.add("one poll each, when the budget is spent");
        }
        inner(&log).await;
    }

    #[cancellable]
    async fn inner(log: &Log) {
        defer! {
            let _mark = log.mark("inner's own");
            log.add("inner begins");
            pending::<()>().await;
            log.add("never");
        }
        pending::<()>().await;
    }

    paused(|| async {
        watch_reports();
        let before = reports_of("in `overrun inside`").len();
        let log = Log::new();
        let start = Instant::now();
        let scope = Scope::new()
            .name("overrun inside")
            .timeout(Duration::from_secs(1))
            .grace(Duration::from_secs(5));
        let left = scope.run(outer(log.clone())).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::from_secs(6));
        log.is(&[
            "inner begins",
            "drop inner's own",
            "outer begins",
            "outermost",
        ]);
        let reports = reports_of("in `overrun inside`").split_off(before);
        assert_eq!(reports.len(), 2, "{reports:?}");
        assert!(reports.iter().all(|r| r.kind == ReportKind::Overrun));
        assert_eq!(left.attached().len(), 2, "{left}");
    });
}

/// A scope with a shorter grace period of its own, inside one with time left:
/// what is cut is cut alone.
#[test]
fn scope_with_a_shorter_grace_period_inside() {
    #[cancellable]
    async fn body(log: Log) {
        defer! {
            sleep(Duration::from_secs(3)).await;
            log.add("outer cleanup");
        }
        let inner = Scope::new().name("short").grace(Duration::from_secs(1));
        inner.run(stuck(log.clone())).await.ok();
        log.add("never");
    }

    #[cancellable]
    async fn stuck(log: Log) {
        defer! {
            let _mark = log.mark("stuck cleanup");
            pending::<()>().await;
        }
        pending::<()>().await;
    }

    paused(|| async {
        let log = Log::new();
        let start = Instant::now();
        let scope = Scope::new()
            .timeout(Duration::from_secs(1))
            .grace(Duration::from_secs(60));
        let left = scope.run(body(log.clone())).await.unwrap_err();
        log.is(&["drop stuck cleanup", "outer cleanup"]);
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        assert_eq!(left.attached().len(), 1, "{left}");
    });
}

/// A shield that overruns is cut too.
#[test]
fn shield_that_overruns_is_cut() {
    #[cancellable]
    async fn body(log: Log) {
        defer! { log.add("cleanup"); }
        shield(async {
            let _mark = log.mark("shielded");
            sleep(Duration::from_secs(3600)).await;
            log.add("never");
        })
        .await;
        log.add("never");
    }

    paused(|| async {
        let log = Log::new();
        let start = Instant::now();
        let scope = Scope::new()
            .name("cut shield")
            .timeout(Duration::from_secs(1))
            .grace(Duration::from_secs(2));
        let left = scope.run(body(log.clone())).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::from_secs(3));
        log.is(&["drop shielded", "cleanup"]);
        assert_eq!(left.attached().len(), 1, "{left}");
    });
}

/// A boundary under a cancelled outer scope does not return: neither when it is
/// cancelled with it, nor when its own limit comes up during the cleanup.
#[test]
fn inner_timeout_under_a_cancelled_outer_scope() {
    #[cancellable]
    async fn body(log: Log) {
        defer! { log.add("body"); }
        let inner = taskscope::timeout(Duration::from_secs(3), slow_to_leave(log.clone())).await;
        log.add(format!("never: {inner:?}"));
    }

    #[cancellable]
    async fn slow_to_leave(log: Log) {
        defer! {
            sleep(Duration::from_secs(10)).await;
            log.add("slow cleanup");
        }
        pending::<()>().await;
    }

    paused(|| async {
        // The outer first; the inner limit passes while the cleanup runs.
        let log = Log::new();
        let start = Instant::now();
        let outer = Scope::new().name("outer").timeout(Duration::from_secs(1));
        let left = outer.run(body(log.clone())).await.unwrap_err();
        assert_eq!(left.scope(), "outer");
        assert_eq!(start.elapsed(), Duration::from_secs(11));
        log.is(&["slow cleanup", "body"]);

        // The inner first; the outer is cancelled while the cleanup runs.
        let log = Log::new();
        let start = Instant::now();
        let outer = Scope::new().name("outer");
        let handle = outer.handle();
        let (left, ()) = futures::join!(outer.run(body(log.clone())), async {
            sleep(Duration::from_secs(5)).await;
            handle.cancel();
        });
        let left = left.unwrap_err();
        assert_eq!(left.scope(), "outer");
        assert!(matches!(left.reason(), Reason::Requested));
        assert_eq!(start.elapsed(), Duration::from_secs(13));
        log.is(&["slow cleanup", "body"]);

        // Control: the inner alone returns.
        let log = Log::new();
        let outer = Scope::new().timeout(Duration::from_secs(3600));
        outer.run(body(log.clone())).await.unwrap();
        assert!(log.entries()[1].starts_with("never: Err"));
    });
}

/// Each level is a task with a group whose only task is the next level.
#[test]
fn deeply_nested_scopes_overflow_no_stack() {
    // A recursion would need far more than the stack it is given in either case.
    const DEPTH: usize = if cfg!(debug_assertions) {
        30_000
    } else {
        200_000
    };

    type Level = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

    fn level(depth: usize, left: Arc<AtomicUsize>, deepest: oneshot::Sender<()>) -> Level {
        struct Leaves(Arc<AtomicUsize>);
        impl Drop for Leaves {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }

        Box::pin(async move {
            let _leaves = Leaves(left.clone());
            if depth == 0 {
                deepest.send(()).unwrap();
                return pending().await;
            }
            let nested = TaskGroup::<BoxError>::new().run(async |g| {
                g.spawn(level(depth - 1, left, deepest));
                Ok(())
            });
            Ok(nested.await?)
        })
    }

    // On a small stack, so that no recursion gets away with it.
    let body = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            // Cancelled.
            let left = Arc::new(AtomicUsize::new(0));
            let count = left.clone();
            let outcome = cancel_at(Scope::new(), |here| level(DEPTH, count, here)).await;
            assert!(outcome.is_err());
            assert_eq!(left.load(Ordering::Relaxed), DEPTH + 1);

            // Dropped: the enclosing scope adopts and waits.
            let left = Arc::new(AtomicUsize::new(0));
            let count = left.clone();
            let outer = Scope::new().run(async {
                let (here, reached) = oneshot::channel();
                let mut nested = level(DEPTH, count, here);
                futures::future::select(&mut nested, reached).await;
                drop(nested);
            });
            outer.await.unwrap();
            assert_eq!(left.load(Ordering::Relaxed), DEPTH + 1);
        });

        // The runtime is dropped with all of them in it.
        let left = Arc::new(AtomicUsize::new(0));
        let count = left.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (here, reached) = oneshot::channel();
            tokio::spawn(level(DEPTH, count, here));
            reached.await.unwrap();
        });
        drop(runtime);
        assert_eq!(left.load(Ordering::Relaxed), DEPTH + 1);
    };
    let small = std::thread::Builder::new()
        .name("small stack".to_owned())
        .stack_size(512 * 1024);
    watched(|| small.spawn(body).unwrap().join().unwrap());
}

/// A chain of scopes with nothing else in it: cancelled and dropped on a small
/// stack. (Polling that many nested futures takes a large one, by nature.)
#[test]
fn nested_scopes_are_cancelled_and_dropped_without_recursion() {
    const DEPTH: usize = 50_000;

    type Nested = Pin<Box<dyn Future<Output = ()> + Send>>;

    fn nested(
        depth: usize,
        handles: Vec<CancelHandle>,
        done: oneshot::Sender<Vec<CancelHandle>>,
    ) -> Nested {
        Box::pin(async move {
            let mut handles = handles;
            let scope = Scope::new();
            handles.push(scope.handle());
            if depth == 0 {
                done.send(handles).ok().unwrap();
                return pending().await;
            }
            scope.run(nested(depth - 1, handles, done)).await.ok();
        })
    }

    fn on_a_stack_of<T: Send>(bytes: usize, f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|s| {
            let thread = std::thread::Builder::new().stack_size(bytes);
            thread.spawn_scoped(s, f).unwrap().join().unwrap()
        })
    }

    watched(|| {
        let large = 2 << 30;
        let small = 128 * 1024;
        let (done, mut all) = oneshot::channel();
        let mut run = Driven::new(nested(DEPTH, Vec::new(), done));
        on_a_stack_of(large, || run.pending());
        let mut handles = all.try_recv().unwrap();
        assert_eq!(handles.len(), DEPTH + 1);
        on_a_stack_of(small, || {
            handles[0].cancel();
            assert!(handles.iter().all(CancelHandle::is_cancelled));
        });
        on_a_stack_of(large, || assert!(matches!(run.poll(), Poll::Ready(()))));
        // The nodes live on in the handles: the last one holds the chain.
        let last = handles.pop().unwrap();
        on_a_stack_of(small, || {
            drop(handles);
            drop(last);
        });
        on_a_stack_of(large, || drop(run));
    });
}

/// A future pinned on the stack and handed to two scopes in turn keeps its
/// place; the pin is what `&mut` needs, no box.
#[test]
fn pinned_future_under_two_scopes_in_turn() {
    paused(|| async {
        let log = Log::new();
        let (send_first, first) = oneshot::channel();
        let (send_second, second) = oneshot::channel();
        let mut steps = pin!(two_steps(log.clone(), first, second));
        for _ in 0..3 {
            let scope = Scope::new().timeout(Duration::from_secs(1));
            assert!(scope.run(steps.as_mut()).await.is_err());
        }
        send_first.send(1).unwrap();
        send_second.send(2).unwrap();
        assert_eq!(Scope::new().run(steps).await.unwrap(), 3);
    });
}

/// Dropped from outside, a cleanup cannot be awaited: it is reported.
#[test]
fn hard_drop_is_reported() {
    both(|| async {
        watch_reports();
        let before =
            ["a", "b", "c"].map(|name| lost_cleanups(&format!("in `hard drop {name}`")).len());
        let log = Log::new();

        // The losing branch of a `select!`.
        let armed_in = |name: &'static str| {
            let scope = Scope::new().name(name);
            let armed = armed(log.clone(), name.to_owned());
            async move { scope.run(armed).await.ok() }
        };
        tokio::select! {
            biased;
            _ = armed_in("hard drop a") => panic!("it stays"),
            () = yield_now() => {}
        }
        assert_eq!(lost_cleanups("in `hard drop a`").len(), before[0] + 1);

        // A task of tokio's that is aborted.
        let (here, reached) = oneshot::channel();
        let inside = armed_in("hard drop b");
        let task = tokio::spawn(async {
            let told = async {
                yield_now().await;
                here.send(()).unwrap();
            };
            futures::join!(inside, told).0
        });
        reached.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(lost_cleanups("in `hard drop b`").len(), before[1] + 1);

        // A runtime that is shut down.
        let scope = Scope::new().name("hard drop c");
        let armed = armed(log.clone(), "hard drop c".to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let (here, reached) = oneshot::channel();
            runtime.spawn(async move {
                let told = async {
                    yield_now().await;
                    here.send(()).unwrap();
                };
                futures::join!(scope.run(armed), told).0
            });
            runtime.block_on(reached).unwrap();
        });
        thread.join().unwrap();
        assert_eq!(lost_cleanups("in `hard drop c`").len(), before[2] + 1);

        log.entries()
            .iter()
            .for_each(|e| assert!(e.starts_with("drop"), "{e}"));
    });
}

/// A scope dropped from outside holds nobody up: not the scope around it, whose
/// other code still leaves in order.
#[test]
fn scope_dropped_inside_a_cancelled_one() {
    #[cancellable(allow(hard_drop))]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("body"); }
        let inner = Scope::new().name("dropped scope");
        let running = inner.run(armed(log.clone(), "inner".to_owned()));
        tokio::select! {
            biased;
            _ = running => log.add("never"),
            () = yield_now() => {}
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        watch_reports();
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        log.is(&["drop inner", "body"]);
        assert!(!lost_cleanups("in `dropped scope`").is_empty());
    });
}

/// A destructor that panics while its frame is left does not keep the others
/// from being left; then its panic is resumed.
#[test]
fn panic_in_a_destructor_while_leaving() {
    struct Breaks;

    impl Drop for Breaks {
        fn drop(&mut self) {
            panic!("in a destructor");
        }
    }

    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! {
            yield_now().await;
            log.add("outer");
        }
        defer! {
            yield_now().await;
            log.add("inner");
        }
        let _breaks = Breaks;
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        let log = Log::new();
        let panic = caught(cancel_at(Scope::new(), |here| body(log.clone(), here))).await;
        assert_eq!(text_of(&*panic.unwrap_err()), "in a destructor");
        log.is(&["inner", "outer"]);
    });
}

/// No grace at all: what needs to wait is cut, the rest is done.
#[test]
fn grace_period_of_zero() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("needs no wait"); }
        defer! {
            log.add("begins");
            sleep(Duration::from_secs(1)).await;
            log.add("never");
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    paused(|| async {
        let log = Log::new();
        let start = Instant::now();
        let scope = Scope::new().grace(Duration::ZERO);
        let left = cancel_at(scope, |here| body(log.clone(), here))
            .await
            .unwrap_err();
        assert!(start.elapsed() < Duration::from_millis(10));
        log.is(&["begins", "needs no wait"]);
        assert_eq!(left.attached().len(), 1, "{left}");
    });
}

/// Cancelled from inside: by the code itself, by a waker, by a destructor.
#[test]
fn cancelled_from_unusual_places() {
    struct Cancels(CancelHandle);

    impl Drop for Cancels {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }

    impl Wake for Cancels {
        fn wake(self: Arc<Self>) {
            self.0.cancel();
        }
    }

    #[cancellable]
    async fn drops(log: Log, cancels: Cancels) {
        defer! { log.add("cleanup"); }
        drop(cancels);
        log.add("atomic");
        yield_now().await;
        log.add("never");
    }

    both(|| async {
        // A destructor, in the body and while it is left.
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(
            scope
                .run(drops(log.clone(), Cancels(handle)))
                .await
                .is_err()
        );
        log.is(&["atomic", "cleanup"]);

        let log = Log::new();
        let outer = Scope::new();
        let handle = outer.handle();
        let inner = log.clone();
        let left = outer.run(async move {
            let inside = inner.clone();
            let left = cancel_at(Scope::new(), |here| async move {
                let _cancels = Cancels(handle);
                here.send(()).unwrap();
                stay_armed(inside).await;
            });
            left.await.ok();
            inner.add("never");
        });
        assert!(left.await.is_err());
        log.is(&["clean"]);

        // The waker that the cancellation wakes cancels the scope outside.
        let outer = Scope::new();
        let handle = outer.handle();
        let inner = Scope::new();
        let inner_handle = inner.handle();
        let mut run = Box::pin(inner.run(pending::<()>()));
        let waker = Waker::from(Arc::new(Cancels(handle.clone())));
        let mut cx = Context::from_waker(&waker);
        assert!(run.as_mut().poll(&mut cx).is_pending());
        inner_handle.cancel();
        assert!(handle.is_cancelled());
        assert!(run.as_mut().poll(&mut cx).is_ready());
    });

    #[cancellable]
    async fn stay_armed(log: Log) {
        defer! { log.add("clean"); }
        pending::<()>().await;
    }
}
