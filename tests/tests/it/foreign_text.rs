//! Looking at what runs runs code of the user's: a `Display`, a `Drop`. It may panic.

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskscope::observe::Watchdog;
use taskscope::{BoxError, CancelHandle, Reason, ReportKind, Scope, TaskGroup, TaskHandle, Value};
use taskscope::{cancellable, defer, tree};
use taskscope_tests::{Seen, both, reports_of, watch_reports, watched};
use tokio::sync::oneshot;

const STUCK: Duration = Duration::from_millis(60);

/// A reason that cannot say what it is.
#[derive(Debug)]
struct Speechless;

impl fmt::Display for Speechless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose");
    }
}

impl Error for Speechless {}

/// Each looks at all that runs in the process: tests take turns.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn late(name: &str) -> Vec<Seen> {
    let mut reports = reports_of(name);
    reports.retain(|seen| seen.kind == ReportKind::Late);
    reports
}

/// Leaves when the watchdog has named it.
#[cancellable]
async fn leaves_late(name: &str) {
    defer! {
        while late(name).is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    pending::<()>().await;
}

async fn cancelled_late(name: &'static str, cancel: impl FnOnce(CancelHandle)) {
    let scope = Scope::new().name(name);
    cancel(scope.handle());
    scope.run(leaves_late(name)).await.unwrap_err();
}

#[test]
fn the_watchdog_goes_on_after_a_display_that_panics() {
    let _alone = alone();
    watch_reports();
    both(|| async {
        let _watchdog = Watchdog::start(STUCK).unwrap();
        cancelled_late("speechless", |handle| {
            handle.cancel_with(Reason::other(Speechless));
        })
        .await;
        let text = &late("speechless")[0].text;
        assert!(text.contains("(a reason whose `Display` panics)"), "{text}");
        cancelled_late("after_speechless", |handle| {
            handle.cancel();
        })
        .await;
    });
}

#[test]
fn a_tree_is_shown_though_a_display_in_it_panics() {
    let _alone = alone();
    both(|| async {
        let scope = Scope::new().name("mute");
        let handle = scope.handle();
        let run = scope.run(taskscope::shield(async {
            handle.cancel_with(Reason::other(Speechless));
            tree()
        }));
        let seen = run.await.unwrap();
        let entry = seen.entries().find(|entry| entry.name() == "mute").unwrap();
        assert_eq!(entry.reason(), Some("a reason whose `Display` panics"));
        let text = "cancelling (a reason whose `Display` panics)";
        assert!(seen.to_string().contains(text), "{seen}");
        assert!(
            serde_json::to_string(&seen)
                .unwrap()
                .contains("whose `Display` panics")
        );
    });
}

/// A value that panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("on purpose");
    }
}

/// A reason whose text is asked for while the tree is read: then it lets a task of that tree end, and drops its
/// handle, so that whoever reads the tree has the task to the last.
struct Lets {
    asked: AtomicUsize,
    task: Mutex<Option<(oneshot::Sender<()>, TaskHandle<Bomb>)>>,
}

impl fmt::Debug for Lets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lets")
    }
}

impl fmt::Display for Lets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // First for the scope, then for the group, whose tasks have been read by then.
        if self.asked.fetch_add(1, Ordering::SeqCst) == 1 {
            let (end, task) = self.task.lock().unwrap().take().unwrap();
            end.send(()).unwrap();
            while !task.is_finished() {
                std::thread::yield_now();
            }
            drop(task);
            // Not for the order of anything: for its runtime to forget the task as well, as a rule.
            std::thread::sleep(Duration::from_millis(50));
        }
        f.write_str("lets")
    }
}

impl Error for Lets {}

#[test]
fn a_value_whose_drop_panics_may_be_dropped_by_whoever_looks() {
    let _alone = alone();
    watched(|| {
        let (tell, told) = std::sync::mpsc::channel();
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let scope = Scope::new().name("lets");
            let handle = scope.handle();
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let (end, ended) = oneshot::channel();
                let task = g.spawn_shielded(async {
                    ended.await.unwrap();
                    Value(Bomb)
                });
                let lets = Lets {
                    asked: AtomicUsize::new(0),
                    task: Mutex::new(Some((end, task))),
                };
                let reason: Arc<dyn Error + Send + Sync> = Arc::new(lets);
                handle.cancel_with(Reason::Other(reason));
                tell.send(()).unwrap();
                Ok(())
            });
            runtime.block_on(scope.run(group)).ok();
        });
        told.recv().unwrap();
        let seen = tree();
        assert!(seen.entries().any(|entry| entry.reason() == Some("lets")));
        running.join().unwrap();
    });
}
