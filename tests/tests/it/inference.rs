//! What type inference must manage without help, as users write it. Each form
//! runs on both runtimes, and as a task of tokio, so it is `Send`.

use std::fmt::{Debug, Display};
use std::future::Future;
use std::io;
use std::num::ParseIntError;
use std::sync::Arc;
use std::time::Duration;

use taskscope::{
    BoxError, Group, GroupError, OnFailure, Scope, TaskError, TaskGroup, TaskHandle, Value,
    cancellable, task_group, timeout,
};
use taskscope_tests::both;

/// Runs it here and in a `tokio::spawn`, on both runtimes.
#[track_caller]
fn everywhere<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    both(|| {
        let (here, elsewhere) = (make(), make());
        async {
            here.await;
            tokio::spawn(elsewhere).await.unwrap();
        }
    });
}

async fn parse(text: &'static str) -> Result<u32, ParseIntError> {
    tokio::task::yield_now().await;
    text.parse()
}

async fn length(text: &str) -> Value<usize> {
    tokio::task::yield_now().await;
    Value(text.len())
}

#[derive(Debug)]
#[allow(dead_code, reason = "read through `Debug`")]
enum AppError {
    Task(TaskError),
    Parse(ParseIntError),
    Group(GroupError<ParseError>),
    Empty,
}

impl From<TaskError> for AppError {
    fn from(error: TaskError) -> Self {
        AppError::Task(error)
    }
}

impl From<ParseIntError> for AppError {
    fn from(error: ParseIntError) -> Self {
        AppError::Parse(error)
    }
}

impl From<GroupError<ParseError>> for AppError {
    fn from(error: GroupError<ParseError>) -> Self {
        AppError::Group(error)
    }
}

#[derive(Debug)]
#[allow(dead_code, reason = "read through `Debug`")]
enum ParseError {
    Task(TaskError),
    Int(ParseIntError),
}

impl From<TaskError> for ParseError {
    fn from(error: TaskError) -> Self {
        ParseError::Task(error)
    }
}

impl From<ParseIntError> for ParseError {
    fn from(error: ParseIntError) -> Self {
        ParseError::Int(error)
    }
}

#[test]
fn question_mark_on_handles_with_the_default_error() {
    everywhere(|| async {
        let sum = task_group!(|g| {
            let a = g.spawn(parse("1"));
            let b = g.spawn_scoped(length("two"));
            let c = g.spawn(async { Ok::<_, BoxError>(3_u64) });
            Ok(u64::from(a.await?) + b.await? as u64 + c.await?)
        });
        assert_eq!(sum.await.unwrap(), 7);

        // The builder, and an error that no task has: `?` boxes it.
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn(parse("1")).await?;
            let number: i8 = "x".parse()?;
            Ok(number)
        });
        let failed = group.await.unwrap_err();
        let error = failed.first().unwrap().error().unwrap();
        assert!(error.is::<ParseIntError>(), "{failed}");
    });
}

#[test]
fn every_kind_of_task_in_one_group() {
    everywhere(|| async {
        let group = task_group!(|g| {
            let unit: TaskHandle<()> = g.spawn(async {});
            let value = g.spawn(async { Value("value") });
            let result = g.spawn(parse("3"));
            let text = g.spawn(async { Err::<u8, _>("text") });
            let never = g.spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
            text.cancel();
            unit.await?;
            assert_eq!(value.await?.len(), 5);
            assert_eq!(result.await?.count_ones(), 2);
            never.cancel();
            match never.await {
                Ok(never) => match never {},
                Err(TaskError::Cancelled(_)) => Ok(()),
                Err(other) => Err(other.into()),
            }
        });
        // The failing one may have run before it was cancelled.
        if let Err(failed) = group.await {
            let texts: Vec<_> = failed.errors().map(ToString::to_string).collect();
            assert_eq!(texts, ["text"]);
        }
    });
}

