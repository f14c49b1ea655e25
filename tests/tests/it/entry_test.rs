//! `#[taskscope::test]`: what it passes, and what it fails for.
#![allow(unnameable_test_items, reason = "tests that fail are called by others")]

use std::cell::Cell;
use std::future::pending;
use std::panic::{Location, catch_unwind};
use std::process::ExitStatus;
use std::sync::{Barrier, Once, mpsc};
use std::time::Duration;

use taskscope::testing::assert_no_leaks;
use taskscope::{
    Ambient, BoxError, TaskGroup, Value, blocking, cancellable, defer, task_group, timeout,
};
use taskscope_tests::{Driven, caught, lost_cleanups, test_again, text_of, watch_reports, watched};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{Instant, sleep};

/// Waits for ever, with a cleanup.
#[cancellable]
async fn armed() {
    defer! { yield_now().await; }
    pending::<()>().await;
}

/// `tokio::spawn`, which is an error in the test itself.
fn detached<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(future)
}

#[taskscope::test]
async fn passes() {
    defer! { yield_now().await; }
    let scope = Ambient::current().handle().unwrap();
    assert_eq!(scope.name(), "passes");
    let runtime = Handle::current();
    assert_eq!(runtime.runtime_flavor(), RuntimeFlavor::CurrentThread);
}

#[taskscope::test]
async fn passes_a_result() -> Result<(), BoxError> {
    let seven = timeout(Duration::from_secs(60), async { 7 }).await?;
    assert_eq!(seven, 7);
    Ok(())
}

#[taskscope::test]
#[should_panic(expected = "on purpose")]
async fn passes_what_should_panic() {
    yield_now().await;
    panic!("on purpose");
}

#[taskscope::test(start_paused = true)]
async fn time_stands_still() {
    let since = Instant::now();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(since.elapsed(), Duration::from_secs(3600));
}

#[taskscope::test(flavor = "multi_thread", worker_threads = 3)]
async fn several_threads() {
    let runtime = Handle::current();
    assert_eq!(runtime.runtime_flavor(), RuntimeFlavor::MultiThread);
    assert_eq!(runtime.metrics().num_workers(), 3);
}

/// Tasks that end in order, and those that tokio has, joined or about to end.
#[taskscope::test(flavor = "multi_thread")]
async fn tasks_that_have_ended_are_no_leak() -> Result<(), BoxError> {
    let group = TaskGroup::<BoxError>::new().run(async |g| {
        g.service(armed());
        Ok(g.spawn(async { Value(7) }).await?)
    });
    assert_eq!(group.await?, 7);
    assert!(timeout(Duration::from_millis(1), armed()).await.is_err());
    detached(async {}).await?;
    detached(sleep(Duration::from_millis(10)));
    let Value(value) = blocking(|| Value(7)).await;
    assert_eq!(value, 7);
    Ok(())
}

/// Blocking work that says it may be left is no leak.
#[taskscope::test]
async fn abandoned_on_purpose() {
    let (release, released) = mpsc::channel::<()>();
    let work = blocking(move || released.recv().unwrap_or_default()).abandon();
    assert!(timeout(Duration::from_millis(1), work).await.is_err());
    drop(release);
}

#[test]
fn the_value_is_returned() {
    #[taskscope::test]
    async fn fails() -> Result<(), &'static str> {
        yield_now().await;
        Err("no luck")
    }

    watched(|| assert_eq!(fails(), Err("no luck")));
}

/// The message of a test that must fail.
#[track_caller]
fn failure<T>(test: fn() -> T) -> String {
    let mut text = None;
    watched(|| {
        let panic = catch_unwind(test).err().expect("the test has passed");
        text = Some(text_of(&*panic));
    });
    text.unwrap()
}

#[track_caller]
fn contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

/// This file and the line so far below the caller's.
#[track_caller]
fn place(lines_below: u32) -> String {
    let here = Location::caller();
    format!("{}:{}:", here.file(), here.line() + lines_below)
}

#[test]
fn a_leaked_task_fails_with_its_name_and_line() {
    let place = place(6);

    #[taskscope::test]
    async fn drops_a_group() {
        let (here, reached) = oneshot::channel();
        let mut group = Driven::new(TaskGroup::<BoxError>::new().name("lost").run(async |g| {
            g.spawn_named("straggler", slow(here));
            pending::<Result<(), _>>().await
        }));
        group.pending();
        reached.await.unwrap();
        drop(group);
    }

    #[cancellable]
    async fn slow(here: oneshot::Sender<()>) {
        defer! { sleep(Duration::from_millis(20)).await; }
        here.send(()).unwrap();
        pending::<()>().await;
    }

    let text = failure(drops_a_group);
    contains(&text, &["test `drops_a_group`", "lost > straggler", &place]);
}

