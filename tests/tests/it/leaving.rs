//! How cancelled code is left: what runs, in which order, and what does not.

use std::future::{pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use taskscope::{
    BoxError, CancelHandle, Reason, Scope, TaskGroup, cancellable, defer, on_cancel, shield,
};
use taskscope_tests::{
    Driven, Log, both, cancel_at, caught, counted, lost_cleanups, one_worker, paused, text_of,
    watch_reports,
};
use tokio::sync::{Barrier, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// Enters, arms a cleanup that waits several times, tells that it is there and
/// stays.
#[cancellable]
async fn stay(log: Log, name: impl Into<String>, here: Option<oneshot::Sender<()>>) {
    let name = name.into();
    let _mark = log.mark(&format!("{name}'s argument"));
    defer! {
        log.add(format!("{name} cleans up"));
        yield_now().await;
        yield_now().await;
        log.add(format!("{name} is clean"));
    }
    let _local = log.mark(&format!("{name}'s local"));
    log.add(format!("{name} is here"));
    if let Some(here) = here {
        here.send(()).unwrap();
    }
    pending::<()>().await;
    log.add("never");
}

const STAYED: [&str; 5] = [
    "a is here",
    "drop a's local",
    "a cleans up",
    "a is clean",
    "drop a's argument",
];

#[test]
fn nested_defers_through_three_calls() {
    #[cancellable]
    async fn first(log: Log, here: oneshot::Sender<()>) -> Result<(), BoxError> {
        let _mark = log.mark("first's local");
        defer! {
            yield_now().await;
            log.add("first, declared first");
        }
        defer! {
            yield_now().await;
            log.add("first, declared second");
        }
        second(&log, here).await?;
        log.add("never");
        Ok(())
    }

    #[cancellable]
    async fn second(log: &Log, here: oneshot::Sender<()>) -> Result<(), BoxError> {
        let _mark = log.mark("second's local");
        defer! {
            log.add("second begins");
            yield_now().await;
            log.add("second ends");
        }
        third(log, here).await;
        log.add("never");
        Ok(())
    }

    #[cancellable]
    async fn third(log: &Log, here: oneshot::Sender<()>) {
        defer! { log.add("third, declared first"); }
        let _mark = log.mark("third's local");
        {
            defer! {
                yield_now().await;
                log.add("third, in the block");
            }
            here.send(()).unwrap();
            pending::<()>().await;
        }
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let left = cancel_at(Scope::new(), |here| first(log.clone(), here)).await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Requested));
        log.is(&[
            "third, in the block",
            "drop third's local",
            "third, declared first",
            "second begins",
            "second ends",
            "drop second's local",
            "first, declared second",
            "first, declared first",
            "drop first's local",
        ]);
    });
}

#[test]
fn on_cancel_runs_only_when_left_by_cancellation() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>, end: bool) -> Result<u32, BoxError> {
        defer! { log.add("always, first"); }
        on_cancel! {
            yield_now().await;
            log.add("when cancelled");
        }
        defer! { log.add("always, last"); }
        here.send(()).ok();
        if end {
            yield_now().await;
            Err("failed")?;
        }
        pending().await
    }

    both(|| async {
        let log = Log::new();
        let (here, _reached) = oneshot::channel();
        let failed = Scope::new()
            .run(body(log.clone(), here, true))
            .await
            .unwrap();
        assert_eq!(failed.unwrap_err().to_string(), "failed");
        log.is(&["always, last", "always, first"]);

        let log = Log::new();
        let left = cancel_at(Scope::new(), |here| body(log.clone(), here, false)).await;
        assert!(left.is_err());
        log.is(&["always, last", "when cancelled", "always, first"]);
    });
}

#[test]
fn through_tokio_select() {
    #[cancellable(allow(hard_drop))]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        tokio::select! {
            biased;
            () = stay(log.clone(), "a", None) => log.add("never"),
            () = stay(log.clone(), "b", Some(here)) => log.add("never"),
        }
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        assert!(!log.has("never"));
        for name in ["a", "b"] {
            assert!(log.at(&format!("{name} cleans up")) < log.at(&format!("{name} is clean")));
            assert!(log.at(&format!("{name} is clean")) < log.at("caller"));
        }
        assert_eq!(log.entries().last().unwrap(), "caller");
    });
}

