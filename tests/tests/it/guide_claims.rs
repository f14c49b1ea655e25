//! What the guide says about rare cases.

use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use taskscope::{BoxError, TaskGroup, Value, on_cancel, race, shield};
use taskscope::{Scope, blocking, cancellable, checkpoint_blocking, defer, timeout};
use taskscope_tests::{Driven, Log, both, text_of, watched};
use tokio::runtime::Builder;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;
use tokio::task::yield_now;

/// `cancel_safety`: two that poll one future.
#[test]
fn a_shared_future_that_one_has_left_panics_for_the_other() {
    both(|| async {
        #[cancellable]
        async fn work(log: Log) {
            defer! { log.add("cleaned up"); }
            pending::<()>().await;
        }

        let log = Log::new();
        let shared = work(log.clone()).boxed().shared();
        let scope = Scope::new();
        let handle = scope.handle();
        let mut one = Driven::new(scope.run(shared.clone()));
        let mut other = Driven::new(shared);
        one.pending();
        handle.cancel();
        assert!(one.finish().is_err());
        log.is(&["cleaned up"]);
        let polled = catch_unwind(AssertUnwindSafe(|| other.poll()));
        let text = text_of(&*polled.unwrap_err());
        assert!(text.contains("guide_claims.rs"), "{text}");
    });
}

/// `cancel_safety`: outside of a scope it is as without the attribute.
#[test]
fn ready_awaits_give_way_once_in_a_while_in_a_scope() {
    #[cancellable]
    async fn ready_awaits(count: usize) {
        for _ in 0..count {
            ready(()).await;
        }
    }

    both(|| async {
        assert!(ready_awaits(5000).now_or_never().is_some());
        let inside = Scope::new().run(async { ready_awaits(5000).now_or_never().is_some() });
        assert!(!inside.await.unwrap());
        let few = Scope::new().run(async { ready_awaits(20).now_or_never().is_some() });
        assert!(few.await.unwrap());
        Scope::new().run(ready_awaits(5000)).await.unwrap();
    });
}

#[cancellable]
async fn moves_a_local(moves: bool, log: Log) {
    let guard = log.mark("guard");
    defer! { log.add("cleaned up"); }
    if moves {
        drop(guard);
    }
    log.add("end");
}

#[cancellable]
async fn takes_a_local(takes: bool, log: Log) {
    let mut guard = Some(log.mark("guard"));
    defer! { log.add("cleaned up"); }
    if takes {
        drop(guard.take());
    }
    log.add("end");
}

/// `cleanup`: what is moved on some path belongs to the code below the `defer!`.
#[test]
fn a_local_that_is_moved_on_some_path_goes_before_the_cleanup() {
    both(|| async {
        for (moves, expected) in [
            (true, ["drop guard", "end", "cleaned up"]),
            (false, ["end", "drop guard", "cleaned up"]),
        ] {
            let log = Log::new();
            moves_a_local(moves, log.clone()).await;
            log.is(&expected);
        }
        for (takes, expected) in [
            (true, ["drop guard", "end", "cleaned up"]),
            (false, ["end", "cleaned up", "drop guard"]),
        ] {
            let log = Log::new();
            takes_a_local(takes, log.clone()).await;
            log.is(&expected);
        }
    });
}

/// `timeout`: an await looks at a flag, and what gives way looks at the clock.
#[test]
fn what_computes_past_a_deadline_is_cut_where_it_gives_way() {
    fn burn(time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {}
    }

    #[cancellable]
    async fn once() -> u32 {
        burn(Duration::from_millis(30));
        ready(()).await;
        42
    }

    #[cancellable]
    async fn rounds(done: &mut u32) {
        #[checkpoint]
        for _ in 0..1000 {
            burn(Duration::from_millis(2));
            *done += 1;
        }
    }

    both(|| async {
        let limit = Duration::from_millis(10);
        assert_eq!(timeout(limit, once()).await.unwrap(), 42);
        let mut done = 0;
        assert!(timeout(limit, rounds(&mut done)).await.is_err());
        assert!(done < 1000, "{done}");
        let work = blocking(|| {
            for _ in 0..1000 {
                burn(Duration::from_millis(2));
                checkpoint_blocking()?;
            }
            Ok::<(), taskscope::Cancelled>(())
        });
        assert!(timeout(limit, work).await.is_err());
    });
}

/// A resource that is opened on the blocking pool, after the test has cancelled its scope.
struct Opening {
    begun: oneshot::Sender<()>,
    cancelled: mpsc::Receiver<()>,
    log: Log,
}

struct Resource(Log);

impl Opening {
    fn open(self) -> Value<Resource> {
        self.begun.send(()).unwrap();
        self.cancelled.recv().unwrap();
        self.log.add("opened");
        Value(Resource(self.log))
    }
}