#[test]
fn question_mark_with_an_own_enum() {
    #[cancellable]
    async fn sum(a: &'static str, b: &'static str) -> Result<u32, GroupError<AppError>> {
        task_group!(error = AppError, |g| {
            let a = g.spawn(parse(a));
            let b = g.spawn(parse(b));
            if a.name().is_empty() {
                return Err(AppError::Empty);
            }
            Ok(a.await? + b.await?)
        })
        .await
    }

    #[cancellable]
    async fn first(a: &'static str) -> Result<u32, AppError> {
        let parsed = task_group!(error = AppError, |g| Ok(g.spawn(parse(a)).await?));
        parsed.await.map_err(GroupError::into_first)
    }

    everywhere(|| async {
        assert_eq!(sum("1", "2").await.unwrap(), 3);
        let failed = sum("1", "two").await.unwrap_err();
        assert!(matches!(failed.errors().next(), Some(AppError::Parse(_))));
        assert_eq!(first("1").await.unwrap(), 1);
        assert!(matches!(first("one").await, Err(AppError::Parse(_))));
    });
}

#[test]
fn question_mark_in_functions_of_io() {
    #[cancellable]
    async fn read(fails: bool) -> io::Result<usize> {
        let read = task_group!(error = io::Error, |g| {
            let bytes = g.spawn(async move {
                if fails {
                    return Err(io::Error::from(io::ErrorKind::NotFound));
                }
                Ok(5_usize)
            });
            Ok(bytes.await?)
        });
        read.await.map_err(GroupError::into_first)
    }

    everywhere(|| async {
        assert_eq!(read(false).await.unwrap(), 5);
        let failed = read(true).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::NotFound);
    });
}

/// `error = _` finds the type where the error goes.
#[test]
fn error_type_from_the_way_it_is_used() {
    async fn sum(a: &'static str) -> Result<u32, GroupError<AppError>> {
        task_group!(error = _, |g| {
            let a = g.spawn(parse(a));
            Ok(a.await?)
        })
        .await
    }

    everywhere(|| async {
        assert_eq!(sum("4").await.unwrap(), 4);
        assert!(sum("four").await.is_err());

        let named: Result<u32, GroupError<TaskError>> = TaskGroup::new()
            .run(async |g| g.spawn(async { Value(1) }).await)
            .await;
        assert_eq!(named.unwrap(), 1);
    });
}

#[test]
fn group_in_a_groups_child() {
    #[cancellable]
    async fn inner(text: &'static str) -> Result<u32, GroupError<ParseError>> {
        task_group!(error = ParseError, |g| Ok(g.spawn(parse(text)).await?)).await
    }

    everywhere(|| async {
        // Named functions, whose errors convert.
        let group = task_group!(error = AppError, |g| {
            let a = g.spawn(inner("1"));
            let b = g.spawn_scoped(inner("2"));
            Ok(a.await? + b.await?)
        });
        assert_eq!(group.await.unwrap(), 3);

        let failed = task_group!(error = AppError, |g| {
            g.spawn(inner("x"));
            Ok(())
        });
        let failed = failed.await.unwrap_err();
        assert!(matches!(failed.errors().next(), Some(AppError::Group(_))));

        // Written in place, three deep, with the default error throughout.
        let group = task_group!(|g| {
            let a = g.spawn(task_group!(|g| {
                let b = g.spawn(task_group!(|g| Ok(g.spawn(parse("5")).await?)));
                Ok(b.await? + 1)
            }));
            Ok(a.await? + 1)
        });
        assert_eq!(group.await.unwrap(), 7);
    });
}