#[test]
fn through_tokio_join() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        tokio::join!(
            stay(log.clone(), "a", None),
            stay(log.clone(), "b", Some(here)),
            async { log.add("c ends") },
        );
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        assert!(!log.has("never"));
        for name in ["a", "b"] {
            assert!(log.at("c ends") < log.at(&format!("{name} cleans up")));
            assert!(log.at(&format!("drop {name}'s argument")) < log.at("caller"));
        }
        assert_eq!(log.entries().last().unwrap(), "caller");
    });
}

/// A panic in one of them: the others are left in order, as by the own `join!`.
#[test]
fn a_panic_in_tokio_join_leaves_the_others_in_order() {
    #[cancellable]
    async fn body(log: Log) {
        defer! { log.add("caller"); }
        let (here, reached) = oneshot::channel();
        tokio::join!(stay(log.clone(), "a", Some(here)), async {
            reached.await.unwrap();
            panic!("one of them")
        });
    }

    both(|| async {
        let log = Log::new();
        let panic = caught(body(log.clone())).await.unwrap_err();
        assert_eq!(text_of(&*panic), "one of them");
        assert!(log.at("a cleans up") < log.at("a is clean"));
        assert!(log.at("a is clean") < log.at("caller"));
    });
}

#[test]
fn through_own_join() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        let borrowed = &log;
        taskscope::join!(
            stay(borrowed.clone(), "a", None),
            stay(borrowed.clone(), "b", Some(here)),
            async { borrowed.add("c ends") },
        );
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        assert!(!log.has("never"));
        for name in ["a", "b"] {
            assert!(log.at("c ends") < log.at(&format!("{name} cleans up")));
            assert!(log.at(&format!("drop {name}'s argument")) < log.at("caller"));
        }
        assert_eq!(log.entries().last().unwrap(), "caller");
    });
}

fn check_all(log: &Log, count: usize) {
    for i in 0..count {
        let here = log.at(&format!("{i} is here"));
        let cleans = log.at(&format!("{i} cleans up"));
        let clean = log.at(&format!("{i} is clean"));
        let argument = log.at(&format!("drop {i}'s argument"));
        let caller = log.at("caller");
        assert!(here < cleans && cleans < clean && clean < argument && argument < caller);
    }
    assert_eq!(log.entries().last().unwrap(), "caller");
    assert!(!log.has("never"));
}

/// Over 30, `join_all` polls only what was woken, with wakers of its own.
#[test]
fn through_join_all_of_a_hundred() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        let mut here = Some(here);
        futures::future::join_all((0..100).map(|i| {
            let here = here.take_if(|_| i == 99);
            stay(log.clone(), i.to_string(), here)
        }))
        .await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        check_all(&log, 100);
    });
}

#[test]
fn through_futures_unordered() {
    #[cancellable(allow(hard_drop))]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        let all = Arc::new(Barrier::new(41));
        let mut running: FuturesUnordered<_> = (0..40)
            .map(|i| arrive_and_stay(log.clone(), i, all.clone()))
            .collect();
        let arrived = async {
            all.wait().await;
            here.send(()).unwrap();
        };
        let drain = async {
            while let Some(()) = running.next().await {
                log.add("never");
            }
        };
        futures::join!(arrived, drain);
        log.add("never");
    }

    #[cancellable]
    async fn arrive_and_stay(log: Log, i: usize, all: Arc<Barrier>) {
        all.wait().await;
        stay(log, i.to_string(), None).await;
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        // Those at the barrier when the cancel came were left there.
        let entered = log
            .entries()
            .iter()
            .filter(|e| e.ends_with("is here"))
            .count();
        let clean = log
            .entries()
            .iter()
            .filter(|e| e.ends_with("is clean"))
            .count();
        assert!(entered > 0, "control");
        assert_eq!(entered, clean);
        assert_eq!(log.entries().last().unwrap(), "caller");
        assert!(!log.has("never"));
    });
}

