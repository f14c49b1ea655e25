//! `use taskscope::prelude::*` beside what programs import from elsewhere.

#![deny(warnings)]

use std::future::Future;
use std::time::Duration;

use taskscope::prelude::*;
use taskscope_tests::{paused, paused_once};
use tokio::io::*;
use tokio::sync::*;
use tokio::task::*;
use tokio::{join, select, spawn};

/// The built-in attribute.
#[test]
fn plain_tests_are_tests() {
    let some: Option<Box<dyn Fn() -> String>> = Some(Box::new(String::new));
    assert_eq!(some.map(|text| text()).into_iter().count(), 1);
}

#[tokio::test]
async fn tests_of_tokio_are_tests() {
    yield_now().await;
}

#[taskscope::test]
async fn tests_of_this_crate_are_tests() {
    yield_now().await;
}

#[cancellable]
async fn guarded(log: &std::cell::RefCell<Vec<&'static str>>) -> std::result::Result<(), BoxError> {
    defer! { log.borrow_mut().push("cleaned up"); }
    #[checkpoint]
    for _ in 0..3 {
        checkpoint().await;
    }
    race! {
        () = std::future::pending() => unreachable!(),
        () = stopping() => {}
    }
    Ok(())
}

/// All of it, under the names that it has in the documentation.
#[test]
fn its_names_are_there() {
    fn is_send<T: Send>(_: &T) {}

    paused_once(|| async {
        let log = std::cell::RefCell::new(Vec::new());
        let scope: Scope = Scope::new();
        let handle: CancelHandle = scope.handle();
        handle.stop();
        scope.run(guarded(&log)).await.unwrap().unwrap();
        assert_eq!(log.into_inner(), ["cleaned up"]);

        let sum: std::result::Result<u32, GroupError> = task_group!(|g| {
            let all: TaskSet<u32> = (0..4).map(|n| g.spawn(async move { Value(n) })).collect();
            is_send(&all);
            let one: TaskHandle<u32> = g.spawn(async { Value(1) });
            let (a, b) = try_join!(one, async { Ok::<_, TaskError>(2) })?;
            Ok(a + b)
        })
        .await;
        assert_eq!(sum.unwrap(), 3);
        let late = timeout(Duration::ZERO, std::future::pending::<()>()).await;
        let late: Cancelled = late.unwrap_err();
        assert!(matches!(late.reason(), Reason::Deadline));
        assert!(!is_cancelled() && !is_stopping() && deadline().is_none());
        assert!(checkpoint_blocking().is_ok() && sleep_blocking(Duration::ZERO).is_ok());
        shield(blocking(|| ())).await;
    });
}

/// What is imported from tokio by name stays tokio's.
#[test]
fn names_of_tokio_are_its_own() {
    use tokio::time::{Instant, sleep, timeout};

    paused(|| async {
        let began = Instant::now();
        let task: JoinHandle<u32> = spawn(async { 7 });
        let (limited, seven) = join!(timeout(Duration::from_secs(1), sleep(LONG)), task);
        let _: tokio::time::error::Elapsed = limited.unwrap_err();
        assert_eq!(
            (seven.unwrap(), began.elapsed()),
            (7, Duration::from_secs(1))
        );
        select! {
            () = sleep(Duration::ZERO) => {}
            () = sleep(LONG) => unreachable!(),
        }
        let (mut reader, mut writer) = duplex(8);
        writer.write_all(b"x").await.unwrap();
        assert_eq!(reader.read_u8().await.unwrap(), b'x');
        let lock: Mutex<JoinSet<()>> = Mutex::default();
        assert!(lock.lock().await.is_empty());
        let _: &dyn Future<Output = ()> = &std::future::pending::<()>();
    });
}

const LONG: Duration = Duration::from_secs(3600);
