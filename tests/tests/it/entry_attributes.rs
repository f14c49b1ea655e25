//! `#[taskscope::test]` as an attribute: options, orders, and what its body may hold.

use std::time::Duration;

use taskscope::{BoxError, cancellable, defer, is_cancelled, task_group};
use taskscope_tests::Log;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::time::{Instant, sleep};

fn flavor() -> RuntimeFlavor {
    Handle::current().runtime_flavor()
}

#[taskscope::test]
async fn one_thread_by_default() {
    assert_eq!(flavor(), RuntimeFlavor::CurrentThread);
}

#[taskscope::test(flavor = "multi_thread", worker_threads = 1 + 2)]
async fn several_threads() {
    assert_eq!(flavor(), RuntimeFlavor::MultiThread);
    assert_eq!(Handle::current().metrics().num_workers(), 3);
}

#[taskscope::test(start_paused = true)]
async fn hours_pass_at_once() {
    let (real, paused) = (std::time::Instant::now(), Instant::now());
    sleep(Duration::from_secs(3600)).await;
    assert!(paused.elapsed() >= Duration::from_secs(3600));
    assert!(real.elapsed() < Duration::from_secs(60));
}

#[taskscope::test]
async fn the_body_is_cancellable_code() -> Result<(), BoxError> {
    let log = Log::new();
    {
        defer! {
            sleep(Duration::from_millis(1)).await;
            log.add("cleaned up");
        }
        let n = task_group!(|g| Ok(g
            .spawn(async { Ok(taskscope::Value("7".parse::<u32>()?).0) })
            .await?))
        .await?;
        log.add(format!("got {n}"));
    }
    log.is(&["got 7", "cleaned up"]);
    Ok(())
}

/// Counts how often its awaits are gated, which a second rewriting would double.
mod gates {
    use std::cell::Cell;

    use super::cancellable;

    thread_local! {
        static GATES: Cell<usize> = const { Cell::new(0) };
    }

    /// Stands in for the crate, and counts.
    pub(super) mod counting {
        pub(crate) mod __private {
            pub(crate) use taskscope::__private::{Test, after};

            pub(crate) fn gate() -> impl Future<Output = ()> {
                super::super::GATES.set(super::super::GATES.get() + 1);
                taskscope::__private::gate()
            }
        }
    }

    async fn two_awaits() {
        std::future::ready(()).await;
        std::future::ready(()).await;
    }

    #[taskscope::test(crate = crate::entry_attributes::gates::counting)]
    async fn alone() {
        std::future::ready(()).await;
        assert_eq!(GATES.take(), 1);
        two_awaits().await;
        assert_eq!(GATES.take(), 1);
    }

    #[taskscope::test(crate = crate::entry_attributes::gates::counting)]
    #[cancellable(crate = crate::entry_attributes::gates::counting)]
    async fn below() {
        std::future::ready(()).await;
        assert_eq!(GATES.take(), 1);
    }

    #[cancellable(crate = crate::entry_attributes::gates::counting)]
    #[taskscope::test(crate = crate::entry_attributes::gates::counting)]
    async fn above() {
        std::future::ready(()).await;
        assert_eq!(GATES.take(), 1);
    }
}

#[cancellable(allow(detached))]
#[taskscope::test]
async fn options_of_the_body_are_given_above() {
    tokio::spawn(async {}).await.unwrap();
}

#[taskscope::test]
#[cancellable(allow(detached), loops)]
async fn options_of_the_body_are_given_below() {
    tokio::spawn(async {}).await.unwrap();
    for _ in 0..3 {
        assert!(!is_cancelled());
    }
}

#[taskscope::test]
#[should_panic(expected = "left something behind")]
async fn other_attributes_stay() {
    let mut armed = Box::pin(armed());
    assert!(futures::poll!(&mut armed).is_pending());
    drop(armed);
}

#[cancellable]
async fn armed() {
    defer! { sleep(Duration::from_secs(9)).await; }
    sleep(Duration::from_secs(9)).await;
}

#[tokio::test]
#[cancellable]
async fn below_tokio() {
    sleep(Duration::ZERO).await;
}