#[test]
fn group_cloned_into_its_children() {
    async fn grandchildren(g: Group<'static>, depth: u32) -> Result<u32, BoxError> {
        if depth == 0 {
            return Ok(1);
        }
        let below: [TaskHandle<u32>; 2] = [0, 1].map(|_| g.spawn(boxed(g.clone(), depth - 1)));
        let mut sum = 0;
        for task in below {
            sum += task.await?;
        }
        Ok(sum)
    }

    // A recursive async fn needs its future's type named.
    fn boxed(
        g: Group<'static>,
        depth: u32,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>> {
        Box::pin(grandchildren(g, depth))
    }

    everywhere(|| async {
        let group = task_group!(|g| {
            let (one, other) = (g.clone(), g.clone());
            let a = g.spawn(async move { one.spawn(async { Value(1) }).await });
            let b = g.spawn(grandchildren(other, 3));
            Ok(a.await? + b.await?)
        });
        assert_eq!(group.await.unwrap(), 9);
    });
}

#[test]
fn group_in_generic_functions() {
    async fn all<I, F, T, X>(futures: I) -> Result<Vec<T>, GroupError>
    where
        I: IntoIterator<Item = F>,
        F: Future<Output = Result<T, X>> + Send + 'static,
        T: Send + 'static,
        X: Into<BoxError> + 'static,
    {
        TaskGroup::<BoxError>::new()
            .run(async |g| {
                let tasks: Vec<_> = futures.into_iter().map(|future| g.spawn(future)).collect();
                let mut values = Vec::new();
                for task in tasks {
                    values.push(task.await?);
                }
                Ok(values)
            })
            .await
    }

    async fn with_error<E, T, F>(future: F) -> Result<T, E>
    where
        E: From<TaskError> + Send + 'static,
        T: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let group = task_group!(error = E, |g| Ok(g.spawn(future).await?));
        group.await.map_err(GroupError::into_first)
    }

    #[cancellable]
    async fn annotated<T: Debug + Send + Sync>(values: &[T]) -> Result<usize, BoxError> {
        let lengths = task_group!(|g| {
            let tasks: Vec<_> = values
                .iter()
                .map(|value| g.spawn_scoped(async move { Value(format!("{value:?}").len()) }))
                .collect();
            let mut sum = 0;
            for task in tasks {
                sum += task.await?;
            }
            Ok(sum)
        });
        Ok(lengths.await?)
    }

    trait Service {
        fn call(&self, id: u32) -> impl Future<Output = Result<String, BoxError>> + Send;
    }

    struct Names(Arc<str>);

    impl Service for Names {
        #[cancellable]
        async fn call(&self, id: u32) -> Result<String, BoxError> {
            let name = task_group!(|g| {
                let name = g.spawn_scoped(async { Value(&*self.0) });
                Ok(format!("{}{id}", name.await?))
            });
            Ok(name.await?)
        }
    }

    async fn call_all<S: Service + Send + Sync + 'static>(service: S) -> Result<String, BoxError> {
        let service = Arc::new(service);
        let called = task_group!(|g| {
            let mut all = String::new();
            for id in 0..3 {
                let service = service.clone();
                all += &g.spawn(async move { service.call(id).await }).await?;
            }
            Ok(all)
        });
        Ok(called.await?)
    }

    everywhere(|| async {
        assert_eq!(all(["1", "2"].map(parse)).await.unwrap(), [1, 2]);
        assert!(all([parse("x")]).await.is_err());
        let one = with_error::<AppError, _, _>(async { Ok(1) });
        assert_eq!(one.await.unwrap(), 1);
        let boxed: Result<u8, BoxError> = with_error(async { Ok(1) }).await;
        assert_eq!(boxed.unwrap(), 1);
        assert_eq!(annotated(&["a", "bc"]).await.unwrap(), 7);
        let names = call_all(Names("n".into())).await;
        assert_eq!(names.unwrap(), "n0n1n2");
    });
}

