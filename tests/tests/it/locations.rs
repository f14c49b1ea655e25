//! A location that users see is a line of theirs: in trees, reports, errors and panics, whichever
//! construct it comes from, and never one of the library.

use std::convert::Infallible;
use std::error::Error;
use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use taskscope::testing::{assert_no_leaks, cancel_everywhere};
use taskscope::tower::ScopeLayer;
use taskscope::{Ambient, BoxError, Cancelled, Group, OnFailure, Scope, TaskGroup, Value};
use taskscope::{block_on, blocking, cancellable, cancelled, checkpoint, checkpoint_blocking};
use taskscope::{defer, join, on_cancel, race, shield, sleep_blocking, stopping, task_group};
use taskscope::{timeout, tree, try_join};
use taskscope_tests::{Driven, Log, both, caught, paused_once, reports_of, text_of};
use taskscope_tests::{watch_reports, watched};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tower_layer::Layer;
use tower_service::Service;

const LONG: Duration = Duration::from_secs(3600);

/// Nothing in it is a line of the library. Other tests run beside this one.
#[track_caller]
fn is_users(text: &str) {
    for source in ["runtime/src", "macros/src", "library/core", "library/std"] {
        assert!(!text.contains(source), "{text}");
    }
}

/// What is there has lines, all of them the user's.
#[track_caller]
fn has_users_lines(text: &str) {
    assert!(text.contains("tests/tests/"), "{text}");
    is_users(text);
}

/// The tree in each of its forms.
#[track_caller]
fn look_at_tree(names: &[&str]) {
    let seen = tree();
    for name in names {
        assert!(
            seen.entries().any(|entry| entry.name() == *name),
            "{name}: {seen}"
        );
    }
    has_users_lines(&seen.to_string());
    has_users_lines(&serde_json::to_string(&seen).unwrap());
    is_users(&seen.to_mermaid());
    is_users(&format!("{seen:#?}"));
}

#[track_caller]
fn look_at_error(error: &(dyn Error + 'static)) {
    is_users(&error.to_string());
    is_users(&format!("{error:?}"));
    is_users(&format!("{error:#?}"));
}

/// A panic of the library, by its text.
#[track_caller]
fn look_at_panic<R>(f: impl FnOnce() -> R) {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(f()))).unwrap_err();
    has_users_lines(&text_of(&*panic));
}

/// The reports so far, at least one of them with this in its text.
#[track_caller]
fn look_at_reports(part: &str) {
    let reports = reports_of("");
    assert!(
        reports.iter().any(|seen| seen.text.contains(part)),
        "{part}: {reports:#?}"
    );
    reports.iter().for_each(|seen| has_users_lines(&seen.text));
}

/// Waits inside of everything that waits inside of its own task.
#[cancellable]
async fn nested() {
    defer! { yield_now().await; }
    on_cancel! { yield_now().await; }
    let scope = Scope::new().stop_when(pending::<()>()).run(async {
        race! {
            () = timeout(LONG, shield(pending::<()>())).map(drop) => {},
            () = async { join!(pending::<()>(), cancelled().map(drop)); } => {},
            _ = async { try_join!(pending::<Result<(), BoxError>>(), stopping().map(Ok)) } => {},
        }
        checkpoint().await;
    });
    scope.await.unwrap();
}

#[cancellable(blocking)]
fn computes() -> Result<(), Cancelled> {
    loop {
        thread::yield_now();
    }
}

/// Work of every kind that waits until it is cancelled. Says `begun` on each thread.
fn start(g: &Group<'_>, log: &Log) {
    g.spawn(nested());
    g.spawn_named("named", pending::<Value<()>>());
    g.spawn_scoped(nested());
    g.spawn_shielded(ready(Value(())));
    g.service(pending::<Value<()>>());
    g.defer(yield_now().map(Value));
    let begun = log.clone();
    g.spawn_blocking(move || {
        begun.add("begun");
        computes().map_err(BoxError::from)
    });
    let begun = log.clone();
    g.spawn(blocking(move || {
        begun.add("begun");
        sleep_blocking(LONG).map_err(BoxError::from)
    }));
    let begun = log.clone();
    g.spawn(blocking(move || {
        let ambient = Ambient::current();
        let entered = thread::spawn(move || {
            ambient.enter(|| {
                begun.add("begun");
                block_on(nested())
            })
        });
        entered.join().unwrap().map_err(BoxError::from)
    }));
    [1, 2]
        .iter()
        .for_each(|_| drop(g.spawn(pending::<Value<()>>())));
}

#[derive(Clone)]
struct Waits;

impl Service<()> for Waits {
    type Response = ();
    type Error = Infallible;
    type Future = std::future::Pending<Result<(), Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        pending()
    }
}