#[test]
fn a_task_of_tokio_that_goes_on_fails() {
    #[taskscope::test]
    async fn on_one_thread() {
        detached(pending::<()>());
    }

    #[taskscope::test(flavor = "multi_thread")]
    async fn on_several() {
        detached(pending::<()>());
        detached(pending::<()>());
    }

    contains(
        &failure(on_one_thread),
        &["`on_one_thread`", "`tokio::spawn`", "running: 1"],
    );
    contains(
        &failure(on_several),
        &["`on_several`", "`tokio::spawn`", "running: 2"],
    );
}

#[test]
fn a_lost_cleanup_fails_with_its_line() {
    #[taskscope::test]
    async fn drops_it() {
        let mut armed = Driven::new(armed());
        armed.pending();
    }

    #[taskscope::test(flavor = "multi_thread", worker_threads = 2)]
    async fn drops_it_on_a_worker() {
        detached(async { Driven::new(armed()).pending() })
            .await
            .unwrap();
    }

    #[taskscope::test]
    async fn drops_it_on_a_blocking_thread() {
        blocking(|| Driven::new(armed()).pending()).await;
    }

    #[taskscope::test(start_paused = true)]
    #[cancellable(allow(hard_drop))]
    async fn drops_it_in_a_tokio_timeout() {
        let lost = tokio::time::timeout(Duration::from_secs(1), armed());
        assert!(lost.await.is_err());
    }

    for (test, name) in [
        (drops_it as fn(), "`drops_it`"),
        (drops_it_on_a_worker, "`drops_it_on_a_worker`"),
        (
            drops_it_on_a_blocking_thread,
            "`drops_it_on_a_blocking_thread`",
        ),
        (drops_it_in_a_tokio_timeout, "`drops_it_in_a_tokio_timeout`"),
    ] {
        contains(
            &failure(test),
            &[name, "lost cleanup", "`defer!`", "entry_test.rs:"],
        );
    }
}

/// Dropped with the runtime, after the test.
#[test]
fn a_cleanup_lost_in_a_leaked_task_is_named_too() {
    #[taskscope::test(flavor = "multi_thread", worker_threads = 2)]
    async fn leaks() {
        let (here, reached) = oneshot::channel();
        detached(async {
            let mut armed = Driven::new(armed());
            armed.pending();
            here.send(()).unwrap();
            pending::<()>().await;
        });
        reached.await.unwrap();
    }

    contains(
        &failure(leaks),
        &["`tokio::spawn`", "lost cleanup", "entry_test.rs:"],
    );
}

/// A check inside the test collects its own reports, no longer than it runs.
#[test]
fn a_cleanup_lost_after_a_check_that_panicked_is_named() {
    #[taskscope::test]
    async fn loses_it() {
        let checked = assert_no_leaks(async { panic!("on purpose") });
        assert!(caught(checked).await.is_err());
        Driven::new(armed()).pending();
    }

    contains(&failure(loses_it), &["`loses_it`", "lost cleanup"]);
}

#[test]
fn a_cleanup_that_is_cut_fails() {
    #[taskscope::test(start_paused = true)]
    async fn overruns() {
        #[cancellable]
        async fn slow() {
            defer! { sleep(Duration::from_secs(60)).await; }
            pending::<()>().await;
        }

        let scope = taskscope::Scope::new()
            .timeout(Duration::from_secs(1))
            .grace(Duration::from_secs(1));
        assert!(scope.run(slow()).await.is_err());
    }

    contains(
        &failure(overruns),
        &["exceeded the grace period", "entry_test.rs:"],
    );
}

#[test]
fn blocking_work_left_behind_fails() {
    #[taskscope::test]
    async fn leaves_it() {
        let (release, released) = mpsc::channel::<()>();
        let (here, reached) = oneshot::channel();
        let mut work = Driven::new(blocking(move || {
            here.send(()).unwrap();
            released.recv().ok();
        }));
        work.pending();
        reached.await.unwrap();
        drop(work);
        drop(release);
    }

    contains(
        &failure(leaves_it),
        &["blocking work", "`leaves_it`", "entry_test.rs:"],
    );
}

#[test]
fn a_panic_comes_before_what_it_leaves_behind() {
    #[taskscope::test]
    async fn panics() {
        detached(pending::<()>());
        Driven::new(armed()).pending();
        panic!("on purpose");
    }

    assert_eq!(failure(panics), "on purpose");
}