/// The same, all of them armed.
#[test]
fn through_futures_unordered_all_armed() {
    #[cancellable(allow(hard_drop))]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        let mut running: FuturesUnordered<_> = (0..40)
            .map(|i| stay(log.clone(), i.to_string(), None))
            .collect();
        let first_poll = futures::future::poll_fn(|cx| {
            assert!(running.poll_next_unpin(cx).is_pending());
            Poll::Ready(())
        });
        first_poll.await;
        while log
            .entries()
            .iter()
            .filter(|e| e.ends_with("is here"))
            .count()
            < 40
        {
            futures::future::poll_fn(|cx| {
                assert!(running.poll_next_unpin(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        here.send(()).unwrap();
        while let Some(()) = running.next().await {}
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        check_all(&log, 40);
    });
}

/// `FuturesUnordered` wakes itself when it has polled all its children. A cleanup
/// that waits in one of them is not asked again and again for that.
#[test]
fn through_futures_unordered_at_rest() {
    #[cancellable]
    async fn slow(log: Log, polls: &AtomicU64) {
        defer! {
            let mut minute = std::pin::pin!(sleep(Duration::from_secs(60)));
            std::future::poll_fn(|cx| {
                polls.fetch_add(1, Ordering::Relaxed);
                minute.as_mut().poll(cx)
            })
            .await;
            log.add("clean");
        }
        pending::<()>().await;
    }

    for count in [1, 3, 40, 300] {
        paused(move || async move {
            let (log, polls) = (Log::new(), AtomicU64::new(0));
            let cancelled = taskscope::timeout(Duration::from_secs(1), async {
                // One in another, which passes on a pass of its own.
                let one = || slow(log.clone(), &polls);
                let all: FuturesUnordered<_> = (0..count).map(|_| one()).collect();
                let mut outer: FuturesUnordered<_> = [all.count()].into_iter().collect();
                outer.next().await
            });
            let begun = Instant::now();
            assert!(cancelled.await.is_err());
            assert_eq!(begun.elapsed(), Duration::from_secs(61));
            assert_eq!(log.entries().len(), count);
            let polls = polls.into_inner();
            assert!(polls <= 8 * count as u64, "{polls} polls of {count}");
        });
    }
}

/// The look for cleanups that nobody polls has just found all of them well when the
/// code goes on without one.
#[test]
fn a_cleanup_that_is_deserted_soon_after_it_was_polled() {
    #[cancellable]
    async fn stays() {
        defer! { pending::<()>().await; }
        pending::<()>().await;
    }

    watch_reports();
    paused(|| async {
        const CANCELLED: Duration = Duration::from_secs(1);
        const SOON: Duration = Duration::from_micros(200);
        let scope = Scope::new().name("deserted-soon").timeout(CANCELLED);
        let deserts = async {
            let mut deserted = std::pin::pin!(stays());
            tokio::select! {
                biased;
                () = sleep(CANCELLED + SOON) => {}
                () = &mut deserted => unreachable!(),
            }
            // Asked once more in between, it answers.
            yield_now().await;
            tokio::select! {
                biased;
                () = yield_now() => {}
                () = &mut deserted => unreachable!(),
            }
            pending::<()>().await;
        };
        let before = lost_cleanups("deserted-soon").len();
        assert!(scope.run(deserts).await.is_err());
        assert_eq!(lost_cleanups("deserted-soon").len(), before + 1);
    });
}

#[test]
fn through_a_boxed_future() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        let inner: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(stay(log.clone(), "a", Some(here)));
        let again: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(inner);
        again.await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        log.is(&[STAYED.as_slice(), &["caller"]].concat());
    });
}

