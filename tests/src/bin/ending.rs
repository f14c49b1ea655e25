//! Programs that have something to say when they end, for the tests of that: the first argument says what runs, the
//! second on which runtime, the third what becomes of reports. Each prints `ready` when it may be sent a signal.

use std::future::pending;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use taskscope::{Ambient, Reason, Scope, Shutdown, cancellable, defer, stopping};
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::sleep;

/// As in the test.
const GRACE: Duration = Duration::from_millis(400);

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

/// Set when the slow hook is called.
static TELLING: AtomicBool = AtomicBool::new(false);

/// What becomes of reports, where that is not up to the test.
fn prepare(reports: &str) {
    match reports {
        "locked" => hold_stderr(),
        "blocking_hook" => taskscope::set_report_hook(|_| block()),
        "slow_hook" => taskscope::set_report_hook(|report| {
            TELLING.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(300));
            say(&format!("told: {report}"));
        }),
        _ => {}
    }
}

/// Holds the lock of standard error for ever, as whoever writes to a full pipe does.
fn hold_stderr() {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let _held = std::io::stderr().lock();
        tell.send(()).unwrap();
        block()
    });
    told.recv().unwrap();
}

fn block() -> ! {
    loop {
        std::thread::park();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let runtime = runtime(&arguments[2]);
    prepare(&arguments[3]);
    let shutdown = Shutdown::new().grace(GRACE);
    match arguments[1].as_str() {
        "unwinds" => shutdown.block_on(runtime, unwinds()),
        "loses" => shutdown.block_on(runtime, loses(1)),
        "loses_many" => Shutdown::new().block_on(runtime, loses(50)),
        "loses_slowly" => Shutdown::new().block_on(runtime, loses(5)),
        "overruns" => shutdown.block_on(runtime, overruns()),
        "blocks" => shutdown.block_on(runtime, blocks()),
        "late" => shutdown
            .stuck_after(GRACE / 4)
            .block_on(runtime, overruns()),
        "late_at_its_end" => shutdown
            .grace(LONG)
            .stuck_after(GRACE / 4)
            .block_on(runtime, late_at_its_end()),
        "returns" => {
            say(shutdown.drain(GRACE).block_on(runtime, returns()));
        }
        "panics_beside_work" => shutdown.block_on(runtime, panics_beside_work()),
        "returns_beside_work" => Shutdown::new()
            .grace(Duration::from_millis(2500))
            .block_on(runtime, begin_work()),
        "writes" => {
            let path = arguments[4].clone();
            Shutdown::new().block_on(runtime, writes(path))
        }
        "cancels_itself" => Shutdown::new().block_on(runtime, cancels_itself()),
        "cancels_itself_and_blocks" => shutdown.block_on(runtime, cancels_itself_and_blocks()),
        "leaves_in_time" => Shutdown::new().block_on(runtime, leaves_in_time()),
        "nests_an_executor" => shutdown
            .stuck_after(Duration::MAX)
            .block_on(runtime, nests(|| futures::executor::block_on(waits()))),
        "nests_an_executor_in_a_drop" => shutdown
            .stuck_after(Duration::MAX)
            .block_on(runtime, nests(|| drop(OnDrop))),
        "wakes_with_a_panic" => shutdown.block_on(runtime, wakes_with_a_panic()),
        "combines" => shutdown
            .stuck_after(Duration::MAX)
            .block_on(runtime, combines()),
        "is_cut" => Shutdown::new().block_on(runtime, overruns()),
        other => panic!("no such program: {other}"),
    }
}

#[cancellable]
async fn unwinds() {
    defer! {
        tokio::task::yield_now().await;
        say("clean");
    }
    say("ready");
    pending::<()>().await;
}

/// Goes with its runtime.
#[cancellable]
async fn armed(armed: mpsc::Sender<()>) {
    defer! { tokio::task::yield_now().await; }
    armed.send(()).await.unwrap();
    drop(armed);
    pending::<()>().await;
}

#[cancellable(allow(detached))]
async fn detach(tasks: usize) {
    let (sender, mut told) = mpsc::channel(1);
    for _ in 0..tasks {
        tokio::spawn(armed(sender.clone()));
    }
    drop(sender);
    while told.recv().await.is_some() {}
}

#[cancellable]
async fn loses(tasks: usize) {
    detach(tasks).await;
    say("ready");
    pending::<()>().await;
}

#[cancellable]
async fn overruns() {
    defer! {
        say("leaving");
        sleep(LONG).await;
    }
    say("ready");
    pending::<()>().await;
}

#[cancellable(allow(blocking))]
async fn blocks() {
    tokio::task::yield_now().await;
    say("ready");
    block();
}

/// Returns while the watchdog reports.
#[cancellable]
async fn late_at_its_end() {
    #[cancellable]
    async fn late() {
        defer! {
            while !TELLING.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(1)).await;
            }
        }
        pending::<()>().await;
    }

    let scope = Scope::new().name("import");
    scope.handle().cancel();
    scope.run(late()).await.ok();
}

