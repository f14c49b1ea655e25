//! How the errors of groups and tasks read: as a tree, on one line, and what they name.

use std::fmt;
use std::future::pending;

use taskscope::{BoxError, Group, OnFailure, TaskError, TaskGroup};
use taskscope_tests::paused;

/// An error of a library that passes on another one's text.
#[derive(Debug)]
struct Wrapped(String);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wrapped: {}", self.0)
    }
}

impl std::error::Error for Wrapped {}

fn import() -> TaskGroup<BoxError> {
    let group = TaskGroup::<BoxError>::new().name("import");
    group.on_failure(OnFailure::Continue)
}

fn spawn_failing(g: &Group<'_, BoxError>, name: &'static str, error: impl Into<BoxError>) -> u32 {
    let error = error.into();
    g.spawn_named(name, async move { Err::<(), BoxError>(error) });
    line!() - 1
}

#[test]
fn on_one_line_a_group_lists_its_failures() {
    paused(|| async {
        let mut line = 0;
        let error = import().run(async |g| {
            line = spawn_failing(&g, "users", "no such\ntable");
            spawn_failing(&g, "orders", "no space");
            Ok(())
        });
        let error = error.await.unwrap_err();
        let text = format!("{error:#}");
        let at = format!("{}:{line}:", file!());
        let users = format!("group `import`: 2 tasks failed: `users` ({at}");
        assert!(text.starts_with(&users), "{text}");
        let rest = text.strip_prefix(&users).unwrap();
        let (_, rest) = rest.split_once("): ").unwrap();
        let orders = format!("no such table; `orders` ({at}");
        assert!(rest.starts_with(&orders), "{text}");
        assert!(rest.ends_with("): no space"), "{text}");
        let tree = error.to_string();
        assert_eq!(tree.lines().count(), 4, "{tree}");
        let first = format!("{:#}", error.failures()[0]);
        assert!(first.ends_with("): no such table"), "{first}");
    });
}

/// Also where an error in between has written the tree of the inner group.
#[test]
fn a_group_in_a_group_is_on_the_same_line() {
    paused(|| async {
        for wrap in [false, true] {
            let error = import().run(async |g| {
                g.spawn_named("inner", async move {
                    let inner = import().run(async |g| {
                        spawn_failing(&g, "users", "no such table");
                        spawn_failing(&g, "orders", "no space");
                        Ok(())
                    });
                    let inner = inner.await.unwrap_err();
                    let error: BoxError = match wrap {
                        true => Wrapped(inner.to_string()).into(),
                        false => inner.into(),
                    };
                    Err::<(), BoxError>(error)
                });
                Ok(())
            });
            let text = format!("{:#}", error.await.unwrap_err());
            assert_eq!(text.lines().count(), 1, "{text}");
            for part in ["1 task failed: `inner` (", "2 tasks failed", "; `orders` ("] {
                assert!(text.contains(part), "{text}");
            }
            assert!(!text.contains(['├', '└', '│']), "{text}");
        }
    });
}

#[test]
fn a_body_and_a_deferred_cleanup_are_no_tasks() {
    paused(|| async {
        let error = import().run(async |_| Err::<(), BoxError>("no luck".into()));
        let text = error.await.unwrap_err().to_string();
        assert!(
            text.starts_with("group `import`: the body failed\n"),
            "{text}"
        );

        let error = import().run(async |g| {
            let users = async { Err::<(), BoxError>("no such table".into()) };
            g.spawn_named("users", users).await.unwrap_err();
            g.defer(async { Err::<(), BoxError>("still open".into()) });
            Err::<(), BoxError>("no luck".into())
        });
        let text = error.await.unwrap_err().to_string();
        let head = "group `import`: the body, 1 task and 1 deferred cleanup failed\n";
        assert!(text.starts_with(head), "{text}");
    });
}

#[test]
fn a_handle_names_the_cancelled_task() {
    paused(|| async {
        let mut sibling = None;
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let task = g.spawn_named("worker", pending::<()>());
            task.cancel();
            let told = task.await.unwrap_err();
            assert_eq!(told.to_string(), "task `worker` was cancelled: requested");
            let TaskError::Cancelled(cancelled) = told else {
                panic!("{told:?}");
            };
            assert_eq!(cancelled.to_string(), "`worker` was cancelled: requested");
            sibling = Some(g.spawn_named("sibling", pending::<()>()));
            g.handle().cancel();
            Ok(())
        });
        group.await.ok();
        // The cancellation began in the group.
        let told = sibling.unwrap().await.unwrap_err();
        assert_eq!(told.to_string(), "task `sibling` was cancelled: requested");
    });
}