#[test]
fn results_from_a_vec_of_handles() {
    everywhere(|| async {
        let texts = ["1", "2", "3"];
        let group = task_group!(|g| {
            let tasks: Vec<_> = texts.iter().map(|text| g.spawn(parse(text))).collect();
            let mut values = Vec::with_capacity(tasks.len());
            for task in tasks {
                values.push(task.await?);
            }
            Ok(values)
        });
        assert_eq!(group.await.unwrap(), [1, 2, 3]);

        // All at once, with futures' combinators.
        let group = task_group!(|g| {
            let tasks: Vec<_> = texts.iter().map(|text| g.spawn(parse(text))).collect();
            Ok(futures::future::try_join_all(tasks).await?)
        });
        assert_eq!(group.await.unwrap(), [1, 2, 3]);

        // Each result for itself.
        let group = task_group!(on_failure = OnFailure::Continue, |g| {
            let tasks: Vec<_> = ["1", "x"].map(|text| g.spawn(parse(text))).into();
            let all: Vec<Result<u32, TaskError>> = futures::future::join_all(tasks).await;
            assert_eq!(all.iter().filter(|result| result.is_ok()).count(), 1);
            Ok(())
        });
        assert_eq!(group.await.unwrap_err().failures().len(), 1);

        // Scoped ones, that borrow.
        let owned: Vec<String> = vec!["a".into(), "bc".into()];
        let group = task_group!(|g| {
            let tasks = owned.iter().map(|text| g.spawn_scoped(length(text)));
            let mut sum = 0;
            for task in tasks.collect::<Vec<_>>() {
                sum += task.await?;
            }
            Ok(sum)
        });
        assert_eq!(group.await.unwrap(), 3);
        drop(owned);
    });
}

#[test]
fn body_borrows_and_changes_locals() {
    everywhere(|| async {
        let mut count = 0;
        let mut names = Vec::new();
        let prefix = String::from("task ");
        let group = task_group!(|g| {
            for i in 0..3_u32 {
                let task = g.spawn(async move { Value(i) });
                count += task.await?;
                names.push(format!("{prefix}{i}"));
            }
            Ok(())
        });
        group.await.unwrap();
        count += 10;
        assert_eq!(count, 13);
        assert_eq!(names, ["task 0", "task 1", "task 2"]);

        // A task that borrows, while the body changes something else.
        let data = [1_u32, 2, 3];
        let mut total = 0;
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            let sum = g.spawn_scoped(async { Value(data.iter().sum::<u32>()) });
            let length = g.spawn_scoped(async { Value(data.len()) });
            total += sum.await?;
            total += length.await? as u32;
            Ok(())
        });
        group.await.unwrap();
        assert_eq!((total, data.len()), (9, 3));

        // A scoped task that changes what it borrows.
        let mut log = Vec::new();
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_scoped(async {
                log.push("from the task");
            });
            Ok(())
        });
        group.await.unwrap();
        assert_eq!(log, ["from the task"]);
    });
}

/// Through `&mut self`, behind a generic and a reference.
#[test]
fn body_borrows_from_self() {
    struct Counter {
        count: usize,
        names: Vec<String>,
    }

    #[cancellable]
    impl Counter {
        async fn count(&mut self, more: &[&str]) -> Result<usize, GroupError> {
            task_group!(|g| {
                let task = g.spawn_scoped(async { Value(more.len()) });
                self.count += task.await?;
                self.names.extend(more.iter().map(ToString::to_string));
                Ok(self.count)
            })
            .await
        }
    }

    everywhere(|| async {
        let mut counter = Counter {
            count: 1,
            names: Vec::new(),
        };
        assert_eq!(counter.count(&["a", "b"]).await.unwrap(), 3);
        assert_eq!(counter.count(&["c"]).await.unwrap(), 4);
        assert_eq!(counter.names, ["a", "b", "c"]);
    });
}