#[cancellable]
async fn returns() -> &'static str {
    detach(1).await;
    say("ready");
    stopping().await;
    "the value of main"
}

/// Work that nobody awaits, and nothing ends.
async fn begin_work() {
    let (begun, told) = tokio::sync::oneshot::channel();
    tokio::task::spawn_blocking(move || {
        begun.send(()).unwrap();
        block();
    });
    told.await.unwrap();
}

async fn panics_beside_work() {
    begin_work().await;
    panic!("on purpose");
}

/// The last part is with the blocking pool when it returns.
async fn writes(path: String) {
    let part = vec![7; 1 << 20];
    let mut file = tokio::fs::File::create(path).await.unwrap();
    for _ in 0..64 {
        file.write_all(&part).await.unwrap();
    }
}

fn cancel_main() {
    let main = Ambient::current().handle().unwrap();
    main.cancel_with(Reason::other("out of work"));
}

/// The signal comes while it leaves.
#[cancellable]
async fn cancels_itself() {
    defer! {
        say("ready");
        stopping().await;
    }
    cancel_main();
    pending::<()>().await;
}

#[cancellable]
async fn cancels_itself_and_blocks() {
    defer! {
        say("ready");
        block();
    }
    cancel_main();
    pending::<()>().await;
}

/// Its cleanup takes longer than a burst of signals.
#[cancellable]
async fn leaves_in_time() {
    defer! {
        say("leaving");
        sleep(Duration::from_millis(300)).await;
        say("clean");
    }
    say("ready");
    pending::<()>().await;
}

#[cancellable]
async fn waits() {
    sleep(LONG).await;
}

struct OnDrop;

impl Drop for OnDrop {
    fn drop(&mut self) {
        futures::executor::block_on(waits());
    }
}

/// Calls `block` in a cancelled scope, where it waits for ever.
async fn nests(block: impl FnOnce()) {
    let scope = Scope::new().name("import");
    scope.handle().cancel();
    let blocked = scope.run(async {
        say("ready");
        block();
    });
    blocked.await.ok();
}

/// Combinators have wakers of their own, too, and their thread goes on.
#[cancellable(allow(hard_drop))]
async fn combines() {
    #[cancellable]
    async fn part() {
        defer! { sleep(GRACE / 2).await; }
        sleep(LONG).await;
    }

    let scope = Scope::new().name("import").grace(LONG);
    let handle = scope.handle();
    let parts = futures::future::join_all((0..100).map(|_| part()));
    let all = async {
        taskscope::join!(parts, async { handle.cancel() });
    };
    scope.run(all).await.unwrap_err();
    // Past what is looked at.
    sleep(GRACE).await;
}

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("on purpose");
    }
}

/// Waits to be stopped and to be cancelled by a waker that panics, too; and does not leave.
#[cancellable]
async fn wakes_with_a_panic() {
    defer! { pending::<()>().await; }
    let waker = Waker::from(Arc::new(Panics));
    let mut cx = Context::from_waker(&waker);
    let mut stopped = Box::pin(stopping());
    let mut cancelled = Box::pin(taskscope::cancelled());
    assert!(stopped.as_mut().poll(&mut cx).is_pending());
    assert!(cancelled.as_mut().poll(&mut cx).is_pending());
    say("ready");
    pending::<()>().await;
}