#[test]
fn in_the_tree() {
    both(|| async {
        let log = Log::new();
        let group = TaskGroup::<BoxError>::new().name("outer");
        let group = group.grace(Duration::from_millis(1)).run(async |g| {
            start(&g, &log);
            let mut service = ScopeLayer::new(&g, |_| ()).layer(Waits);
            let _response = service.call(());
            while log.count("begun") < 3 {
                yield_now().await;
            }
            yield_now().await;
            let names = ["outer", "named", "request", "scope", "timeout", "blocking"];
            look_at_tree(&names);
            Err::<(), BoxError>("the end".into())
        });
        let error = group.await.unwrap_err();
        has_users_lines(&error.to_string());
        look_at_error(&error);
    });
}

#[test]
fn in_the_tree_of_a_local_group() {
    paused_once(|| async {
        let group = TaskGroup::<BoxError>::default().limit(1);
        let group = group.run_local(async |g| {
            g.spawn_local(pending::<Value<()>>());
            g.reserve()
                .await
                .spawn_named("holding", pending::<Value<()>>());
            g.spawn_named("queued", pending::<Value<()>>());
            yield_now().await;
            look_at_tree(&["group", "holding", "queued"]);
            g.cancel();
            Ok(())
        });
        group.await.unwrap();
    });
}

#[test]
fn in_errors() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().on_failure(OnFailure::Continue);
        let group = group.run(async |g| {
            g.spawn(async { Err::<(), BoxError>("first".into()) });
            g.spawn_blocking(|| Err::<(), BoxError>("second".into()));
            g.spawn_scoped(async {
                assert!(tree().is_empty(), "third");
                Value(())
            });
            g.spawn_named("fourth", async { Err::<(), BoxError>("fourth".into()) });
            g.defer(async { Err::<(), BoxError>("fifth".into()) });
            Ok(())
        });
        let error = group.await.unwrap_err();
        assert_eq!(error.failures().len(), 5);
        has_users_lines(&error.to_string());
        look_at_error(&error);
        for failure in error.failures() {
            has_users_lines(&failure.location().to_string());
        }
    });
}

/// Each of these is dropped where it waits, or fails with nobody there to know.
#[test]
fn in_reports() {
    watch_reports();
    paused_once(|| async {
        let mut lost = Driven::new(nested());
        assert!(lost.poll().is_pending());
        drop(lost);
        look_at_reports("lost cleanup: `defer!`");

        let mut shielded = Driven::new(Scope::new().run(async { shield(pending::<()>()).await }));
        assert!(shielded.poll().is_pending());
        drop(shielded);
        look_at_reports("lost cleanup: a shielded future");

        let overrun = Scope::new()
            .grace(Duration::ZERO)
            .timeout(Duration::from_millis(1));
        overrun.run(stubborn()).await.unwrap_err();
        look_at_reports("the cleanup of `defer!`");

        let mut nowhere = Driven::new(stopping());
        assert!(nowhere.poll().is_pending());
        let mut nowhere = Driven::new(cancelled());
        assert!(nowhere.poll().is_pending());
        look_at_reports("`cancelled()`");

        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.defer(pending::<Value<()>>());
            g.spawn(async { Err::<(), BoxError>("heard by nobody".into()) });
            pending::<()>().await;
            Ok(())
        });
        let mut group = Driven::new(group);
        assert!(group.poll().is_pending());
        yield_now().await;
        drop(group);
        look_at_reports("heard by nobody");
        look_at_reports("deferred");

        let stalled = TaskGroup::<BoxError>::new().limit(1).run(async |g| {
            let again = g.clone();
            g.spawn(async move {
                drop(again.reserve().await);
                Value(())
            });
            pending::<()>().await;
            Ok(())
        });
        timeout(Duration::from_millis(10), stalled)
            .await
            .unwrap_err();
        look_at_reports("wait");
    });

    #[cancellable]
    async fn stubborn() {
        defer! { pending::<()>().await; }
        pending::<()>().await;
    }
}

#[test]
fn in_reports_about_blocking_work() {
    watch_reports();
    watched(|| {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (go_on, waits) = mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let work = blocking(move || {
            checkpoint_blocking().unwrap();
            begun.send(()).unwrap();
            Value(waits.recv().unwrap_err())
        });
        runtime.block_on(async {
            let mut work = Driven::new(work);
            assert!(work.poll().is_pending());
            has_begun.await.unwrap();
        });
        look_at_reports("blocking work");
        drop(go_on);
    });
}

#[test]
fn in_panics() {
    both(|| async {
        let mut done = Driven::new(timeout(LONG, ready(())));
        assert!(done.poll().is_ready());
        look_at_panic(|| done.poll());
        let mut done = Driven::new(shield(ready(())));
        assert!(done.poll().is_ready());
        look_at_panic(|| done.poll());
        let mut done = Driven::new(task_group!(|_| Ok::<_, BoxError>(())));
        assert!(done.poll().is_ready());
        look_at_panic(|| done.poll());

        let leaks = caught(assert_no_leaks(async {
            let mut lost = Driven::new(nested());
            assert!(lost.poll().is_pending());
        }));
        has_users_lines(&text_of(&*leaks.await.unwrap_err()));
    });
    watched(|| {
        look_at_panic(|| {
            cancel_everywhere(|| async { Driven::new(nested()).pending() }).check(|| ())
        });
    });
}