/// Options, boundaries around it, and the value moved out.
#[test]
fn groups_within_other_boundaries() {
    const LONG: Duration = Duration::from_secs(3600);

    #[cancellable]
    async fn nested<T: Display + Send + 'static>(value: T) -> Result<String, BoxError> {
        let scoped = Scope::new().run(async {
            let limited = timeout(LONG, async {
                task_group!(name = "inner", limit = 2, timeout = LONG, |g| {
                    let permit = g.reserve().await;
                    let task = permit.spawn(async move { Value(value.to_string()) });
                    Ok(task.await?)
                })
                .await
            });
            limited.await
        });
        Ok(scoped.await???)
    }

    everywhere(|| async {
        assert_eq!(nested(7).await.unwrap(), "7");
        let moved = String::from("moved");
        let group = task_group!(|g| {
            let task = g.spawn(async move { Value(moved) });
            Ok(task.await?)
        });
        assert_eq!(group.await.unwrap(), "moved");
    });
}

/// A body that leaves early, in the ways a function body can.
#[test]
fn body_with_early_returns() {
    #[cancellable]
    async fn find(texts: &[&'static str], wanted: u32) -> Result<Option<usize>, BoxError> {
        let found = task_group!(|g| {
            for (index, text) in texts.iter().enumerate() {
                let Ok(number) = g.spawn(parse(text)).await else {
                    return Err("no number".into());
                };
                if number == wanted {
                    return Ok(Some(index));
                }
            }
            Ok(None)
        });
        Ok(found.await?)
    }

    everywhere(|| async {
        assert_eq!(find(&["1", "2"], 2).await.unwrap(), Some(1));
        assert_eq!(find(&["1"], 2).await.unwrap(), None);
        assert!(find(&["x"], 2).await.is_err());
    });
}
/// The task's own `?` and a bare `Ok`: the macro names the error type.
#[test]
fn question_mark_inside_a_task() {
    everywhere(|| async {
        let group = task_group!(|g| {
            let parsed = g.spawn(async {
                let number: u32 = "12".parse()?;
                Ok(number + 1)
            });
            let moved = g.spawn(async move {
                let number = parse("20").await?;
                Ok(number)
            });
            Ok(parsed.await? + moved.await?)
        });
        assert_eq!(group.await.unwrap(), 33);

        let group = task_group!(error = AppError, |g| {
            g.spawn(async {
                parse("x").await?;
                Ok(())
            });
            Ok(())
        });
        let failed = group.await.unwrap_err();
        assert!(matches!(failed.errors().next(), Some(AppError::Parse(_))));
    });
}

#[cancellable]
async fn with_anyhow(texts: Vec<&'static str>) -> anyhow::Result<u32> {
    use anyhow::Context;
    let sum = task_group!(error = anyhow::Error, |g| {
        let length = g.spawn_scoped(length(texts[0]));
        let handles: Vec<_> = texts.iter().map(|text| g.spawn(parse(text))).collect();
        let mut sum = u32::try_from(length.await?)?;
        for handle in handles {
            sum += handle.await.context("a part is missing")?;
        }
        anyhow::ensure!(sum > 0, "nothing to add");
        Ok(sum)
    })
    .await?;
    Ok(sum)
}

/// The group of the default error, in a function of anyhow's.
#[cancellable]
async fn default_in_anyhow(text: &'static str) -> anyhow::Result<u32> {
    let value = task_group!(|g| {
        let handle = g.spawn(parse(text));
        Ok(handle.await?)
    })
    .await?;
    Ok(value)
}

#[test]
fn errors_of_anyhow() {
    everywhere(|| async {
        assert_eq!(with_anyhow(vec!["1", "2"]).await.unwrap(), 4);
        let failed = with_anyhow(vec!["1", "x"]).await.unwrap_err();
        let failed: GroupError<anyhow::Error> = failed.downcast().unwrap();
        assert_eq!(failed.failures().len(), 1, "{failed}");
        assert!(failed.into_first().is::<ParseIntError>());

        assert_eq!(default_in_anyhow("7").await.unwrap(), 7);
        let failed = default_in_anyhow("x").await.unwrap_err();
        assert!(failed.to_string().contains("invalid digit"), "{failed}");
    });
}
