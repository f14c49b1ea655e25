//! A future that has completed panics when it is polled again, and says which one it was.

use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use taskscope::{BoxError, Scope, TaskGroup, Value, blocking, join, race, shield, task_group};
use taskscope::{timeout, tree, try_join};
use taskscope_tests::{Driven, both, text_of};

/// The message of a poll that must panic.
#[track_caller]
fn panics<F: Future>(future: &mut Driven<F>) -> String {
    let polled = catch_unwind(AssertUnwindSafe(|| future.poll().map(drop)));
    text_of(&*polled.expect_err("it can be polled again"))
}

/// Completes, panics when it is polled again, and goes on panicking.
async fn assert_named<F: Future>(name: &str, line: u32, future: F) {
    let mut future = Driven::new(future);
    while let Ok(polled) = catch_unwind(AssertUnwindSafe(|| future.poll().map(drop))) {
        if polled.is_ready() {
            break;
        }
        tokio::task::yield_now().await;
    }
    let told = format!("`{name}` at {}:{line}:", file!());
    for _ in 0..2 {
        let text = panics(&mut future);
        assert!(text.starts_with(&told), "{text}");
        assert!(text.ends_with("polled after completion"), "{text}");
    }
    let seen = tree();
    let left: Vec<_> = seen
        .entries()
        .filter(|entry| entry.name() == name && entry.location().file() == file!())
        .collect();
    assert!(left.is_empty(), "it is in the tree again: {left:?}");
}

#[test]
fn scopes_and_timeouts() {
    both(|| async {
        let long = Duration::from_secs(3600);
        assert_named("timeout", line!(), timeout(long, ready(()))).await;
        assert_named("timeout", line!(), timeout(Duration::ZERO, pending::<()>())).await;
        assert_named("part", line!(), Scope::new().name("part").run(ready(()))).await;
        let explodes = async { panic!("on purpose") };
        assert_named("scope", line!(), Scope::new().run(explodes)).await;
        let scope = Scope::new().cancel_when(async { panic!("on purpose") });
        assert_named("scope", line!() - 1, scope.run(pending::<()>())).await;
    });
}

/// Inside of another scope it panics as well, and the scope is as it was.
#[test]
fn in_a_scope() {
    both(|| async {
        let inside = async {
            let done = Scope::new().name("inside").run(ready(()));
            assert_named("inside", line!() - 1, done).await;
        };
        Scope::new().name("around").run(inside).await.unwrap();
    });
}

#[test]
fn groups() {
    both(|| async {
        type Tasks = TaskGroup<BoxError>;
        let group = Tasks::new().name("done");
        assert_named("done", line!() - 1, group.run(async |_| Ok(()))).await;
        let group = Tasks::new().name("failed");
        let fails = group.run(async |_| Err::<(), _>("on purpose".into()));
        assert_named("failed", line!() - 2, fails).await;
        let line = line!() + 1;
        let group = Tasks::new().name("exploded");
        let explodes = group.run(async |g| {
            g.spawn(async { panic!("on purpose") });
            Ok(())
        });
        assert_named("exploded", line, explodes).await;
    });
}

/// Its body does not even begin.
#[test]
fn a_group_whose_body_cannot_be_made() {
    both(|| async {
        fn explodes(_: taskscope::Group<'_>) -> std::future::Pending<Result<(), BoxError>> {
            panic!("on purpose")
        }
        let group = TaskGroup::<BoxError>::new().name("unmade");
        assert_named("unmade", line!() - 1, group.run(explodes)).await;
    });
}

#[test]
fn shields_and_blocking_work() {
    both(|| async {
        assert_named("shield", line!(), shield(ready(()))).await;
        assert_named("blocking", line!(), blocking(|| ())).await;
    });
}

/// They are awaited inside their macros: polled again, the async block panics.
#[test]
fn macros() {
    both(|| async {
        type Any = std::pin::Pin<Box<dyn Future<Output = ()>>>;
        let futures: [Any; 4] = [
            Box::pin(async { assert_eq!(join!(ready(1), ready(2)), (1, 2)) }),
            Box::pin(async { try_join!(ready(Ok::<_, ()>(()))).map(drop).unwrap() }),
            Box::pin(async {
                race! { () = ready(()) => {} }
            }),
            Box::pin(async { task_group!(|_g| Ok(())).await.unwrap() }),
        ];
        for future in futures {
            let mut future = Driven::new(future);
            future.finish();
            panics(&mut future);
        }
    });
}

#[test]
fn handles() {
    both(|| async {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let mut task = g.spawn_named("seven", async { Value(7) });
            assert_eq!((&mut task).await?, 7);
            let text = panics(&mut Driven::new(task));
            assert!(text.contains("`seven`"), "{text}");
            Ok(())
        });
        group.await.unwrap();
    });
}
