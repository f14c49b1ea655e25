//! What the guide says about rare cases.

use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use futures::FutureExt;
use taskscope::{Scope, blocking, cancellable, checkpoint_blocking, defer, timeout};
use taskscope_tests::{Driven, Log, both, text_of};

/// `cancel_safety`: two that poll one future.
#[test]
fn a_shared_future_that_one_has_left_panics_for_the_other() {
    both(|| async {
        #[cancellable]
        async fn work(log: Log) {
            defer! { log.add("cleaned up"); }
            pending::<()>().await;
        }

        let log = Log::new();
        let shared = work(log.clone()).boxed().shared();
        let scope = Scope::new();
        let handle = scope.handle();
        let mut one = Driven::new(scope.run(shared.clone()));
        let mut other = Driven::new(shared);
        one.pending();
        handle.cancel();
        assert!(one.finish().is_err());
        log.is(&["cleaned up"]);
        let polled = catch_unwind(AssertUnwindSafe(|| other.poll()));
        let text = text_of(&*polled.unwrap_err());
        assert!(text.contains("guide_claims.rs"), "{text}");
    });
}

/// `cancel_safety`: outside of a scope it is as without the attribute.
#[test]
fn ready_awaits_give_way_once_in_a_while_in_a_scope() {
    #[cancellable]
    async fn ready_awaits(count: usize) {
        for _ in 0..count {
            ready(()).await;
        }
    }

    both(|| async {
        assert!(ready_awaits(5000).now_or_never().is_some());
        let inside = Scope::new().run(async { ready_awaits(5000).now_or_never().is_some() });
        assert!(!inside.await.unwrap());
        let few = Scope::new().run(async { ready_awaits(20).now_or_never().is_some() });
        assert!(few.await.unwrap());
        Scope::new().run(ready_awaits(5000)).await.unwrap();
    });
}

#[cancellable]
async fn moves_a_local(moves: bool, log: Log) {
    let guard = log.mark("guard");
    defer! { log.add("cleaned up"); }
    if moves {
        drop(guard);
    }
    log.add("end");
}

#[cancellable]
async fn takes_a_local(takes: bool, log: Log) {
    let mut guard = Some(log.mark("guard"));
    defer! { log.add("cleaned up"); }
    if takes {
        drop(guard.take());
    }
    log.add("end");
}

/// `cleanup`: what is moved on some path belongs to the code below the `defer!`.
#[test]
fn a_local_that_is_moved_on_some_path_goes_before_the_cleanup() {
    both(|| async {
        for (moves, expected) in [
            (true, ["drop guard", "end", "cleaned up"]),
            (false, ["end", "drop guard", "cleaned up"]),
        ] {
            let log = Log::new();
            moves_a_local(moves, log.clone()).await;
            log.is(&expected);
        }
        for (takes, expected) in [
            (true, ["drop guard", "end", "cleaned up"]),
            (false, ["end", "cleaned up", "drop guard"]),
        ] {
            let log = Log::new();
            takes_a_local(takes, log.clone()).await;
            log.is(&expected);
        }
    });
}

/// `timeout`: an await looks at a flag, and what gives way looks at the clock.
#[test]
fn what_computes_past_a_deadline_is_cut_where_it_gives_way() {
    fn burn(time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {}
    }

    #[cancellable]
    async fn once() -> u32 {
        burn(Duration::from_millis(30));
        ready(()).await;
        42
    }

    #[cancellable]
    async fn rounds(done: &mut u32) {
        #[checkpoint]
        for _ in 0..1000 {
            burn(Duration::from_millis(2));
            *done += 1;
        }
    }

    both(|| async {
        let limit = Duration::from_millis(10);
        assert_eq!(timeout(limit, once()).await.unwrap(), 42);
        let mut done = 0;
        assert!(timeout(limit, rounds(&mut done)).await.is_err());
        assert!(done < 1000, "{done}");
        let work = blocking(|| {
            for _ in 0..1000 {
                burn(Duration::from_millis(2));
                checkpoint_blocking()?;
            }
            Ok::<(), taskscope::Cancelled>(())
        });
        assert!(timeout(limit, work).await.is_err());
    });
}