/// A `dyn` trait through `async_trait`: annotated on the `impl` above it, on
/// the method below it, or not at all.
#[test]
fn through_an_async_trait_method() {
    #[async_trait::async_trait]
    trait Store: Send + Sync {
        async fn load(&self, log: Log, here: oneshot::Sender<()>);
    }

    struct Above;
    struct Below;
    struct Plain;

    #[cancellable]
    #[async_trait::async_trait]
    impl Store for Above {
        async fn load(&self, log: Log, here: oneshot::Sender<()>) {
            defer! { log.add("method"); }
            stay(log.clone(), "a", Some(here)).await;
            log.add("never");
        }
    }

    #[async_trait::async_trait]
    impl Store for Below {
        #[cancellable]
        async fn load(&self, log: Log, here: oneshot::Sender<()>) {
            defer! { log.add("method"); }
            stay(log.clone(), "a", Some(here)).await;
            log.add("never");
        }
    }

    #[async_trait::async_trait]
    impl Store for Plain {
        async fn load(&self, log: Log, here: oneshot::Sender<()>) {
            let _mark = log.mark("method");
            stay(log.clone(), "a", Some(here)).await;
            log.add("never");
        }
    }

    #[cancellable]
    async fn body(store: Box<dyn Store>, log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        store.load(log.clone(), here).await;
        log.add("never");
    }

    both(|| async {
        let stores: [(Box<dyn Store>, &str); 3] = [
            (Box::new(Above), "method"),
            (Box::new(Below), "method"),
            (Box::new(Plain), "drop method"),
        ];
        for (store, method) in stores {
            let log = Log::new();
            let left = cancel_at(Scope::new(), |here| body(store, log.clone(), here)).await;
            assert!(left.is_err());
            log.is(&[STAYED.as_slice(), &[method, "caller"]].concat());
        }
    });
}

#[test]
fn through_functions_that_are_not_annotated() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        plain(&log, here).await.unwrap();
        log.add("never");
    }

    async fn plain(log: &Log, here: oneshot::Sender<()>) -> Result<(), BoxError> {
        let _mark = log.mark("plain");
        match timeout_of_tokio(log, here).await {
            Ok(()) => log.add("never"),
            Err(_) => log.add("never"),
        }
        Ok(())
    }

    fn timeout_of_tokio(
        log: &Log,
        here: oneshot::Sender<()>,
    ) -> impl Future<Output = Result<(), tokio::time::error::Elapsed>> {
        let hour = Duration::from_secs(3600);
        tokio::time::timeout(hour, stay(log.clone(), "a", Some(here)))
    }

    both(|| async {
        let log = Log::new();
        assert!(
            cancel_at(Scope::new(), |here| body(log.clone(), here))
                .await
                .is_err()
        );
        log.is(&[STAYED.as_slice(), &["drop plain", "caller"]].concat());
    });
}

/// Annotated methods, generics, trait methods and closures.
#[test]
fn through_methods_and_closures() {
    struct Service {
        log: Log,
    }

    #[cancellable]
    impl Service {
        async fn call<T: Into<String> + Send>(&self, name: T, here: oneshot::Sender<()>) {
            defer! { self.log.add("call"); }
            let step = async |here| {
                defer! { self.log.add("closure"); }
                stay(self.log.clone(), name, Some(here)).await;
                self.log.add("never");
            };
            let block = async {
                step(here).await;
                self.log.add("never");
            };
            block.await;
            self.log.add("never");
        }
    }

    both(|| async {
        let service = Service { log: Log::new() };
        assert!(
            cancel_at(Scope::new(), |here| service.call("a", here))
                .await
                .is_err()
        );
        service
            .log
            .is(&[STAYED.as_slice(), &["closure", "call"]].concat());
    });
}

#[test]
fn loop_of_ready_awaits_on_current_thread() {
    #[cancellable]
    async fn body(log: Log, rounds: Arc<AtomicU64>) {
        defer! { log.add("cleanup"); }
        while rounds.fetch_add(1, Ordering::Relaxed) < u64::MAX / 2 {
            ready(()).await;
        }
    }

    one_worker(|| async {
        let log = Log::new();
        let rounds = Arc::<AtomicU64>::default();
        let (ticks, mut ticked) = mpsc::channel(1);
        let scope = Scope::new();
        let handle = scope.handle();
        // Another task of the same thread is not starved.
        let other = tokio::spawn(async move {
            for i in 0..100 {
                ticks.send(i).await.unwrap();
                yield_now().await;
            }
            handle.cancel();
        });
        let counting = async {
            let mut seen = 0;
            while ticked.recv().await.is_some() {
                seen += 1;
            }
            seen
        };
        let (left, seen) = futures::join!(scope.run(body(log.clone(), rounds.clone())), counting);
        assert!(left.is_err());
        assert_eq!(seen, 100);
        other.await.unwrap();
        log.is(&["cleanup"]);
        assert!(rounds.load(Ordering::Relaxed) > 100, "control: it did run");
    });
}

