//! Expansions stand under lints that are stricter than those of most crates: this
//! compiles without a warning, and with clippy too.

#![forbid(unsafe_code)]
#![deny(
    warnings,
    unused,
    unreachable_code,
    missing_docs,
    missing_debug_implementations,
    unused_qualifications,
    unused_lifetimes,
    single_use_lifetimes,
    elided_lifetimes_in_paths,
    let_underscore_drop,
    clippy::all,
    clippy::pedantic
)]

use std::io;
use std::time::Duration;

use taskscope::{
    BoxError, OnFailure, Value, cancellable, defer, join, on_cancel, race, shield, task_group,
    timeout, try_join,
};
use taskscope_tests::Log;
use tokio::time::sleep;

fn step(n: u32) -> std::future::Ready<u32> {
    std::future::ready(n)
}

async fn fails(n: u32) -> Result<u32, io::Error> {
    step(n).await;
    Err(io::Error::other("failed"))
}

#[cancellable]
async fn guards(log: &Log, n: u32) -> Result<u32, BoxError> {
    defer! {
        step(n).await;
        log.add("outer");
    }
    let mut sum = 0;
    'rounds: for round in 0..n {
        defer! { log.add("round"); }
        on_cancel! { log.add("cancelled"); }
        match step(round).await {
            0 => continue,
            1 => sum += 1,
            2 => break 'rounds,
            _ => return Ok(sum),
        }
    }
    let found = loop {
        defer! { log.add("loop"); }
        if sum > 3 {
            break sum;
        }
        sum += step(1).await;
    };
    if found == 0 {
        defer! { log.add("if"); }
        fails(found).await?;
    }
    let text = {
        defer! { log.add("value"); }
        found.to_string()
    };
    Ok(text.parse()?)
}

#[cancellable]
async fn returns_nothing(log: &Log) {
    on_cancel! { log.add("cancelled"); }
    if step(1).await == 1 {
        defer! { log.add("nothing"); }
        return;
    }
    step(2).await;
}

#[cancellable(loops)]
async fn loops(n: u32) -> u32 {
    let mut sum = 0;
    for n in 0..n {
        sum += n;
    }
    #[no_checkpoint]
    while sum > 10 {
        sum -= 1;
    }
    loop {
        if sum == 7 {
            break;
        }
        sum -= 1;
    }
    sum
}

#[cancellable]
async fn never() -> ! {
    let mut n = 0u32;
    #[checkpoint]
    loop {
        n = n.wrapping_add(1);
    }
}

#[cancellable]
async fn groups(log: &Log) -> Result<u32, BoxError> {
    let sum = task_group!(
        name = "sum",
        limit = 2,
        timeout = Duration::from_secs(step(9).await.into()),
        on_failure = OnFailure::Continue,
        |g| {
            defer! { log.add("group"); }
            let tasks: Vec<_> = (0..3)
                .map(|n| g.spawn(async move { Value(step(n).await) }))
                .collect();
            let parsed = g.spawn_scoped(async {
                let n: u32 = "7".parse()?;
                Ok(n)
            });
            g.service(async {
                loop {
                    sleep(Duration::from_secs(1)).await;
                }
            });
            let mut sum = parsed.await?;
            for task in tasks {
                sum += task.await?;
            }
            Ok(sum)
        }
    )
    .await?;
    let local = task_group!(local, error = io::Error, |g| {
        let shared = std::rc::Rc::new(1);
        let task = g.spawn_local(async move {
            step(1).await;
            Value(*shared)
        });
        Ok(task.await?)
    })
    .await?;
    task_group!(|_| Ok(())).await?;
    Ok(sum + local)
}

