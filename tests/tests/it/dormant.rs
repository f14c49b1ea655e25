//! Cleanups that nobody polls while their scope is unwound, and cleanups that only seem so.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use taskscope::{BoxError, ReportKind, Scope, TaskGroup, cancellable, defer};
use taskscope_tests::{
    Log, both, cancel_at, lost_cleanups, paused, paused_once, reports_of, watch_reports,
};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep};

/// Holds a cleanup that never ends.
#[cancellable]
async fn armed() {
    defer! { pending::<()>().await; }
    pending::<()>().await;
}

/// On a paused clock, no time passes while a boundary looks for regions that nobody polls:
/// neither the grace period nor the timers of other code end meanwhile.
#[test]
fn the_look_takes_no_time_on_a_paused_clock() {
    const CLEANUP: Duration = Duration::from_millis(500);
    const TIMEOUT: Duration = Duration::from_secs(1);

    #[cancellable(allow(hard_drop))]
    async fn body(log: Log) {
        defer! {
            sleep(CLEANUP).await;
            log.add("clean");
        }
        let mut deserted = Box::pin(armed());
        assert!(futures::poll!(&mut deserted).is_pending());
        pending::<()>().await;
        deserted.await;
    }

    watch_reports();
    paused(|| async {
        let before = reports_of("in `paused look`").len();
        let log = Log::new();
        let start = Instant::now();
        let scope = Scope::new().name("paused look");
        let scope = scope.timeout(TIMEOUT).grace(TIMEOUT);
        assert!(scope.run(body(log.clone())).await.is_err());
        assert_eq!(start.elapsed(), TIMEOUT + CLEANUP);
        log.is(&["clean"]);
        let reports = reports_of("in `paused look`").split_off(before);
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!(reports[0].kind, ReportKind::LostCleanup);
    });
}

/// Each region is polled once more when it is woken, one in an earlier poll than the other,
/// and neither after that. Nothing else wakes the task.
#[test]
fn regions_that_are_deserted_while_the_look_ends() {
    both(|| async {
        watch_reports();
        let before = lost_cleanups("in `deserted in turn`").len();
        let scope = Scope::new().name("deserted in turn");
        let left = cancel_at(scope, |here| async move {
            let (mut first, mut second) = (Box::pin(armed()), Box::pin(armed()));
            let (mut polls, mut here) = (0, Some(here));
            poll_fn(|cx| {
                polls += 1;
                if matches!(polls, 1 | 3) {
                    assert!(first.as_mut().poll(cx).is_pending());
                }
                if matches!(polls, 1 | 4) {
                    assert!(second.as_mut().poll(cx).is_pending());
                }
                here.take()
                    .into_iter()
                    .for_each(|here| here.send(()).unwrap());
                Poll::<()>::Pending
            })
            .await;
        });
        assert!(left.await.is_err());
        assert_eq!(lost_cleanups("in `deserted in turn`").len(), before + 2);
    });
}

/// What this costs grows with the number of regions, and not with its square.
#[test]
fn many_cleanups_in_one_collection() {
    const MANY: u64 = if cfg!(debug_assertions) {
        2_000
    } else {
        10_000
    };

    #[cancellable]
    async fn one(cleaned: &AtomicU64) {
        defer! {
            yield_now().await;
            yield_now().await;
            cleaned.fetch_add(1, Ordering::Relaxed);
        }
        pending::<()>().await;
    }

    paused_once(|| async {
        let cleaned = AtomicU64::new(0);
        let begun = std::time::Instant::now();
        let left = taskscope::timeout(Duration::from_secs(1), async {
            let all: FuturesUnordered<_> = (0..MANY).map(|_| one(&cleaned)).collect();
            all.count().await
        });
        assert!(left.await.is_err());
        assert_eq!(cleaned.into_inner(), MANY);
        println!("{MANY} cleanups: {:?}", begun.elapsed());
    });
}

/// Many tasks at once, each with a region that answers at first and is deserted then: one
/// thread keeps the time for all of them.
#[test]
fn many_tasks_each_with_a_deserted_cleanup() {
    const MANY: u64 = if cfg!(debug_assertions) { 500 } else { 10_000 };

    #[cancellable(allow(hard_drop))]
    async fn deserts(cleaned: Arc<AtomicU64>, here: oneshot::Sender<()>) {
        defer! { cleaned.fetch_add(1, Ordering::Relaxed); }
        here.send(()).unwrap();
        let mut deserted = Box::pin(armed());
        let mut polls = 0;
        poll_fn(|cx| {
            polls += 1;
            if polls <= 4 {
                cx.waker().wake_by_ref();
                assert!(deserted.as_mut().poll(cx).is_pending());
            }
            Poll::<()>::Pending
        })
        .await;
    }

    watch_reports();
    both(|| async {
        let cleaned = Arc::new(AtomicU64::new(0));
        let begun = std::time::Instant::now();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let mut begun = Vec::new();
            for _ in 0..MANY {
                let (here, reached) = oneshot::channel();
                g.spawn(deserts(cleaned.clone(), here));
                begun.push(reached);
            }
            for begun in begun {
                begun.await?;
            }
            g.cancel();
            Ok(())
        });
        group.await.ok();
        println!("{MANY} tasks: {:?}", begun.elapsed());
        assert_eq!(cleaned.load(Ordering::Relaxed), MANY);
        assert!(threads_named("taskscope-wake") <= 1);
    });
}

fn threads_named(name: &str) -> usize {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return 0;
    };
    let names = threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
    names.filter(|read| read.trim_end() == name).count()
}