#[test]
fn checkpoint_loop_without_an_await() {
    #[cancellable]
    async fn body(log: Log, rounds: Arc<AtomicU64>) -> u64 {
        defer! { log.add("cleanup"); }
        let mut sum = 0u64;
        #[checkpoint]
        loop {
            sum = sum.wrapping_add(rounds.fetch_add(1, Ordering::Relaxed));
        }
    }

    one_worker(|| async {
        let log = Log::new();
        let rounds = Arc::<AtomicU64>::default();
        let scope = Scope::new();
        let handle = scope.handle();
        // On the same thread: the loop lets others run.
        let other = tokio::spawn(async move {
            for _ in 0..10 {
                yield_now().await;
            }
            handle.cancel();
        });
        let left = scope.run(body(log.clone(), rounds.clone())).await;
        assert!(left.is_err());
        other.await.unwrap();
        log.is(&["cleanup"]);
        assert!(rounds.load(Ordering::Relaxed) > 10, "control: it did run");
    });
}

#[test]
fn cancelled_before_the_first_poll() {
    #[cancellable]
    async fn body(log: Log, work: impl Future<Output = ()>) {
        defer! { log.add("cleanup"); }
        log.add("entered");
        work.await;
        log.add("never");
    }

    one_worker(|| async {
        // A task: not even entered.
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let (work, counts) = counted(ready(()));
            let captured = log.mark("captured");
            let task = g.spawn(body(log.clone(), async move {
                work.await;
                drop(captured);
            }));
            task.cancel();
            let left = task.await;
            assert!(left.is_err());
            assert_eq!(counts.polls(), 0);
            Ok(())
        });
        group.await.unwrap();
        log.is(&["drop captured"]);

        // A scope: entering is no checkpoint, its first await is one.
        let log = Log::new();
        let (work, counts) = counted(ready(()));
        let scope = Scope::new();
        scope.handle().cancel();
        let left = scope.run(body(log.clone(), work)).await;
        assert!(left.is_err());
        assert_eq!(counts.polls(), 0);
        log.is(&["entered", "cleanup"]);
    });
}

