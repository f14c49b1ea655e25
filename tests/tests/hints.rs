//! Blocks that are spawned in a group's body need not name their error type.

use std::io;
use std::num::ParseIntError;

use taskscope::{BoxError, Group, TaskError, Value, cancellable, task_group};
use taskscope_tests::both;
use tokio::task::yield_now;

async fn number(text: &str) -> Result<u32, ParseIntError> {
    yield_now().await;
    text.parse()
}

#[cancellable]
async fn every_way_to_spawn() -> Result<u32, BoxError> {
    let sum = task_group!(limit = 9, |g| {
        let mut tasks = Vec::new();
        tasks.push(g.spawn(async {
            let n = number("1").await?;
            Ok(n)
        }));
        tasks.push(g.spawn_named("two", async {
            let n = number("2").await?;
            std::result::Result::Ok(n)
        }));
        let text = String::from("3");
        tasks.push(g.spawn_scoped(async move {
            if text.is_empty() {
                return Err("empty".into());
            }
            let n = number(&text).await?;
            Ok(n)
        }));
        tasks.push(g.spawn_shielded(async {
            let n = number("4").await?;
            Ok(n)
        }));
        tasks.push(g.spawn_blocking(|| {
            let n: u32 = "5".parse()?;
            Ok(n)
        }));
        g.service(async {
            number("6").await?;
            Ok(())
        });
        g.defer(async {
            number("7").await?;
            Ok(())
        });
        let permit = g.reserve().await;
        tasks.push(permit.spawn(async {
            let n = number("8").await?;
            Ok(n)
        }));
        tasks.push(g.reserve().await.spawn(async {
            let n = number("9").await?;
            Ok(n)
        }));
        let other = g.clone();
        tasks.push(other.spawn(async {
            let n = number("10").await?;
            Ok(n)
        }));
        let mut sum = 0;
        for task in tasks {
            sum += task.await?;
        }
        Ok(sum)
    })
    .await?;
    Ok(sum)
}

#[cancellable]
async fn in_loops_and_nested_groups() -> Result<usize, BoxError> {
    let count = task_group!(|g| {
        for text in ["1", "2"] {
            if text == "1" {
                g.spawn(async move {
                    number(text).await?;
                    Ok(())
                });
            }
            let permit = g.reserve().await;
            permit.spawn(async move {
                number(text).await?;
                Ok(())
            });
        }
        let inner = task_group!(error = io::Error, |h| {
            while h.is_empty() {
                h.spawn(async {
                    let n = tokio::fs::metadata("/").await?.len();
                    Ok(n)
                });
            }
            let deep = task_group!(|i| {
                let task = i.spawn(async {
                    let n = number("7").await?;
                    Ok(n)
                });
                Ok(task.await?)
            });
            deep.await.map_err(io::Error::other)
        })
        .await?;
        Ok(g.len() + inner as usize)
    })
    .await?;
    Ok(count)
}

/// The error that a `return` names stays the block's own.
#[cancellable]
async fn a_return_names_the_error() -> Result<u32, BoxError> {
    let n = task_group!(|g| {
        let task = g.spawn(async {
            if number("1").await.is_err() {
                return Err(io::Error::other("no number"));
            }
            let file = tokio::fs::metadata("/").await?;
            Ok(u32::from(file.is_dir()))
        });
        Ok(task.await?)
    });
    Ok(n.await?)
}

/// As is what is spawned through a name that no longer means the group.
#[cancellable]
async fn a_name_means_something_else() -> u32 {
    struct Other;
    impl Other {
        async fn spawn<F: Future<Output = Result<u32, ParseIntError>>>(&self, f: F) -> u32 {
            f.await.unwrap_or(0)
        }
    }
    let n = task_group!(|g| {
        let other = g.clone();
        drop(other);
        let other = Other;
        let n = other
            .spawn(async {
                let n = number("3").await?;
                Ok(n)
            })
            .await;
        Ok(n)
    });
    n.await.unwrap()
}

#[derive(Debug)]
enum Own {
    Parse(ParseIntError),
    Task(TaskError),
}

impl std::fmt::Display for Own {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::Task(error) => error.fmt(f),
        }
    }
}

impl From<ParseIntError> for Own {
    fn from(error: ParseIntError) -> Self {
        Self::Parse(error)
    }
}

impl From<TaskError> for Own {
    fn from(error: TaskError) -> Self {
        Self::Task(error)
    }
}

async fn through_a_function(g: &Group<'static, Own>) -> Result<u32, TaskError> {
    g.spawn(async { Value(5) }).await
}

#[cancellable]
async fn with_an_own_error(text: &'static str) -> Result<u32, Own> {
    let n = task_group!(error = Own, |g| {
        let task = g.spawn(async move {
            let n = number(text).await?;
            Ok(n)
        });
        Ok(task.await? + through_a_function(&g).await?)
    });
    n.await.map_err(taskscope::GroupError::into_first)
}

#[test]
fn all_of_them_run() {
    both(|| async {
        assert_eq!(every_way_to_spawn().await.unwrap(), 42);
        assert!(in_loops_and_nested_groups().await.unwrap() >= 7);
        assert_eq!(a_return_names_the_error().await.unwrap(), 1);
        assert_eq!(a_name_means_something_else().await, 3);
        assert_eq!(with_an_own_error("2").await.unwrap(), 7);
        assert!(matches!(with_an_own_error("x").await, Err(Own::Parse(_))));
    });
}
