use std::any::Any;
use std::future::poll_fn;
use std::io::{Write, stderr};
use std::panic::{AssertUnwindSafe, Location, resume_unwind};
use std::pin::pin;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use futures::FutureExt;
use taskscope::{Cancelled, Scope};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Long enough for a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(180);

/// Ends the process, naming the test, when it is not dropped in time.
struct Watchdog {
    _done: mpsc::Sender<()>,
}

impl Watchdog {
    fn start(flavor: &'static str, caller: &'static Location<'static>) -> Self {
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        let (done, waits) = mpsc::channel();
        std::thread::spawn(move || {
            if waits.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                // Not `eprintln!`, which the test harness keeps to itself.
                writeln!(
                    stderr(),
                    "\nwatchdog: `{test}` ({caller}) hangs on {flavor}"
                )
                .ok();
                std::process::abort();
            }
        });
        Self { _done: done }
    }
}

fn run_on<Fut>(mut builder: Builder, test: Fut)
where
    Fut: Future<Output = ()>,
{
    builder.enable_all().build().unwrap().block_on(test);
}

fn run_spawned<Fut>(mut builder: Builder, test: Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    let runtime = builder.enable_all().build().unwrap();
    let outcome = runtime.block_on(async move { tokio::spawn(test).await });
    if let Err(error) = outcome {
        resume_unwind(error.into_panic());
    }
}

/// Runs a test that makes its own threads or runtimes.
#[track_caller]
pub fn watched(test: impl FnOnce()) {
    let _watchdog = Watchdog::start("threads of its own", Location::caller());
    test();
}

/// Runs the test on `current_thread`, then as a task on `multi_thread`.
#[track_caller]
pub fn both<F, Fut>(test: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let caller = Location::caller();
    let watchdog = Watchdog::start("current_thread", caller);
    run_on(Builder::new_current_thread(), test());
    drop(watchdog);

    let _watchdog = Watchdog::start("multi_thread", caller);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(4);
    run_spawned(builder, test());
}

/// Like [`both`], with one worker: what the test spawns is not polled before
/// the test itself waits.
#[track_caller]
pub fn one_worker<F, Fut>(test: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let caller = Location::caller();
    let watchdog = Watchdog::start("current_thread", caller);
    run_on(Builder::new_current_thread(), test());
    drop(watchdog);

    let _watchdog = Watchdog::start("multi_thread, one worker", caller);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1);
    run_spawned(builder, test());
}

/// Runs a test about time: on the paused clock of `current_thread`, once as
/// the runtime's main future and once as a task.
#[track_caller]
pub fn paused<F, Fut>(test: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let caller = Location::caller();
    let _watchdog = Watchdog::start("current_thread, paused", caller);
    let mut builder = Builder::new_current_thread();
    builder.start_paused(true);
    run_on(builder, test());
    let mut builder = Builder::new_current_thread();
    builder.start_paused(true);
    run_spawned(builder, test());
}

/// Like [`paused`], for a test that need not be `Send`.
#[track_caller]
pub fn paused_once<F, Fut>(test: F)
where
    F: FnOnce() -> Fut,
    Fut: Future<Output = ()>,
{
    let _watchdog = Watchdog::start("current_thread, paused", Location::caller());
    let mut builder = Builder::new_current_thread();
    builder.start_paused(true);
    run_on(builder, test());
}

/// Runs what `body` makes in `scope` and cancels the scope once the body sends
/// its signal. A body that ends without sending fails the test.
pub async fn cancel_at<F, Fut>(scope: Scope<'_>, body: F) -> Result<Fut::Output, Cancelled>
where
    F: FnOnce(oneshot::Sender<()>) -> Fut,
    Fut: Future,
{
    let handle = scope.handle();
    let (here, reached) = oneshot::channel();
    let running = scope.run(body(here));
    let cancelling = async {
        reached
            .await
            .expect("the body ended before it was to be cancelled");
        handle.cancel();
    };
    futures::join!(running, cancelling).0
}

/// Polls `future` inside of another runtime, where it then spawns.
pub async fn inside<F: Future>(runtime: &Handle, future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _entered = runtime.enter();
        future.as_mut().poll(cx)
    })
    .await
}

/// Runs `future` to its end, its panic caught.
pub async fn caught<F: Future>(future: F) -> Result<F::Output, Box<dyn Any + Send>> {
    AssertUnwindSafe(future).catch_unwind().await
}

/// The message of a panic.
pub fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned())
}

/// Returns the command that runs one test of this program, in a process of its own.
///
/// # Panics
///
/// If the program cannot be found.
pub fn test_again(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("a test has a program"));
    command.args(["--exact", name]);
    command
}

/// Runs `body`, which is all of the test called `name`, in a process of its own: for tests of
/// what there is once for each process.
///
/// # Panics
///
/// If it fails there.
#[track_caller]
pub fn in_own_process(name: &str, body: impl FnOnce()) {
    const CHILD: &str = "TASKSCOPE_TESTS_CHILD";
    if std::env::var_os(CHILD).is_some_and(|child| child == name) {
        return body();
    }
    let child = test_again(name)
        .arg("--nocapture")
        .env(CHILD, name)
        .output()
        .expect("the program can be run again");
    let text = String::from_utf8_lossy(&child.stdout);
    print!("{text}{}", String::from_utf8_lossy(&child.stderr));
    let is_run = text.contains("test result: ok. 1 passed");
    assert!(
        child.status.success() && is_run,
        "`{name}` failed in its own process"
    );
}
