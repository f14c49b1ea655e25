//! What tasks are called that were given no name.

use std::future::pending;
use std::pin::Pin;
use std::time::Duration;

use taskscope::{BoxError, GroupError, OnFailure, Scope, TaskGroup, tree};
use taskscope::{cancellable, join, race, shield, task_group, timeout};
use taskscope_tests::{paused, watched};

type Outcome = Result<(), &'static str>;

async fn fails() -> Outcome {
    Err("on purpose")
}

async fn generic<T: Send>(value: T) -> Outcome {
    drop(value);
    fails().await
}

#[allow(clippy::manual_async_fn, reason = "its future is a block")]
fn returns_a_block() -> impl Future<Output = Outcome> {
    async { Err("on purpose") }
}

async fn hangs() {
    pending::<()>().await;
}

#[cancellable]
async fn annotated() -> Outcome {
    fails().await
}

struct Plain;
struct Of<T>(T);

trait Works {
    fn work(self) -> impl Future<Output = Outcome> + Send;
}

impl Plain {
    async fn method() -> Outcome {
        fails().await
    }
}

impl<T: Send> Of<T> {
    async fn method(self) -> Outcome {
        generic(self.0).await
    }
}

impl Works for Plain {
    async fn work(self) -> Outcome {
        fails().await
    }
}

mod elsewhere {
    impl super::Plain {
        pub(super) async fn other() -> super::Outcome {
            super::fails().await
        }
    }

    impl super::Works for Vec<u8> {
        async fn work(self) -> super::Outcome {
            super::fails().await
        }
    }
}

fn group() -> TaskGroup {
    TaskGroup::new().on_failure(OnFailure::Continue)
}

/// The names of the tasks of a group, which all fail, in order of their spawning.
async fn names(group: impl Future<Output = Result<(), GroupError>>) -> Vec<String> {
    let error = group.await.unwrap_err();
    let mut failures: Vec<_> = error.failures().iter().collect();
    failures.sort_by_key(|failure| failure.id());
    let names = failures.iter().map(|failure| failure.name().to_owned());
    names.collect()
}

/// A block of the function of this name, spawned in this line.
fn block(function: &str, line: u32) -> String {
    format!("it::names::{function} ({}:{line})", file!())
}

#[test]
fn a_function_gives_its_name() {
    paused(|| async {
        let names = names(group().run(async |g| {
            g.spawn(fails());
            g.spawn(annotated());
            g.spawn(returns_a_block());
            g.spawn(generic(Plain));
            g.spawn(Plain::method());
            g.spawn(Of(1_u8).method());
            g.spawn(Plain.work());
            g.spawn(Plain::other());
            g.spawn(vec![1].work());
            g.spawn_blocking(|| Err::<(), _>("on purpose")).await.ok();
            Ok(())
        }))
        .await;
        assert_eq!(
            names[..9],
            [
                "it::names::fails",
                "it::names::annotated",
                "it::names::returns_a_block",
                "it::names::generic<it::names::Plain>",
                "it::names::Plain::method",
                "it::names::Of<u8>::method",
                "<it::names::Plain as it::names::Works>::work",
                "it::names::Plain::other",
                "<alloc::vec::Vec<u8> as it::names::Works>::work",
            ]
        );
        let blocking = block("a_function_gives_its_name", line!() - 18);
        assert_eq!(names[9], blocking);
    });
}

#[test]
fn what_only_passes_a_future_on_does_not_change_its_name() {
    paused(|| async {
        let names = names(group().run(async |g| {
            g.spawn(shield(fails()));
            g.spawn(Box::pin(fails()));
            g.spawn(shield(Box::pin(annotated())));
            g.spawn_shielded(fails());
            g.service(shield(fails()));
            g.spawn(tokio::task::unconstrained(fails()));
            Ok(())
        }))
        .await;
        for (name, function) in
            names
                .iter()
                .zip(["fails", "fails", "annotated", "fails", "fails", "fails"])
        {
            assert_eq!(*name, format!("it::names::{function}"));
        }
        assert_eq!(names.len(), 6);
    });
}

#[test]
fn scopes_are_named_after_what_runs_in_them() {
    paused(|| async {
        let group = TaskGroup::<taskscope::Cancelled>::new();
        let seen = group.run(async |g| {
            let scope = g.spawn(async { Scope::new().run(pending::<()>()).await });
            let scope = (scope.name(), g.spawn(Scope::new().run(hangs())).name());
            let limited = g.spawn(timeout(Duration::from_secs(9), hangs())).name();
            g.cancel();
            Ok((scope, limited))
        });
        let ((of_block, of_scope), limited) = seen.await.unwrap();
        let line = line!() - 7;
        let function = "scopes_are_named_after_what_runs_in_them";
        assert_eq!(of_block, block(function, line));
        assert_eq!(of_scope, "it::names::hangs");
        assert_eq!(limited, "it::names::hangs");
    });
}

