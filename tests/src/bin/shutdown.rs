//! Programs that are told to end, for the tests of shutdown: the first argument
//! says which. Each prints `ready` when it may be sent a signal.

use std::io::Write;
use std::time::Duration;

use taskscope::{
    BoxError, Reason, Scope, Shutdown, TaskGroup, cancellable, defer, on_cancel, shield, task_group,
};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

const LONG: Duration = Duration::from_secs(100);

fn say(line: &str) {
    println!("{line}");
    std::io::stdout().flush().unwrap();
}

fn runtime(flavor: &str) -> Runtime {
    let mut builder = match flavor {
        "current_thread" => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build().unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = runtime(&arguments[2]);
    match arguments[1].as_str() {
        "unwinds" => Shutdown::new().block_on(runtime, unwinds()),
        "drains" => Shutdown::new().drain(LONG).block_on(runtime, drains()),
        "leaves_late" => Shutdown::new().block_on(runtime, leaves_late()),
        "leftover" => say(Shutdown::new().block_on(runtime, leftover())),
        "ignores" => Shutdown::new()
            .grace(Duration::from_millis(300))
            .block_on(runtime, ignores()),
        "no_grace" => Shutdown::new()
            .grace(Duration::ZERO)
            .block_on(runtime, leaves_late()),
        "shielded" => Shutdown::new().block_on(runtime, shielded()),
        "shows" => Shutdown::new().block_on(runtime, shows()),
        "part_drains" => Shutdown::new().drain(LONG).block_on(runtime, part_drains()),
        "reason" => runtime.block_on(reason()),
        "afterwards" => {
            Shutdown::new().block_on(self::runtime("current_thread"), async {});
            say("ready");
            runtime.block_on(async { sleep(LONG).await });
        }
        other => panic!("no such program: {other}"),
    }
}

/// Two tasks in a group, with cleanups that await.
#[cancellable]
async fn unwinds() {
    #[cancellable]
    async fn task(number: u32) {
        defer! {
            sleep(Duration::from_millis(10)).await;
            say(&format!("task {number} cleaned up"));
        }
        sleep(LONG).await;
    }

    defer! { say("main cleaned up"); }
    task_group!(|g| {
        g.spawn(task(1));
        g.spawn(task(2));
        sleep(Duration::from_millis(10)).await;
        say("ready");
        Ok(())
    })
    .await
    .unwrap();
}

/// Ends by itself once it is asked to stop.
async fn drains() {
    say("ready");
    taskscope::stopping().await;
    assert!(!taskscope::is_cancelled());
    say("stopping");
    sleep(Duration::from_millis(10)).await;
    say("done");
}

/// Takes its time to leave; another signal cuts it short.
#[cancellable]
async fn leaves_late() {
    defer! {
        say("leaving");
        sleep(LONG).await;
        say("never");
    }
    say("ready");
    sleep(LONG).await;
}

/// Drops a group's future, and returns while its task is leaving.
#[cancellable(allow(hard_drop))]
async fn leftover() -> &'static str {
    #[cancellable]
    async fn task() -> Result<(), BoxError> {
        on_cancel! {
            sleep(Duration::from_millis(50)).await;
            say("leftover done");
        }
        sleep(LONG).await;
        Ok(())
    }

    let group = TaskGroup::<BoxError>::new().run(async |g| {
        g.spawn_named("leftover", task());
        g.spawn_shielded(async {
            sleep(Duration::from_millis(20)).await;
            Err::<(), _>("nobody waits for this")
        });
        sleep(LONG).await;
        Ok(())
    });
    let lost = tokio::time::timeout(Duration::from_millis(20), group).await;
    assert!(lost.is_err());
    "the value of main"
}

/// A task that blocks its thread, for ever.
async fn ignores() {
    #[cancellable(allow(blocking))]
    async fn deaf() {
        sleep(Duration::from_millis(1)).await;
        say("ready");
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    TaskGroup::<BoxError>::new()
        .name("workers")
        .run(async |g| {
            g.spawn_named("deaf", deaf());
            Ok(())
        })
        .await
        .unwrap();
}

/// The signal comes while the shield is running.
#[cancellable]
async fn shielded() {
    shield(async {
        say("ready");
        taskscope::Ambient::current()
            .handle()
            .unwrap()
            .cancelled()
            .await;
        sleep(Duration::from_millis(20)).await;
        say("saved");
    })
    .await;
    sleep(LONG).await;
    say("never");
}

/// Ends when it has been seen.
#[cancellable]
async fn shows() {
    task_group!(name = "workers", |g| {
        g.spawn_named("waits", std::future::pending::<()>());
        say("ready");
        taskscope::stopping().await;
        g.cancel();
        Ok(())
    })
    .await
    .unwrap();
}

/// A scope has less time than the program, which ends by itself then.
#[cancellable]
async fn part_drains() {
    let part = Scope::new().drain(Duration::from_millis(20));
    let cancelled = part.run(async {
        say("ready");
        std::future::pending::<()>().await
    });
    say(&cancelled.await.unwrap_err().to_string());
}

/// What the boundary is told.
async fn reason() {
    let outcome = Shutdown::new()
        .run(async {
            say("ready");
            Scope::new().run(sleep(LONG)).await.ok();
        })
        .await;
    let cancelled = outcome.unwrap_err();
    assert!(matches!(cancelled.reason(), Reason::Shutdown));
    assert_eq!(cancelled.scope(), "main");
    say("absorbed");
}