#[test]
fn cancelled_again_during_the_cleanup() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>, cleaning: oneshot::Sender<()>) {
        defer! { log.add("outer"); }
        defer! {
            log.add("begins");
            cleaning.send(()).unwrap();
            for _ in 0..10 {
                yield_now().await;
            }
            inside_the_cleanup(&log).await;
            log.add("ends");
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    #[cancellable]
    async fn inside_the_cleanup(log: &Log) {
        defer! { log.add("cleanup of the cleanup"); }
        yield_now().await;
        log.add("works in the cleanup");
    }

    both(|| async {
        let log = Log::new();
        let outer = Scope::new().name("outer");
        let outer_handle = outer.handle();
        let scope = Scope::new().name("inner");
        let handle = scope.handle();
        let (here, reached) = oneshot::channel();
        let (cleaning, cleans) = oneshot::channel();
        let inner_log = log.clone();
        let run = outer.run(async move {
            let left = scope.run(body(inner_log.clone(), here, cleaning)).await;
            inner_log.add(format!("never: {left:?}"));
        });
        let cancelling = async {
            reached.await.unwrap();
            handle.cancel();
            cleans.await.unwrap();
            handle.cancel_with(Reason::Shutdown);
            outer_handle.cancel();
        };
        let (left, ()) = futures::join!(run, cancelling);
        let left = left.unwrap_err();
        assert_eq!(
            left.scope(),
            "outer",
            "the outermost cancelled boundary absorbs"
        );
        log.is(&[
            "begins",
            "works in the cleanup",
            "cleanup of the cleanup",
            "ends",
            "outer",
        ]);
    });
}

#[test]
fn cancelled_from_another_thread() {
    both(|| async {
        for _ in 0..200 {
            let log = Log::new();
            let scope = Scope::new();
            let handle = scope.handle();
            let (here, reached) = oneshot::channel();
            let thread = std::thread::spawn(move || {
                reached.blocking_recv().unwrap();
                handle.cancel();
            });
            let left = scope.run(stay(log.clone(), "a", Some(here))).await;
            assert!(left.is_err());
            thread.join().unwrap();
            log.is(&STAYED);
        }
    });
}

/// One branch is shielded, the other is left at once, all of it; the join waits
/// for both.
macro_rules! shield_inside {
    ($name:ident, $($join:tt)*) => {
        #[test]
        fn $name() {
            #[cancellable]
            async fn body(log: Log, here: oneshot::Sender<()>, go: oneshot::Receiver<()>) {
                let shielded = async {
                    shield(async {
                        go.await.unwrap();
                        yield_now().await;
                        log.add("shielded work ends");
                    })
                    .await;
                    log.add("after the shield");
                    yield_now().await;
                    log.add("never");
                };
                $($join)*!(shielded, stay(log.clone(), "a", Some(here)));
                log.add("never");
            }

            both(|| async {
                let log = Log::new();
                let scope = Scope::new();
                let handle = scope.handle();
                let (here, reached) = oneshot::channel();
                let (let_go, go) = oneshot::channel();
                let cancelling = async {
                    reached.await.unwrap();
                    handle.cancel();
                    for _ in 0..20 {
                        yield_now().await;
                    }
                    log.add("let go");
                    let_go.send(()).unwrap();
                };
                let run = scope.run(body(log.clone(), here, go));
                let (left, ()) = futures::join!(run, cancelling);
                assert!(left.is_err());
                let ends = ["let go", "shielded work ends", "after the shield"];
                log.is(&[STAYED.as_slice(), &ends].concat());
            });
        }
    };
}

shield_inside!(shield_inside_a_join, taskscope::join);
shield_inside!(shield_inside_a_join_of_tokio, tokio::join);

/// The first error cancels the others in order, then it is returned.
#[test]
fn try_join_leaves_the_others_in_order() {
    #[cancellable]
    async fn body(log: Log) -> Result<(), BoxError> {
        defer! { log.add("caller"); }
        let (here, reached) = oneshot::channel();
        let fails = async {
            reached.await.unwrap();
            log.add("fails");
            Err::<u32, BoxError>("on purpose".into())
        };
        let stays = async {
            stay(log.clone(), "a", Some(here)).await;
            Ok(())
        };
        let outcome = taskscope::try_join!(fails, stays);
        log.add(format!("{:?}", outcome.map_err(|e| e.to_string())));
        taskscope::checkpoint().await;
        let (one, two) = taskscope::try_join!(async { Ok(1) }, async { Ok::<_, BoxError>(2) })?;
        log.add(format!("{one} {two}"));
        Ok(())
    }

    both(|| async {
        let log = Log::new();
        Scope::new().run(body(log.clone())).await.unwrap().unwrap();
        let mut expected = vec!["a is here", "fails"];
        expected.extend(&STAYED[1..]);
        expected.extend(["Err(\"on purpose\")", "1 2", "caller"]);
        log.is(&expected);
    });
}

#[test]
fn value_ready_at_the_moment_of_the_cancel_is_delivered() {
    #[cancellable]
    async fn body(log: Log, value: oneshot::Receiver<u32>) {
        let value = value.await.unwrap();
        log.add(format!("got {value}"));
        yield_now().await;
        log.add("never");
    }

    #[cancellable]
    async fn joined(log: Log, value: oneshot::Receiver<u32>) {
        let (value, ()) = taskscope::join!(value, async {});
        log.add(format!("got {}", value.unwrap()));
        yield_now().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let (send, value) = oneshot::channel();
        let mut run = Driven::new(scope.run(body(log.clone(), value)));
        run.pending();
        handle.cancel();
        send.send(7).unwrap();
        assert!(run.finish().is_err());
        log.is(&["got 7"]);

        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let (send, value) = oneshot::channel();
        let mut run = Driven::new(scope.run(joined(log.clone(), value)));
        run.pending();
        send.send(7).unwrap();
        handle.cancel();
        assert!(run.finish().is_err());
        log.is(&["got 7"]);
    });
}

