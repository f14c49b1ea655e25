//! Runtimes without timers: what needs one fails before anything runs.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use taskscope::{BoxError, Scope, TaskGroup, cancellable, defer, timeout};
use taskscope_tests::{Log, cancel_at, text_of, watched};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::yield_now;

const LONG: Duration = Duration::from_secs(3600);

fn without_timers() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

#[cancellable]
async fn guarded(log: Log, here: oneshot::Sender<()>) {
    log.add("began");
    defer! {
        yield_now().await;
        log.add("cleaned up");
    }
    here.send(()).ok();
    pending::<()>().await;
}

/// Whatever needs the time, in a scope and in a group.
#[test]
fn what_needs_a_timer_fails_before_anything_runs() {
    fn fails(run: impl AsyncFnOnce(Log)) {
        let log = Log::new();
        let ran = catch_unwind(AssertUnwindSafe(|| {
            without_timers().block_on(run(log.clone()))
        }));
        let text = text_of(&*ran.expect_err("it needs a timer"));
        assert!(text.contains("timers are disabled"), "{text}");
        log.is(&[]);
    }

    async fn in_scope(scope: Scope<'_>, log: Log) {
        cancel_at(scope, |here| guarded(log, here)).await.unwrap();
    }

    async fn in_group(group: TaskGroup, log: Log) {
        let run = group.run(async |_| {
            log.add("began");
            pending::<()>().await;
            Ok::<_, BoxError>(())
        });
        run.await.unwrap();
    }

    watched(|| {
        fails(async |log| in_scope(Scope::new().grace(LONG), log).await);
        fails(async |log| in_scope(Scope::new().drain(LONG), log).await);
        fails(async |log| in_scope(Scope::new().timeout(LONG), log).await);
        fails(async |log| drop(timeout(LONG, async { log.add("began") }).await));
        fails(async |log| in_group(TaskGroup::new().grace(LONG), log).await);
        fails(async |log| in_group(TaskGroup::new().timeout(LONG), log).await);
        fails(async |log| in_group(TaskGroup::new().drain(LONG), log).await);
    });
}

/// Polled again it fails again, and a scope that was never run does not mind.
#[test]
fn it_fails_each_time() {
    watched(|| {
        without_timers().block_on(async {
            let mut run = Box::pin(Scope::new().grace(LONG).run(async { unreachable!() }));
            for _ in 0..2 {
                let polled = catch_unwind(AssertUnwindSafe(|| {
                    futures::FutureExt::now_or_never(run.as_mut()).is_some()
                }));
                let text = text_of(&*polled.unwrap_err());
                assert!(text.contains("timers are disabled"), "{text}");
            }
            drop(Scope::new().grace(LONG));
        });
    });
}

/// Control: without a limit the cleanup runs to its end.
#[test]
fn what_has_no_limit_needs_no_timer() {
    watched(|| {
        let log = Log::new();
        without_timers().block_on(async {
            let scope = Scope::new();
            let left = cancel_at(scope, |here| guarded(log.clone(), here)).await;
            assert!(left.is_err());
        });
        log.is(&["began", "cleaned up"]);
    });
}
