#![deny(warnings, clippy::pedantic)]

use std::io;
use std::num::ParseIntError;
use taskscope::{BoxError, TaskSet, Value, task_group};

#[derive(Debug)]
enum Error {
    Io(io::Error),
    Parse(ParseIntError),
    Task(taskscope::TaskError),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ParseIntError> for Error {
    fn from(error: ParseIntError) -> Self {
        Self::Parse(error)
    }
}

impl From<taskscope::TaskError> for Error {
    fn from(error: taskscope::TaskError) -> Self {
        Self::Task(error)
    }
}

async fn read() -> io::Result<String> {
    Ok("1".to_owned())
}

// Every output that a task may have, and errors that convert.
async fn outputs() -> Result<u32, Error> {
    let n = task_group!(error = Error, |g| {
        g.spawn(async {});
        g.service(async { loop { tokio::task::yield_now().await } });
        let text = g.spawn(read());
        let length = g.spawn(async { Value(3) });
        let number = g.spawn(async {
            let n = "1".parse::<u32>()?;
            Ok(n)
        });
        let parsed = text.await?.parse::<u32>()?;
        Ok(parsed + length.await? + number.await?)
    })
    .await
    .map_err(taskscope::GroupError::into_first)?;
    Ok(n)
}

async fn in_a_set(texts: &[&'static str]) -> Result<u32, BoxError> {
    let sum = task_group!(|g| {
        let parse = |text: &'static str| g.spawn(async move { text.parse::<u32>() });
        let mut numbers: TaskSet<_> = texts.iter().map(|text| parse(text)).collect();
        let mut sum = 0;
        while let Some(number) = numbers.next().await {
            sum += number?;
        }
        Ok(sum)
    })
    .await?;
    Ok(sum)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(outputs().await.unwrap(), 5);
    assert_eq!(in_a_set(&["1", "2"]).await.unwrap(), 3);
    for error in [Error::Io(io::Error::other("")), Error::from("x".parse::<u32>().unwrap_err())] {
        match error {
            Error::Io(error) => drop(error),
            Error::Parse(error) => drop(error),
            Error::Task(error) => drop(error),
        }
    }
}