/// The last value of the function itself is not lost either.
#[test]
fn function_that_passes_no_further_checkpoint_keeps_its_value() {
    #[cancellable]
    async fn body(handle: CancelHandle) -> &'static str {
        yield_now().await;
        handle.cancel();
        "value"
    }

    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let value = scope.run(body(handle.clone())).await;
        assert_eq!(value.unwrap(), "value");
        assert!(handle.is_cancelled());
    });
}

#[test]
fn scope_cancelled_inside_a_shield() {
    #[cancellable]
    async fn body(log: Log, outer: CancelHandle) {
        shield(async {
            outer.cancel();
            let inner = Scope::new().name("inner");
            let handle = inner.handle();
            assert!(
                !handle.is_cancelled(),
                "what is opened in a shield is not reached"
            );
            let left = inner.run(async {
                yield_now().await;
                log.add("not reached by the outer cancel");
                handle.cancel();
                assert!(taskscope::is_cancelled());
                stay(log.clone(), "a", None).await;
            });
            let left = left.await.unwrap_err();
            assert_eq!(left.scope(), "inner");
            log.add("the inner boundary returned");
            yield_now().await;
            log.add("still shielded");
        })
        .await;
        log.add("after the shield");
        yield_now().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new().name("outer");
        let handle = scope.handle();
        let left = scope.run(body(log.clone(), handle)).await.unwrap_err();
        assert_eq!(left.scope(), "outer");
        // The scope was cancelled before `stay`, whose gate is never passed.
        log.is(&[
            "not reached by the outer cancel",
            "the inner boundary returned",
            "still shielded",
            "after the shield",
        ]);
    });
}

#[test]
fn scope_cancelled_inside_a_shield_leaves_in_order() {
    #[cancellable]
    async fn body(log: Log, outer: CancelHandle) {
        shield(async {
            outer.cancel();
            let left = cancel_at(Scope::new(), |here| stay(log.clone(), "a", Some(here))).await;
            log.add(format!("left: {}", left.is_err()));
        })
        .await;
        yield_now().await;
        log.add("never");
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(scope.run(body(log.clone(), handle)).await.is_err());
        log.is(&[STAYED.as_slice(), &["left: true"]].concat());
    });
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Question,
    Return,
    BreakOuter,
    ContinueOuter,
    Panic,
    End,
}

#[cancellable]
async fn leaves(log: Log, way: Way) -> Result<&'static str, BoxError> {
    defer! { log.add("function"); }
    let mut round = 0;
    'outer: while round < 2 {
        round += 1;
        defer! {
            yield_now().await;
            log.add(format!("outer {round}"));
        }
        for _ in 0..1 {
            defer! {
                log.add("inner begins");
                yield_now().await;
                log.add("inner ends");
            }
            yield_now().await;
            match way {
                Way::Question => Err("question")?,
                Way::Return => return Ok("returned"),
                Way::BreakOuter => break 'outer,
                Way::ContinueOuter => continue 'outer,
                Way::Panic => panic!("on purpose"),
                Way::End => {}
            }
            log.add("end of the inner block");
        }
        log.add("end of the outer block");
    }
    log.add("end");
    Ok("ended")
}

#[test]
fn defer_on_every_way_out() {
    let inner = ["inner begins", "inner ends"];
    let first = [inner.as_slice(), &["outer 1", "function"]].concat();
    let expected = move |way| -> Vec<&'static str> {
        match way {
            Way::Question | Way::Return | Way::Panic => first.clone(),
            Way::BreakOuter => [inner.as_slice(), &["outer 1", "end", "function"]].concat(),
            Way::ContinueOuter => [
                &inner,
                ["outer 1"].as_slice(),
                &inner,
                &["outer 2", "end", "function"],
            ]
            .concat(),
            Way::End => {
                let inner = [
                    "end of the inner block",
                    "inner begins",
                    "inner ends",
                    "end of the outer block",
                ];
                [
                    &inner,
                    ["outer 1"].as_slice(),
                    &inner,
                    &["outer 2", "end", "function"],
                ]
                .concat()
            }
        }
    };

    both(move || {
        let expected = expected.clone();
        async move {
            for way in [
                Way::Question,
                Way::Return,
                Way::BreakOuter,
                Way::ContinueOuter,
                Way::Panic,
                Way::End,
            ] {
                for inside in [false, true] {
                    let log = Log::new();
                    let outcome = if inside {
                        caught(Scope::new().run(leaves(log.clone(), way)))
                            .await
                            .map(Result::unwrap)
                    } else {
                        caught(leaves(log.clone(), way)).await
                    };
                    match (way, outcome) {
                        (Way::Question, Ok(Err(error))) => {
                            assert_eq!(error.to_string(), "question")
                        }
                        (Way::Return, Ok(Ok("returned"))) => {}
                        (Way::Panic, Err(panic)) => assert_eq!(text_of(&*panic), "on purpose"),
                        (Way::BreakOuter | Way::ContinueOuter | Way::End, Ok(Ok("ended"))) => {}
                        (way, outcome) => panic!("{way:?} gave {outcome:?}"),
                    }
                    assert_eq!(
                        log.entries(),
                        expected(way),
                        "{way:?}, in a scope: {inside}"
                    );
                }
            }
        }
    });
}