#[test]
fn a_test_that_cancels_itself_fails() {
    #[taskscope::test]
    async fn cancels_itself() {
        Ambient::current().handle().unwrap().cancel();
        yield_now().await;
    }

    contains(
        &failure(cancels_itself),
        &["`cancels_itself` ended early", "requested"],
    );
}

/// Side by side, half of them lose something.
#[test]
fn tests_do_not_see_each_others_reports() {
    #[taskscope::test]
    async fn loses() {
        sleep(Duration::from_millis(2)).await;
        Driven::new(armed()).pending();
        sleep(Duration::from_millis(2)).await;
    }

    #[taskscope::test(flavor = "multi_thread", worker_threads = 2)]
    async fn loses_on_workers() {
        detached(async { Driven::new(armed()).pending() })
            .await
            .unwrap();
    }

    #[taskscope::test]
    async fn is_clean() {
        sleep(Duration::from_millis(4)).await;
    }

    #[taskscope::test(flavor = "multi_thread", worker_threads = 2)]
    async fn is_clean_on_workers() {
        detached(sleep(Duration::from_millis(4))).await.unwrap();
    }

    let tests: [(fn(), bool); 4] = [
        (loses, false),
        (loses_on_workers, false),
        (is_clean, true),
        (is_clean_on_workers, true),
    ];
    watched(|| {
        let at_once = Barrier::new(8);
        std::thread::scope(|threads| {
            for (test, passes) in tests.into_iter().cycle().take(8) {
                let at_once = &at_once;
                threads.spawn(move || {
                    for _ in 0..20 {
                        at_once.wait();
                        assert_eq!(catch_unwind(test).is_ok(), passes);
                    }
                });
            }
        });
    });
}

/// Each in its own way it does not end, and says so with what it waits for.
#[test]
fn a_test_that_hangs_fails_with_the_tree() {
    #[taskscope::test(timeout = LIMIT)]
    async fn idle() {
        pending::<()>().await;
    }

    #[taskscope::test(timeout = LIMIT, start_paused = true)]
    async fn idle_and_paused() {
        pending::<()>().await;
    }

    #[taskscope::test(timeout = LIMIT, start_paused = true)]
    async fn busy_and_paused() {
        loop {
            sleep(Duration::from_secs(1)).await;
        }
    }

    #[taskscope::test(timeout = LIMIT)]
    async fn spins() {
        loop {
            yield_now().await;
        }
    }

    #[taskscope::test(timeout = LIMIT, flavor = "multi_thread")]
    async fn in_a_task() -> Result<(), BoxError> {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn_named("sleeper", pending::<()>());
            Ok(())
        });
        group.await?;
        Ok(())
    }

    #[taskscope::test(timeout = LIMIT)]
    async fn in_its_cleanup() {
        defer! { pending::<()>().await; }
        yield_now().await;
    }

    const LIMIT: Duration = Duration::from_millis(50);
    let hang: [(&str, fn()); 5] = [
        ("idle", idle),
        ("idle_and_paused", idle_and_paused),
        ("busy_and_paused", busy_and_paused),
        ("spins", spins),
        ("in_its_cleanup", in_its_cleanup),
    ];
    for (name, test) in hang {
        let text = failure(test);
        let told = format!("test `{name}` has not ended after 50ms");
        contains(
            &text,
            &[&told, &format!("{name}  running"), "entry_test.rs"],
        );
    }
    contains(&failure(in_a_task), &["test `in_a_task`", "sleeper  "]);
}

/// The time is over, and what is dropped then panics.
#[test]
fn a_test_that_hangs_fails_for_its_time_whatever_is_dropped() {
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("in the drop");
        }
    }

    #[taskscope::test(timeout = Duration::from_millis(50))]
    async fn explodes() {
        let _bomb = Bomb;
        pending::<()>().await;
    }

    contains(&failure(explodes), &["test `explodes` has not ended"]);
}

#[taskscope::test(timeout = Duration::MAX)]
async fn a_limit_that_never_comes() {
    yield_now().await;
}

/// Set for a test that is run in a process of its own.
const CHILD: &str = "TASKSCOPE_TESTS_CHILD";
const LIMIT: &str = "TASKSCOPE_TEST_TIMEOUT";

/// Runs one test of this program in a process of its own.
fn child(test: &str, limit: Option<&str>) -> (ExitStatus, String) {
    let mut command = test_again(&format!("entry_test::{test}"));
    command.arg("--nocapture").env(CHILD, "");
    command
        .env_remove(LIMIT)
        .envs(limit.map(|limit| (LIMIT, limit)));
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status, String::from_utf8(text).unwrap())
}

