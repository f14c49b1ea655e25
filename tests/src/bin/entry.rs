//! Programs under `#[taskscope::main]`, for the tests of it: the first argument says
//! which. Those that wait print `ready` first.

use std::future::pending;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use taskscope::{BoxError, defer, task_group};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::JoinHandle;
use tokio::time::sleep;

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn main() -> Result<ExitCode, BoxError> {
    match &*std::env::args().nth(1).unwrap() {
        "ok" => ok(),
        "error" => error()?,
        "code" => return Ok(code()),
        "panics" => panics(),
        "task_panics" => task_panics(),
        "flavors" => {
            say(&format!("{:?}", current_thread()));
            say(&format!("{:?}", multi_thread()));
        }
        "twice" => {
            ok();
            waits_on_one_thread();
        }
        "waits" => waits(),
        "waits_on_one_thread" => waits_on_one_thread(),
        "drains" => drains(),
        "drains_too_long" => drains_too_long(),
        "listens" => listens(),
        "gives_away" => gives_away(),
        "has_listened" => has_listened(),
        "blocks" => blocks(),
        other => panic!("no such program: {other}"),
    }
    Ok(ExitCode::SUCCESS)
}

#[taskscope::main]
async fn ok() {
    defer! { say("cleanup"); }
    sleep(Duration::from_millis(1)).await;
    say("ok");
}

#[taskscope::main]
async fn error() -> Result<(), BoxError> {
    defer! { say("cleanup"); }
    sleep(Duration::from_millis(1)).await;
    Err("no luck".into())
}

#[taskscope::main]
async fn code() -> ExitCode {
    ExitCode::from(7)
}

#[taskscope::main]
async fn panics() {
    defer! { say("cleanup"); }
    sleep(Duration::from_millis(1)).await;
    panic!("on purpose");
}

/// The panic is reported where it happens, before it is resumed here.
#[taskscope::main]
async fn task_panics() {
    defer! { say("cleanup"); }
    let group = task_group!(|g| {
        g.spawn(async { panic!("on purpose") });
        pending().await
    });
    group.await.unwrap()
}

#[taskscope::main(flavor = "current_thread")]
async fn current_thread() -> RuntimeFlavor {
    Handle::current().runtime_flavor()
}

#[taskscope::main(flavor = "multi_thread", worker_threads = 3)]
async fn multi_thread() -> (RuntimeFlavor, usize) {
    let runtime = Handle::current();
    (runtime.runtime_flavor(), runtime.metrics().num_workers())
}

#[taskscope::main]
async fn waits() {
    task_group!(name = "workers", |g| {
        for number in 0..3 {
            g.spawn(worker(number));
        }
        sleep(Duration::from_millis(10)).await;
        say("ready");
        Ok(())
    })
    .await
    .unwrap();
}

#[taskscope::cancellable]
async fn worker(number: u32) {
    defer! {
        sleep(Duration::from_millis(1)).await;
        say(&format!("worker {number} is clean"));
    }
    pending::<()>().await;
}

#[taskscope::main(flavor = "current_thread")]
async fn waits_on_one_thread() {
    defer! {
        sleep(Duration::from_millis(1)).await;
        say("clean");
    }
    say("ready");
    pending::<()>().await;
}

#[taskscope::main(drain = Duration::from_secs(100))]
async fn drains() {
    say("ready");
    taskscope::stopping().await;
    sleep(Duration::from_millis(10)).await;
    say("drained");
}

#[taskscope::main(drain = Duration::from_millis(50))]
async fn drains_too_long() {
    defer! { say("clean"); }
    say("ready");
    taskscope::stopping().await;
    say("stopping");
    pending::<()>().await;
}

/// Says `ready` when it waits.
async fn told_ready(future: impl Future<Output = ()>) {
    let mut future = std::pin::pin!(future);
    let mut first = true;
    std::future::poll_fn(|cx| {
        let polled = future.as_mut().poll(cx);
        if std::mem::take(&mut first) {
            say("ready");
        }
        polled
    })
    .await;
    sleep(Duration::from_millis(10)).await;
    say("drained");
}

/// A task waits for the request to stop, and `drain` is not given.
#[taskscope::main]
async fn listens() {
    task_group!(|g| {
        g.spawn(async { told_ready(taskscope::stopping()).await });
        Ok(())
    })
    .await
    .unwrap();
}

/// A task outside every scope waits for it, as that of a server library does.
#[taskscope::main]
async fn gives_away() {
    fn serve_until(signal: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        tokio::spawn(told_ready(signal))
    }
    serve_until(taskscope::stopping()).await.unwrap();
}

/// What waited for it has been dropped.
#[taskscope::main]
async fn has_listened() {
    defer! { say("clean"); }
    taskscope::race! {
        () = taskscope::stopping() => unreachable!(),
        () = sleep(Duration::from_millis(1)) => {}
    }
    say("ready");
    sleep(Duration::from_secs(100)).await;
}

/// Work that blocks its thread without a checkpoint cannot hold the process.
#[taskscope::main(grace = Duration::from_millis(50))]
async fn blocks() {
    let work = taskscope::blocking(|| {
        say("ready");
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    });
    work.await
}