#[cancellable]
async fn several(log: &Log) -> Result<u32, BoxError> {
    let (one, two) = join!(step(1), async {
        defer! { log.add("branch"); }
        step(2).await
    });
    let (three, four) = try_join!(async { Ok::<_, BoxError>(step(3).await) }, async {
        let n: u32 = "4".parse()?;
        Ok(step(n).await)
    })?;
    let five = race! {
        biased;
        n = step(5), if one == 1 => n,
        () = sleep(Duration::from_secs(1)) => return Ok(0),
    };
    let six = race! {
        Some(n) = async { None::<u32> } => n,
        else => 6,
    };
    let seven = timeout(Duration::from_secs(1), shield(step(7))).await?;
    Ok(one + two + three + four + five + six + seven)
}

#[cancellable(blocking)]
fn blocking(rows: &[u32]) -> Result<u32, BoxError> {
    let mut sum = 0;
    'outer: for row in rows {
        while sum < *row {
            sum += 1;
            if sum > 100 {
                break 'outer;
            }
        }
    }
    let all = || {
        let mut all = 0;
        for row in rows {
            all += row;
        }
        all
    };
    Ok(sum + all())
}

struct Owner(String);

#[cancellable(send)]
impl Owner {
    async fn by_value(
        mut self,
        (a, _): (u32, u32),
        _: u32,
        mut b: u32,
    ) -> Result<String, BoxError> {
        defer! { step(a).await; }
        self.0.push('x');
        b += step(b).await;
        if b == 0 {
            return Err("zero".into());
        }
        Ok(format!("{}{b}", self.0))
    }

    async fn by_reference(&self, other: &str) -> usize {
        self.0.len() + other.len()
    }
}

#[cancellable(send)]
trait Named {
    async fn name(&self) -> String;

    async fn twice(&self) -> String
    where
        Self: Sync,
    {
        format!("{}{}", self.name().await, self.name().await)
    }
}

#[cancellable(send)]
impl Named for Owner {
    async fn name(&self) -> String {
        self.0.clone()
    }
}

/// Awaits that begin with the words with which the calls of an expansion begin.
mod begins_alike {
    use taskscope::{self as renamed, defer};

    #[taskscope::cancellable]
    pub(crate) async fn colons() -> u32 {
        defer! { ::std::future::ready(()).await; }
        ::taskscope::checkpoint().await;
        ::std::vec![::std::future::ready(1)].remove(0).await
    }

    #[renamed::cancellable(crate = renamed)]
    pub(crate) async fn other_name() -> Result<u32, renamed::BoxError> {
        defer! { renamed::checkpoint().await; }
        renamed::checkpoint().await;
        let one = renamed::task_group!(|g| {
            renamed::checkpoint().await;
            let parsed = g.spawn(async { Ok("1".parse::<u32>()?) });
            Ok(parsed.await?)
        });
        Ok(one.await?)
    }
}

#[taskscope::main(flavor = "current_thread", grace = Duration::from_secs(1))]
async fn entry() -> Result<(), BoxError> {
    defer! { step(1).await; }
    fails(1).await.unwrap_err();
    Ok(())
}

#[taskscope::main]
async fn without_awaits() {}

#[test]
fn entries_run() {
    entry().unwrap();
    without_awaits();
}

#[taskscope::test(start_paused = true)]
async fn all_of_them_run() -> Result<(), BoxError> {
    let log = Log::new();
    assert_eq!(guards(&log, 3).await?, 4);
    returns_nothing(&log).await;
    assert_eq!(loops(6).await, 7);
    assert_eq!(groups(&log).await?, 11);
    assert_eq!(several(&log).await?, 28);
    assert_eq!(blocking(&[1, 3])?, 7);
    let owner = Owner("o".to_owned());
    assert_eq!(owner.by_reference("p").await, 2);
    assert_eq!(owner.twice().await, "oo");
    assert_eq!(owner.by_value((1, 2), 3, 4).await?, "ox8");
    timeout(Duration::ZERO, never()).await.unwrap_err();
    assert_eq!(begins_alike::colons().await, 1);
    assert_eq!(begins_alike::other_name().await?, 1);
    assert_eq!(log.count("cancelled"), 0);
    Ok(())
}

#[taskscope::test(flavor = "multi_thread", worker_threads = 1)]
async fn without_an_await() {}