/// Does nothing unless it is run by another test.
#[test]
fn child_that_blocks_its_thread() {
    #[taskscope::test(timeout = Duration::from_millis(50))]
    async fn blocks() {
        task_group!(|g| {
            g.spawn_named("blocker", async { std::thread::park() });
            Ok(())
        })
        .await
        .unwrap();
    }

    if std::env::var_os(CHILD).is_some() {
        blocks();
    }
}

#[test]
fn child_that_waits() {
    #[taskscope::test]
    async fn waits() {
        sleep(Duration::from_secs(1)).await;
    }

    if std::env::var_os(CHILD).is_some() {
        waits();
    }
}

/// Nothing can end a thread.
#[cfg(unix)]
#[test]
fn a_test_that_blocks_its_thread_aborts_the_process() {
    use std::os::unix::process::ExitStatusExt;

    watched(|| {
        let since = std::time::Instant::now();
        let (status, text) = child("child_that_blocks_its_thread", None);
        assert!(since.elapsed() >= Duration::from_secs(5));
        assert_eq!(status.signal(), Some(6), "{text}");
        let told = "test `blocks` has not ended after 50ms, and keeps its thread";
        contains(&text, &[told, "blocker  running"]);
    });
}

/// In seconds; zero is no limit, and what is no number is an error.
#[test]
fn the_environment_overrides_the_limit() {
    watched(|| {
        let run = |limit| child("child_that_waits", limit);
        let (status, text) = run(Some("0.05"));
        assert!(!status.success());
        contains(&text, &["test `waits` has not ended after 50ms"]);
        for limit in [None, Some("0"), Some("600")] {
            let (status, text) = run(limit);
            assert!(status.success(), "{text}");
        }
        let (status, text) = run(Some("soon"));
        assert!(!status.success());
        contains(&text, &["TASKSCOPE_TEST_TIMEOUT=`soon` is not a time"]);
    });
}

/// It is lost because the test that hangs is dropped, which is told already.
#[test]
fn a_test_that_hangs_reports_no_cleanup_that_is_lost_with_it() {
    #[taskscope::test(timeout = Duration::from_millis(50))]
    async fn hangs_with_a_cleanup() {
        detached(async { armed().await });
        armed().await;
    }

    watch_reports();
    let text = failure(hangs_with_a_cleanup);
    contains(&text, &["has not ended after 50ms"]);
    assert!(!text.contains("lost cleanup"), "{text}");
    let lost = lost_cleanups("hangs_with_a_cleanup");
    assert!(lost.is_empty(), "{lost:?}");
}

#[test]
fn equal_lost_cleanups_are_counted() {
    #[taskscope::test]
    async fn loses_ten() {
        for _ in 0..10 {
            Driven::new(armed()).pending();
        }
    }

    let text = failure(loses_ten);
    let lost: Vec<_> = text
        .lines()
        .filter(|line| line.contains("lost cleanup"))
        .collect();
    let [line] = lost[..] else { panic!("{text}") };
    assert!(line.ends_with(" × 10"), "{text}");
}

thread_local! {
    /// Where this thread has panicked last.
    static PANICKED_AT: Cell<Option<(&'static str, u32)>> = const { Cell::new(None) };
}

/// The file and line of the panic of a test that must fail.
fn place_of_failure(test: fn()) -> (&'static str, u32) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let at = info.location();
            let at = at.map(|at| (&*String::leak(at.file().to_owned()), at.line()));
            PANICKED_AT.set(at);
            former(info);
        }));
    });
    let mut place = None;
    watched(|| {
        catch_unwind(test).unwrap_err();
        place = PANICKED_AT.take();
    });
    place.unwrap()
}

/// An editor goes there.
#[test]
fn a_test_that_fails_by_itself_is_located_in_its_own_file() {
    const FROM: u32 = line!();

    #[taskscope::test(timeout = Duration::from_millis(50))]
    async fn hangs() {
        pending::<()>().await;
    }

    #[taskscope::test]
    async fn ends_early() {
        Ambient::current().handle().unwrap().cancel();
        pending::<()>().await;
    }

    #[taskscope::test]
    async fn loses() {
        Driven::new(armed()).pending();
    }

    let lines = FROM..line!();
    for test in [hangs as fn(), ends_early, loses] {
        let (file, line) = place_of_failure(test);
        assert_eq!(file, file!());
        assert!(lines.contains(&line), "{line} is not in {lines:?}");
    }
}