impl Resource {
    async fn close(&self) {
        self.0.add("closed");
    }
}

#[derive(Clone, Copy, Debug)]
enum How {
    Body,
    Shield,
    Spawn,
    Scoped,
    Blocking,
    Shielded,
}

async fn opened(how: How, opening: Opening) -> Result<Resource, BoxError> {
    let open = move || opening.open();
    if let How::Shield = how {
        let group = TaskGroup::<BoxError>::new().run(async |g| Ok(g.spawn_blocking(open).await?));
        return Ok(shield(group).await?);
    }
    let group = TaskGroup::<BoxError>::new().run(async |g| match how {
        How::Body | How::Shield => Ok(blocking(open).await.0),
        How::Spawn => Ok(g.spawn(blocking(open)).await?),
        How::Scoped => Ok(g.spawn_scoped(blocking(open)).await?),
        How::Blocking => Ok(g.spawn_blocking(open).await?),
        How::Shielded => Ok(g.spawn_shielded(blocking(open)).await?),
    });
    Ok(group.await?)
}

#[cancellable]
async fn uses_a_resource(how: How, opening: Opening) -> Result<(), BoxError> {
    let resource = opened(how, opening).await?;
    defer! { resource.close().await; }
    pending().await
}

/// `cancel_safety`: a handle delivers no value to code that is cancelled while it waits.
#[test]
fn a_resource_of_a_task_is_lost_where_its_handle_is_cancelled() {
    both(|| async {
        for (how, is_closed) in [
            (How::Body, true),
            (How::Shield, true),
            (How::Spawn, false),
            (How::Scoped, false),
            (How::Blocking, false),
            (How::Shielded, false),
        ] {
            let log = Log::new();
            let (begun, has_begun) = oneshot::channel();
            let (go_on, cancelled) = mpsc::channel();
            let opening = Opening {
                begun,
                cancelled,
                log: log.clone(),
            };
            let scope = Scope::new();
            let handle = scope.handle();
            let test = async move {
                has_begun.await.unwrap();
                handle.cancel();
                // Polled once more, the code that waits has been cancelled.
                tokio::task::yield_now().await;
                go_on.send(()).unwrap();
            };
            let run = scope.run(uses_a_resource(how, opening));
            assert!(futures::join!(run, test).0.is_err());
            let closed = if is_closed {
                &["opened", "closed"][..]
            } else {
                &["opened"]
            };
            assert_eq!(log.entries(), closed, "{how:?}");
        }
    });
}

/// `cancel_safety`: nor does a group that is cancelled from outside deliver its body's value.
#[test]
fn a_resource_that_a_body_returns_is_lost_while_the_group_waits_for_others() {
    #[cancellable]
    async fn session(log: Log) {
        let group = TaskGroup::<BoxError>::new().run(async |g| {
            g.spawn(pending::<()>());
            Ok(log.mark("resource"))
        });
        let _resource = group.await.unwrap();
        defer! { log.add("closed"); }
        pending().await
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let mut run = Driven::new(scope.run(session(log.clone())));
        run.pending();
        log.is(&[]);
        handle.cancel();
        assert!(run.into_future().await.is_err());
        log.is(&["drop resource"]);
    });
}

#[cancellable]
async fn creates(path: &Path, in_a_shield: bool) {
    let file = if in_a_shield {
        shield(tokio::fs::File::create(path)).await
    } else {
        tokio::fs::File::create(path).await
    };
    on_cancel! { tokio::fs::remove_file(path).await.unwrap(); }
    file.unwrap();
    pending().await
}

/// `cancel_safety`: work of `tokio::fs` outlives its future, unless it is shielded.
#[test]
fn a_file_is_created_after_the_cancellation_unless_that_is_shielded() {
    watched(|| {
        for in_a_shield in [false, true] {
            let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                .join(format!("create-{}", std::process::id()));
            // One thread, which is busy until the scope has been cancelled.
            let runtime = Builder::new_current_thread()
                .enable_all()
                .max_blocking_threads(1)
                .build()
                .unwrap();
            let (release, released) = mpsc::channel::<()>();
            runtime.block_on(async {
                tokio::task::spawn_blocking(move || released.recv());
                let scope = Scope::new();
                let handle = scope.handle();
                let mut run = Driven::new(scope.run(creates(&path, in_a_shield)));
                run.pending();
                handle.cancel();
                if !in_a_shield {
                    assert!(run.finish().is_err());
                    assert!(!path.exists());
                    release.send(()).unwrap();
                } else {
                    run.pending();
                    release.send(()).unwrap();
                    assert!(run.into_future().await.is_err());
                }
                // What the pool had to do before this is done.
                tokio::task::spawn_blocking(|| ()).await.unwrap();
            });
            assert_eq!(path.exists(), !in_a_shield);
            std::fs::remove_file(&path).ok();
        }
    });
}