#[test]
fn a_block_is_named_after_the_function_around_it_and_its_line() {
    paused(|| async {
        let first = line!() + 2;
        let names = names(group().run(async |g| {
            g.spawn(async { Err::<(), _>("on purpose") });
            g.spawn(async { join!(fails(), fails()).0 });
            g.spawn(async {
                race! { it = fails() => it }
            });
            let closure = async || Err::<(), _>("on purpose");
            g.spawn(closure());
            let boxed: Pin<Box<dyn Future<Output = Outcome> + Send>> = Box::pin(fails());
            g.spawn(boxed);
            Ok(())
        }))
        .await;
        let function = "a_block_is_named_after_the_function_around_it_and_its_line";
        assert_eq!(
            names,
            [
                block(function, first),
                block(function, first + 1),
                block(function, first + 2),
                block(function, first + 6),
                format!("future ({}:{})", file!(), first + 8),
            ]
        );
    });
}

#[test]
fn a_name_of_the_users_is_taken_as_it_is() {
    paused(|| async {
        let names = names(group().run(async |g| {
            g.spawn_named("a::{{closure}}", fails());
            Ok(())
        }));
        assert_eq!(names.await, ["a::{{closure}}"]);
    });
}

#[taskscope::test]
async fn the_entry_macros_leave_no_name_of_their_own() {
    let first = line!() + 2;
    let group = task_group!(on_failure = OnFailure::Continue, |g| {
        g.spawn(async { Err::<(), _>("first") });
        g.spawn(async { Err::<(), _>("second") });
        g.spawn_named("third", async { Err::<(), _>("third") });
        yield_to_all().await;
        Ok(tree().to_string())
    });
    let error = group.await.unwrap_err().to_string();
    let function = "it::names::the_entry_macros_leave_no_name_of_their_own";
    for (line, text) in [(first, "first"), (first + 1, "second")] {
        let listed = format!("`{function} ({}:{line})`: {text}", file!());
        assert!(error.contains(&listed), "{error}");
    }
    let named = format!("`third` ({}:{}:11): third", file!(), first + 2);
    assert!(error.contains(&named), "{error}");
    assert!(!error.contains("__taskscope"), "{error}");

    #[cancellable]
    async fn inner() -> Outcome {
        fails().await
    }
    let error = task_group!(|g| {
        g.spawn(inner());
        Ok(())
    });
    let error = error.await.unwrap_err();
    assert_eq!(error.failures()[0].name(), format!("{function}::inner"));
}

async fn yield_to_all() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

/// An error without a text is told by its type.
#[taskscope::test]
async fn the_type_of_an_error_is_named_as_in_the_source() {
    struct Mute;

    let mut sibling = None;
    let group = TaskGroup::<Mute>::new().run(async |g| {
        sibling = Some(g.spawn(pending::<()>()));
        g.spawn(async { Err::<(), _>(Mute) });
        Ok(())
    });
    group.await.unwrap_err();
    let told = sibling.unwrap().await.unwrap_err().to_string();
    let name = "it::names::the_type_of_an_error_is_named_as_in_the_source::Mute";
    assert!(told.ends_with(&format!("failed: a `{name}`")), "{told}");
    assert!(!told.contains("__taskscope"), "{told}");
}

#[test]
fn a_line_printed_once() {
    paused(|| async {
        let scope = Scope::new().name("printed_once");
        let line = line!() + 3;
        let seen = scope.run(async {
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                g.spawn(async { pending::<()>().await });
                yield_to_all().await;
                let seen = (tree().to_string(), tree().to_mermaid());
                g.cancel();
                Ok(seen)
            });
            group.await.unwrap()
        });
        let (text, chart) = seen.await.unwrap();
        let place = format!("{}:{line}", file!());
        // The text leaves out the crate.
        let name = "names::a_line_printed_once";
        for (seen, rail) in [(&text, "└─ "), (&chart, "([\"it::")] {
            let row = seen.lines().find(|row| row.contains(&place));
            let row = row.unwrap_or_else(|| panic!("{seen}"));
            assert_eq!(seen.matches(&place).count(), 1, "{seen}");
            assert!(
                row.contains(&format!("{rail}{name} ({place})")),
                "{row}\n{seen}"
            );
        }
    });
}

#[test]
fn generic_names_are_shown_in_a_tree_without_their_modules() {
    watched(|| {
        paused(|| async {
            let group = TaskGroup::<BoxError>::new()
                .name("generics")
                .run(async |g| {
                    g.spawn(pending::<()>());
                    g.spawn(<Plain as Waits>::wait());
                    yield_to_all().await;
                    let seen = tree().to_string();
                    g.cancel();
                    Ok(seen)
                });
            let text = group.await.unwrap();
            assert!(text.contains("─ Pending<()>  running "), "{text}");
            assert!(
                text.contains("─ <Plain as Waits>::wait  running "),
                "{text}"
            );
        });
    });

    trait Waits {
        fn wait() -> impl Future<Output = ()> + Send;
    }

    impl Waits for Plain {
        async fn wait() {
            pending::<()>().await;
        }
    }
}