/// `break` with a value out of a guarded block, and a label of a plain block.
#[test]
fn defer_and_blocks_with_values() {
    #[cancellable]
    async fn body(log: Log, early: bool) -> String {
        let value = 'block: {
            defer! { log.add("block"); }
            yield_now().await;
            if early {
                break 'block "early";
            }
            "late"
        };
        let found = loop {
            defer! { log.add("loop"); }
            yield_now().await;
            break value.len();
        };
        let in_if = if found > 4 {
            defer! { log.add("if"); }
            yield_now().await;
            1
        } else {
            2
        };
        format!("{value} {found} {in_if}")
    }

    both(|| async {
        let log = Log::new();
        assert_eq!(body(log.clone(), true).await, "early 5 1");
        log.is(&["block", "loop", "if"]);
        let log = Log::new();
        assert_eq!(body(log.clone(), false).await, "late 4 2");
        log.is(&["block", "loop"]);
    });
}

/// The cleanup sees the locals as they are then, and may change and move them.
#[test]
fn cleanup_uses_the_locals() {
    #[cancellable]
    async fn body(log: Log, mut items: Vec<u32>, here: oneshot::Sender<()>) {
        let mut total = 0;
        defer! {
            items.push(99);
            yield_now().await;
            log.add(format!("{items:?} {total}"));
            drop(items);
        }
        for i in 0..3 {
            items.push(i);
            total += i;
            yield_now().await;
        }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    both(|| async {
        let log = Log::new();
        let left = cancel_at(Scope::new(), |here| body(log.clone(), vec![7], here)).await;
        assert!(left.is_err());
        log.is(&["[7, 0, 1, 2, 99] 3"]);
    });
}

/// A cleanup takes its time; nothing is left before it is done.
#[test]
fn boundary_waits_for_the_cleanup_in_time() {
    #[cancellable]
    async fn outer() {
        defer! { sleep(Duration::from_secs(2)).await; }
        inner().await;
    }

    #[cancellable]
    async fn inner() {
        defer! { sleep(Duration::from_secs(3)).await; }
        pending::<()>().await;
    }

    paused(|| async {
        let start = Instant::now();
        let left = taskscope::timeout(Duration::from_secs(1), outer()).await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Deadline));
        assert_eq!(start.elapsed(), Duration::from_secs(6));
    });
}

/// A panic in what decides about the cancellation hurries nobody.
#[test]
fn a_panic_in_cancel_when_is_resumed_once_the_scope_is_left() {
    #[cancellable]
    async fn body(log: &Log) {
        defer! {
            sleep(Duration::from_secs(1)).await;
            log.add("clean");
        }
        pending::<()>().await;
    }

    paused(|| async {
        let log = Log::new();
        let scope = Scope::new().cancel_when(async {
            sleep(Duration::from_secs(1)).await;
            panic!("no more");
        });
        let panic = caught(scope.run(body(&log))).await.unwrap_err();
        assert_eq!(text_of(&*panic), "no more");
        log.is(&["clean"]);
        // Control: without a panic it returns.
        let scope = Scope::new()
            .cancel_when(pending::<()>())
            .cancel_when(sleep(Duration::from_secs(1)));
        let cancelled = scope.run(body(&log)).await.unwrap_err();
        assert!(matches!(cancelled.reason(), Reason::Requested));
    });
}