fn named() -> &'static str {
    "outside"
}

/// `cleanup`: an item that depends on a macro of the block is not seen by the cleanup.
#[test]
fn a_cleanup_sees_items_of_its_block_but_not_those_that_stay_below() {
    #[cancellable]
    async fn sees(log: Log) {
        defer! { log.add(named()); }
        fn named() -> &'static str {
            "inside"
        }
        log.add(named());
    }

    #[cancellable]
    async fn does_not_see(log: Log) {
        defer! { log.add(named()); }
        macro_rules! text {
            () => {
                "below"
            };
        }
        fn named() -> &'static str {
            text!()
        }
        assert_eq!(named(), "below");
    }

    both(|| async {
        let log = Log::new();
        sees(log.clone()).await;
        does_not_see(log.clone()).await;
        log.is(&["inside", "inside", "outside"]);
    });
}

/// The docs of `#[cancellable]`: a crate that is imported by another name.
mod renamed {
    use taskscope as ts;
    use taskscope_tests::Log;

    #[ts::cancellable(crate = ts)]
    pub(super) async fn with_the_option(handle: ts::CancelHandle, log: Log) {
        ts::defer! { log.add("cleaned up"); }
        handle.cancel();
        ts::shield(async { log.add("shielded") }).await;
    }

    #[ts::cancellable]
    pub(super) async fn without(handle: ts::CancelHandle, log: Log) {
        handle.cancel();
        ts::shield(async { log.add("shielded") }).await;
    }
}

#[test]
fn a_renamed_crate_is_known_by_the_option() {
    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let run = scope.run(renamed::with_the_option(handle, log.clone()));
        run.await.unwrap();
        log.is(&["shielded", "cleaned up"]);

        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        let run = scope.run(renamed::without(handle, log.clone()));
        assert!(run.await.is_err());
        log.is(&[]);
    });
}

#[cancellable]
async fn received_with_a_cleanup(jobs: &mut Receiver<u32>) -> Option<u32> {
    defer! { yield_now().await; }
    jobs.recv().await
}

/// `cancel_safety`: a branch that has to unwind is polled once more, and may take something then.
#[test]
fn a_losing_branch_takes_nothing_unless_it_has_to_unwind() {
    both(|| async {
        let (send, mut jobs) = channel(1);
        race! {
            biased;
            _ = jobs.recv() => panic!("it came after the branch was polled"),
            () = async { send.try_send(1).unwrap() } => {}
        }
        assert_eq!(jobs.try_recv(), Ok(1));

        race! {
            biased;
            _ = timeout(Duration::from_secs(60), jobs.recv()) => panic!("it came later"),
            () = async { send.try_send(2).unwrap() } => {}
        }
        assert_eq!(jobs.try_recv(), Ok(2));

        race! {
            biased;
            _ = received_with_a_cleanup(&mut jobs) => panic!("it came later"),
            () = async { send.try_send(3).unwrap() } => {}
        }
        assert!(jobs.try_recv().is_err(), "lost");
    });
}

#[derive(Clone, Copy, Debug)]
enum Reader {
    Spawn,
    Shielded,
    Service,
}

#[cancellable]
async fn reads(mut queue: tokio::sync::mpsc::Receiver<u32>, read: Log) {
    while let Some(entry) = queue.recv().await {
        tokio::task::yield_now().await;
        read.add(entry.to_string());
    }
}

/// `groups`: which task empties its queue, by the way in which the group ends.
#[test]
fn a_queue_is_emptied_by_a_task_or_a_shielded_one_but_not_by_a_service() {
    both(|| async {
        for (reader, cancelled, all) in [
            (Reader::Spawn, false, true),
            (Reader::Spawn, true, false),
            (Reader::Shielded, false, true),
            (Reader::Shielded, true, true),
            (Reader::Service, false, false),
            (Reader::Service, true, false),
        ] {
            let log = Log::new();
            let read = log.clone();
            let group = TaskGroup::<BoxError>::new().run(async |g| {
                let (to, queue) = channel(64);
                let reading = reads(queue, read.clone());
                match reader {
                    Reader::Spawn => g.spawn(reading),
                    Reader::Shielded => g.spawn_shielded(reading),
                    Reader::Service => g.service(reading),
                };
                for entry in 0..64 {
                    to.try_send(entry).unwrap();
                }
                if cancelled {
                    g.cancel();
                }
                Ok(())
            });
            group.await.ok();
            let is_all = log.entries().len() == 64;
            assert_eq!(is_all, all, "{reader:?}, cancelled: {cancelled}");
        }
    });
}
