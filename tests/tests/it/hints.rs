//! Blocks that are spawned in a group's body need not name their error type.

use std::io;
use std::num::ParseIntError;

use taskscope::{
    BoxError, Group, LocalGroup, Permit, TaskError, Value, cancellable, race, task_group,
};
use taskscope_tests::{both, paused_once};
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
        let text = String::from("3");
        tasks.push(g.spawn({
            let text = text.clone();
            async move {
                let n = number(&text).await? - 3;
                Ok(n)
            }
        }));
        tasks.push(g.spawn_blocking({
            let text = text.clone();
            move || {
                let n = text.parse::<u32>()? - 3;
                Ok(n)
            }
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

/// Without a `?` there is no error at all, and in a macro it is one, too.
#[cancellable]
async fn no_question_mark_in_sight() -> Result<u32, BoxError> {
    let n = task_group!(|g| {
        let none = g.spawn(async {
            yield_now().await;
            println!("no error");
            Ok(1)
        });
        let hidden = g.spawn(async {
            let n = race! {
                n = number("2") => n?,
                () = std::future::pending() => 0,
            };
            Ok(n)
        });
        Ok(none.await? + hidden.await?)
    });
    Ok(n.await?)
}

/// A macro may return an error of its own.
#[cancellable]
async fn macros_that_return() -> Result<u32, BoxError> {
    macro_rules! positive {
        ($n:expr) => {
            if $n == 0 {
                return Err(io::Error::other("zero"));
            }
        };
    }
    let n = task_group!(|g| {
        let of_anyhow = g.spawn(async {
            let n = number("3").await?;
            anyhow::ensure!(n > 0, "zero");
            if n > 5 {
                anyhow::bail!("much");
            }
            Ok(n)
        });
        let own = g.spawn(async {
            let n = 4;
            positive!(n);
            Ok(n)
        });
        Ok(of_anyhow.await? + own.await?)
    });
    Ok(n.await?)
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

/// Other code that binds the name of a group hides it there alone.
#[cancellable]
async fn bound_again_beside(numbers: Vec<u32>) -> u32 {
    let n = task_group!(|g| {
        let sum: u32 = numbers.iter().filter(|g| **g > 0).sum();
        let mut last = 0;
        for g in numbers {
            last = g;
        }
        let other = match last {
            0 => 7,
            g => g,
        };
        if let Some(g) = Some(other) {
            last += g;
        }
        {
            let g = 1;
            last += g;
        }
        let task = g.spawn(async {
            let n = number("4").await?;
            Ok(n)
        });
        let borrowed = &g;
        let again = borrowed.spawn(async {
            let n = number("5").await?;
            Ok(n)
        });
        Ok(sum + last + task.await? + again.await?)
    });
    n.await.unwrap()
}

/// A function that is given a group knows it, too, and its error by its type.
#[cancellable]
async fn given_a_group(g: &Group<'_>) -> Result<u32, TaskError> {
    let task = g.spawn(async {
        let n = number("1").await?;
        Ok(n)
    });
    let other = &g.clone();
    let third = (other).clone();
    let blocking = other.spawn_blocking(|| {
        let n: u32 = "2".parse()?;
        Ok(n)
    });
    let last = third.spawn(async {
        let n = number("3").await?;
        Ok(n)
    });
    Ok(task.await? + blocking.await? + last.await?)
}

#[cancellable]
async fn given_one_of_an_own_error(group: Group<'static, Own>) -> Result<u32, TaskError> {
    let task = group.spawn(async {
        let n = number("4").await?;
        Ok(n)
    });
    task.await
}

#[cancellable]
async fn given_one_of_any_error<E>(text: &str, g: &Group<'_, E>) -> Result<u32, TaskError>
where
    E: From<ParseIntError> + Send + 'static,
{
    let text = text.to_owned();
    let task = g.spawn(async move {
        let n = number(&text).await?;
        Ok(n)
    });
    task.await
}

#[cancellable]
async fn given_a_permit(permit: Permit<Own>) -> Result<u32, TaskError> {
    let task = permit.spawn(async {
        let n = number("6").await?;
        Ok(n)
    });
    task.await
}

struct Tasks;

#[cancellable]
impl Tasks {
    async fn given_a_local_one(&self, g: &LocalGroup<'_, Own>) -> Result<u32, TaskError> {
        let task = g.spawn_local(async {
            let n = number("7").await?;
            Ok(n)
        });
        task.await
    }
}

/// In the body of a group inside, the outer ones are known by their names.
#[cancellable]
async fn outer_groups(given: &Group<'_, Own>) -> Result<u32, BoxError> {
    let n = task_group!(error = Own, |g| {
        let deep = task_group!(|_| {
            let a = g.spawn(async {
                let n = number("8").await?;
                Ok(n)
            });
            let b = given.spawn(async {
                let n = number("9").await?;
                Ok(n)
            });
            let deepest = task_group!(error = _, |h| {
                let c = g.reserve().await.spawn(async {
                    let n = number("10").await?;
                    Ok(n)
                });
                let d = h.spawn(async { Value(1) });
                Ok::<_, TaskError>(c.await? + d.await?)
            });
            Ok(a.await? + b.await? + deepest.await?)
        });
        let n = deep.await.map_err(|failed| failed.to_string());
        n.map_err(|_| number_error())
    });
    Ok(n.await?)
}

fn number_error() -> Own {
    Own::Parse("x".parse::<u32>().unwrap_err())
}

/// Types that are called as ours are have errors of their own.
mod others {
    use super::{Value, cancellable, number, task_group};
    use std::num::ParseIntError;

    pub(crate) struct Group<T>(pub(crate) T);
    pub(crate) struct Permit;

    impl<T> Group<T> {
        pub(crate) async fn spawn<F: Future<Output = Result<u32, ParseIntError>>>(
            &self,
            f: F,
        ) -> u32 {
            f.await.unwrap_or(0)
        }

        pub(crate) fn spawn_blocking<F: FnOnce() -> Result<u32, ParseIntError>>(
            &self,
            f: F,
        ) -> u32 {
            f().unwrap_or(0)
        }
    }

    impl Permit {
        pub(crate) async fn spawn<F: Future<Output = Result<u32, ParseIntError>> + Send>(
            self,
            f: F,
        ) -> u32 {
            f.await.unwrap_or(0)
        }
    }

    #[cancellable]
    pub(crate) async fn spawn_all(group: &Group<&str>, permit: Permit) -> u32 {
        let a = group.spawn(async {
            let n = number(group.0).await?;
            Ok(n)
        });
        let b = group.spawn_blocking(|| {
            let n = group.0.parse::<u32>()?;
            Ok(n)
        });
        let c = permit.spawn(async {
            let n = number("1").await?;
            Ok(n)
        });
        a.await + b + c.await
    }

    /// What is called as the group is, in a piece of its body.
    #[cancellable]
    pub(crate) async fn shadowed() -> u32 {
        let n = task_group!(|g| {
            let mut sum = 0;
            for g in [Group("2"), Group("3")] {
                let task = g.spawn(async {
                    let n = number(g.0).await?;
                    Ok(n)
                });
                sum += task.await;
            }
            if let Some(g) = Some(Group("4")) {
                let task = g.spawn(async {
                    let n = number(g.0).await?;
                    Ok(n)
                });
                sum += task.await;
            }
            let one = async |g: Group<&'static str>| {
                let task = g.spawn(async {
                    let n = number(g.0).await?;
                    Ok(n)
                });
                task.await
            };
            sum += one(Group("5")).await;
            let other = Group("6");
            {
                let other = g.clone();
                other.spawn(async { Value(0) });
            }
            let task = other.spawn(async {
                let n = number(other.0).await?;
                Ok(n)
            });
            sum += task.await;
            let inner = task_group!(|other| {
                let task = other.spawn(async {
                    let n = number("7").await?;
                    Ok(n)
                });
                Ok(task.await?)
            });
            Ok(sum + inner.await?)
        });
        n.await.unwrap()
    }
}

#[test]
fn groups_that_a_function_is_given() {
    both(|| async {
        let sum = task_group!(error = Own, |g| {
            let permit = g.reserve().await;
            let sum = given_one_of_an_own_error(g.clone()).await?
                + given_one_of_any_error("5", &g).await?
                + given_a_permit(permit).await?;
            let outer = outer_groups(&g).await;
            Ok(sum + outer.map_err(|_| number_error())?)
        });
        assert_eq!(sum.await.unwrap(), 4 + 5 + 6 + 8 + 9 + 10 + 1);
        let sum = task_group!(|g| { Ok(given_a_group(&g).await?) });
        assert_eq!(sum.await.unwrap(), 6);
    });
    paused_once(|| async {
        let n = task_group!(local, error = Own, |g| {
            Ok(Tasks.given_a_local_one(&g).await?)
        });
        assert_eq!(n.await.unwrap(), 7);
    });
}

#[test]
fn what_only_goes_by_the_name_of_a_group() {
    both(|| async {
        assert_eq!(
            others::spawn_all(&others::Group("3"), others::Permit).await,
            7
        );
        assert_eq!(others::shadowed().await, 27);
    });
}

#[test]
fn all_of_them_run() {
    both(|| async {
        assert_eq!(every_way_to_spawn().await.unwrap(), 42);
        assert!(in_loops_and_nested_groups().await.unwrap() >= 7);
        assert_eq!(no_question_mark_in_sight().await.unwrap(), 3);
        assert_eq!(macros_that_return().await.unwrap(), 7);
        assert_eq!(a_return_names_the_error().await.unwrap(), 1);
        assert_eq!(a_name_means_something_else().await, 3);
        assert_eq!(bound_again_beside(vec![1, 2]).await, 3 + 2 + 2 + 1 + 9);
        assert_eq!(with_an_own_error("2").await.unwrap(), 7);
        assert!(matches!(with_an_own_error("x").await, Err(Own::Parse(_))));
    });
}
