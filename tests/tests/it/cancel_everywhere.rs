//! `cancel_everywhere` finds what it claims to find: programs with one bug each,
//! every one found, with the right line. And it finds nothing where nothing is.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

use taskscope::testing::{Coverage, PointKind, assert_no_leaks, cancel_everywhere};
use taskscope::{
    BoxError, Cancelled, blocking, cancellable, checkpoint_blocking, defer, on_cancel, shield,
    task_group,
};
use taskscope_tests::{test_again, text_of, watched};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::sleep;

const MS: Duration = Duration::from_millis(1);

/// The message about a program with a bug.
#[track_caller]
fn found(check: impl FnOnce() -> Coverage) -> String {
    let mut text = None;
    watched(|| match catch_unwind(AssertUnwindSafe(check)) {
        Ok(coverage) => panic!("the bug was not found: {coverage}"),
        Err(panic) => text = Some(text_of(&*panic)),
    });
    text.unwrap()
}

/// The line of this file that ends with this comment.
#[track_caller]
fn place(comment: &str) -> String {
    let source = include_str!("cancel_everywhere.rs");
    let line = source.lines().position(|line| line.ends_with(comment));
    format!("tests/tests/it/cancel_everywhere.rs:{}:", line.unwrap() + 1)
}

/// Asserts that a message names the line that ends with this comment.
#[track_caller]
fn names(text: &str, comment: &str) {
    let place = place(comment);
    // The last of them: where the code was left.
    let mut lines = text.lines().rev();
    let named = lines.find(|line| line.contains(" the checkpoint at "));
    assert!(named.unwrap().contains(&place), "not {place}:\n{text}");
    assert!(text.contains("only this one: TASKSCOPE_POINT="), "{text}");
}

/// Asserts that a message says that it hangs in the line that ends with this comment.
#[track_caller]
fn hangs_at(text: &str, comment: &str) {
    let (_, hangs) = text.split_once("it hangs, and has not ended").unwrap();
    let last = format!("last checkpoint at {}", place(comment));
    assert!(hangs.contains(&last), "not {last}:\n{text}");
}

#[test]
fn bug_01_no_cleanup() {
    #[cancellable]
    async fn with_connection(open: &Cell<i32>) {
        open.set(open.get() + 1);
        yield_now().await; // bug 1
        open.set(open.get() - 1);
    }

    let open = Cell::new(0);
    let text = found(|| {
        let run = || async {
            open.set(0);
            with_connection(&open).await;
        };
        cancel_everywhere(run).check(|| open.get() == 0)
    });
    names(&text, "// bug 1");
    assert!(text.contains("the invariant does not hold"), "{text}");
}

#[test]
fn bug_02_half_written_state() {
    #[cancellable]
    async fn transfer(from: &Cell<i32>, to: &Cell<i32>) {
        yield_now().await;
        from.set(from.get() - 10);
        yield_now().await; // bug 2
        to.set(to.get() + 10);
    }

    let (from, to) = (Cell::new(0), Cell::new(0));
    let text = found(|| {
        let run = || async {
            from.set(100);
            to.set(0);
            transfer(&from, &to).await;
        };
        cancel_everywhere(run).check(|| {
            assert_eq!(from.get() + to.get(), 100);
        })
    });
    names(&text, "// bug 2");
    assert!(text.contains("point 2 of 4"), "{text}");
    assert!(text.contains("left: 90"), "{text}");
}

#[test]
fn bug_03_a_lock_is_kept() {
    /// A lock without a guard, as in a database.
    #[cancellable]
    async fn update(locked: &AtomicBool, value: &AtomicI32) {
        while locked.swap(true, Ordering::SeqCst) {
            yield_now().await;
        }
        sleep(MS).await; // bug 3
        value.fetch_add(1, Ordering::SeqCst);
        locked.store(false, Ordering::SeqCst);
    }

    let state = Arc::new((AtomicBool::new(false), AtomicI32::new(0)));
    let text = found(|| {
        let run = || async {
            state.0.store(false, Ordering::SeqCst);
            update(&state.0, &state.1).await;
        };
        cancel_everywhere(run)
            .start_paused(true)
            .check(|| !state.0.load(Ordering::SeqCst))
    });
    names(&text, "// bug 3");
}

#[test]
fn bug_04_a_task_is_leaked() {
    #[cancellable(allow(detached))]
    async fn with_ticker() {
        let ticker = tokio::spawn(std::future::pending::<()>());
        yield_now().await; // bug 4
        ticker.abort();
        ticker.await.ok();
    }

    let text = found(|| cancel_everywhere(with_ticker).check(|| ()));
    names(&text, "// bug 4");
    assert!(
        text.contains("spawned with `tokio::spawn` were still running: 1"),
        "{text}"
    );
}

#[test]
fn bug_05_a_request_to_stop_is_not_heeded() {
    #[cancellable]
    async fn work(jobs: &RefCell<VecDeque<u32>>) {
        loop {
            if jobs.borrow_mut().pop_front().is_none() {
                return;
            }
            sleep(MS).await; // asked to stop
            if taskscope::is_stopping() {
                // Waits for a farewell that nobody sends.
                Notify::new().notified().await; // bug 5
            }
        }
    }

    let jobs = RefCell::new(VecDeque::new());
    let text = found(|| {
        let run = || async {
            jobs.replace((0..3).collect());
            work(&jobs).await;
        };
        cancel_everywhere(run)
            .start_paused(true)
            .also_stop()
            .check(|| ())
    });
    names(&text, "// asked to stop");
    hangs_at(&text, "// bug 5");
    assert!(text.contains("asked to stop at the checkpoint"), "{text}");
    assert!(
        text.contains("has not ended after 3600.0s of the paused clock\n"),
        "{text}"
    );
    assert!(
        text.contains(
            "TASKSCOPE_POINT=stop:1 cargo test cancel_everywhere::bug_05_a_request_to_stop"
        ),
        "{text}"
    );
}

#[test]
fn bug_06_cleanups_in_the_wrong_order() {
    #[cancellable]
    async fn session(log: &RefCell<Vec<&'static str>>) {
        defer! {
            yield_now().await;
            log.borrow_mut().push("flushed");
        }
        defer! { log.borrow_mut().push("closed"); }
        log.borrow_mut().push("opened");
        yield_now().await; // bug 6
        // On this way the order is right.
        log.borrow_mut().push("flushed");
    }

    let log = RefCell::new(Vec::new());
    let text = found(|| {
        let run = || async {
            log.borrow_mut().clear();
            session(&log).await;
        };
        let in_order = || {
            let log = log.borrow();
            let first = |what| log.iter().position(|&entry| entry == what);
            first("flushed") <= first("closed")
        };
        cancel_everywhere(run).check(in_order)
    });
    names(&text, "// bug 6");
}

#[test]
fn bug_07_a_message_is_lost() {
    #[cancellable]
    async fn forward(from: &RefCell<mpsc::Receiver<u32>>, to: &RefCell<Vec<u32>>) {
        for _ in 0..2 {
            let message = from.borrow_mut().try_recv().unwrap();
            sleep(MS).await; // bug 7
            to.borrow_mut().push(message);
        }
    }

    let from = RefCell::new(mpsc::channel(2).1);
    let to = RefCell::new(Vec::new());
    let text = found(|| {
        let run = || async {
            let (send, receive) = mpsc::channel(2);
            send.try_send(1).unwrap();
            send.try_send(2).unwrap();
            from.replace(receive);
            to.borrow_mut().clear();
            forward(&from, &to).await;
        };
        cancel_everywhere(run).start_paused(true).check(|| {
            let (there, here) = (from.borrow().len(), to.borrow().len());
            if there + here == 2 {
                Ok(())
            } else {
                Err(format!("{there} and {here} of 2 messages"))
            }
        })
    });
    names(&text, "// bug 7");
    assert!(text.contains("1 and 0 of 2 messages"), "{text}");
}

#[test]
fn bug_08_a_cleanup_waits_for_what_never_comes() {
    #[cancellable]
    async fn server() {
        let (answer, answered) = oneshot::channel::<()>();
        let keep = RefCell::new(Some(answer));
        defer! {
            answered.await.ok(); // bug 8
        }
        yield_now().await; // cancelled
        keep.borrow_mut().take();
    }

    let text = found(|| cancel_everywhere(server).start_paused(true).check(|| ()));
    names(&text, "// cancelled");
    hangs_at(&text, "// bug 8");
    assert!(!text.contains("lost cleanup"), "the hang is told:\n{text}");
    assert!(
        text.contains("in the cleanup of `defer!` at tests/tests/it/cancel_everywhere.rs:"),
        "{text}"
    );
}

#[test]
fn bug_09_a_cleanup_panics_when_it_comes_too_early() {
    #[cancellable]
    async fn session() {
        let id = Cell::new(None);
        defer! {
            let id: u32 = id.get().expect("there is a session");
            assert_eq!(id, 7);
        }
        yield_now().await; // bug 9
        id.set(Some(7));
        yield_now().await;
    }

    let text = found(|| cancel_everywhere(session).check(|| ()));
    names(&text, "// bug 9");
    assert!(text.contains("it panicked: there is a session"), "{text}");
}

#[test]
fn bug_10_a_cleanup_is_lost_in_a_future_that_nobody_polls() {
    #[cancellable]
    async fn armed() {
        defer! { yield_now().await; }
        yield_now().await;
    }

    #[cancellable]
    async fn prefetch() {
        let mut next = Box::pin(armed());
        assert!(futures::poll!(&mut next).is_pending());
        sleep(MS).await; // bug 10
        next.await;
    }

    let text = found(|| {
        cancel_everywhere(prefetch)
            .suspensions_only()
            .start_paused(true)
            .check(|| ())
    });
    names(&text, "// bug 10");
    assert!(text.contains("lost cleanup"), "{text}");
}

#[test]
fn bug_11_a_cleanup_overruns_the_grace_period() {
    #[cancellable]
    async fn upload() {
        let sent = Cell::new(0);
        defer! {
            // What is not sent yet is sent now, however long that takes.
            sleep(MS * 100 * (3 - sent.get())).await;
        }
        for part in 1..=3 {
            sleep(MS).await; // bug 11
            sent.set(part);
        }
    }

    let text = found(|| {
        let everywhere = cancel_everywhere(upload).start_paused(true);
        everywhere.grace(MS * 250).check(|| ())
    });
    names(&text, "// bug 11");
    assert!(text.contains("exceeded the grace period"), "{text}");
}

#[test]
fn bug_12_rolled_back_after_the_commit() {
    #[cancellable]
    async fn order(stock: &Cell<i32>, sold: &Cell<i32>) {
        stock.set(stock.get() - 1);
        on_cancel! { stock.set(stock.get() + 1); }
        yield_now().await;
        sold.set(sold.get() + 1);
        yield_now().await; // bug 12
    }

    let (stock, sold) = (Cell::new(0), Cell::new(0));
    let text = found(|| {
        let run = || async {
            stock.set(5);
            sold.set(0);
            order(&stock, &sold).await;
        };
        cancel_everywhere(run).check(|| stock.get() + sold.get() == 5)
    });
    names(&text, "// bug 12");
}

#[test]
fn bug_13_a_shielded_task_waits_for_one_that_is_gone() {
    #[cancellable]
    async fn pipeline() -> Result<(), BoxError> {
        let ready = Arc::new(Notify::new());
        let told = ready.clone();
        task_group!(|g| {
            g.spawn(async move {
                yield_now().await;
                told.notify_one();
            });
            shield(async {
                ready.notified().await // bug 13
            })
            .await;
            Ok(())
        })
        .await?;
        Ok(())
    }

    let text = found(|| cancel_everywhere(pipeline).start_paused(true).check(|| ()));
    names(&text, "// bug 13");
    hangs_at(&text, "// bug 13");
}

#[test]
fn bug_14_an_error_leaves_a_file_behind() {
    #[cancellable]
    async fn save(files: &AtomicI32, broken: &AtomicBool) -> Result<(), &'static str> {
        files.fetch_add(1, Ordering::SeqCst);
        on_cancel! { files.fetch_sub(1, Ordering::SeqCst); }
        yield_now().await; // bug 14
        if broken.load(Ordering::SeqCst) {
            return Err("disk full");
        }
        files.fetch_sub(1, Ordering::SeqCst);
        Ok(())
    }

    let files = AtomicI32::new(0);
    let broken = Arc::new(AtomicBool::new(false));
    let switch = broken.clone();
    let run = || async {
        files.store(0, Ordering::SeqCst);
        broken.store(false, Ordering::SeqCst);
        save(&files, &broken).await.ok();
    };
    let tidy = || files.load(Ordering::SeqCst) == 0;
    // Cancelling alone does not show it.
    watched(|| {
        cancel_everywhere(run).check(tidy);
    });
    let text = found(|| {
        let fail = move |_: &_| switch.store(true, Ordering::SeqCst);
        cancel_everywhere(run).also_fail(fail).check(tidy)
    });
    names(&text, "// bug 14");
    assert!(text.contains("made to fail at the checkpoint"), "{text}");
}

#[test]
fn bug_15_a_counter_of_users_is_not_taken_back_by_a_sibling() {
    #[cancellable]
    async fn user(users: Rc<Cell<i32>>) {
        users.set(users.get() + 1);
        sleep(MS).await; // bug 15
        users.set(users.get() - 1);
    }

    let users = Rc::new(Cell::new(0));
    let text = found(|| {
        let run = || async {
            users.set(0);
            taskscope::join!(user(users.clone()), sleep(MS)).0
        };
        cancel_everywhere(run)
            .start_paused(true)
            .check(|| users.get() == 0)
    });
    names(&text, "// bug 15");
}

#[test]
fn bug_16_blocking_work_returns_in_the_middle() {
    fn transfer(from: &AtomicI32, to: &AtomicI32) -> Result<(), Cancelled> {
        for _ in 0..3 {
            from.fetch_sub(1, Ordering::SeqCst);
            checkpoint_blocking()?; // bug 16
            to.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    let state = Arc::new((AtomicI32::new(0), AtomicI32::new(0)));
    let run = || {
        state.0.store(3, Ordering::SeqCst);
        state.1.store(0, Ordering::SeqCst);
        let state = state.clone();
        blocking(move || transfer(&state.0, &state.1))
    };
    let whole = || state.0.load(Ordering::SeqCst) + state.1.load(Ordering::SeqCst) == 3;
    let text = found(|| cancel_everywhere(run).also_blocking().check(whole));
    // It may be in the middle already when who waits for it is cancelled.
    if !text.contains(" waited after the checkpoint") {
        names(&text, "// bug 16");
    }
}

#[test]
fn a_run_that_is_wrong_by_itself_is_told_apart() {
    let text = found(|| cancel_everywhere(yield_now).check(|| false));
    assert!(
        text.starts_with("cancel_everywhere: wrong even if nothing is cancelled"),
        "{text}"
    );
}

#[test]
fn inside_a_runtime_it_says_where_it_belongs() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let text = found(|| runtime.block_on(async { cancel_everywhere(yield_now).check(|| ()) }));
    assert!(
        text.contains("help: call it in a plain `#[test]` function"),
        "{text}"
    );
}

/// A function of more than thirty checkpoints, with all that there is.
#[cancellable]
async fn long_way(log: &RefCell<Vec<u32>>) -> Result<(), BoxError> {
    #[cancellable]
    async fn part(number: u32) -> Result<u32, BoxError> {
        defer! { sleep(MS).await; }
        sleep(MS * number).await;
        Ok(number)
    }

    for number in 0..5 {
        log.borrow_mut().push(number);
        defer! {
            sleep(MS).await;
            log.borrow_mut().pop();
        }
        sleep(MS).await;
        part(number).await?;
    }
    let sum = task_group!(limit = 2, |g| {
        let parts: Vec<_> = (1..=4).map(|number| g.spawn(part(number))).collect();
        g.service(async {
            loop {
                sleep(MS).await;
            }
        });
        let mut sum = 0;
        for part in parts {
            sum += part.await?;
        }
        Ok(sum)
    })
    .await?;
    assert_eq!(sum, 10);
    let (first, second) = taskscope::try_join!(part(1), part(2))?;
    assert_eq!(first + second, 3);
    taskscope::race! {
        part = part(3) => drop(part?),
        () = sleep(MS) => shield(sleep(MS)).await,
    }
    taskscope::timeout(MS, part(9)).await.ok();
    let mut rounds = 0;
    #[checkpoint]
    while rounds < 5 {
        rounds += 1;
    }
    Ok(())
}

#[test]
fn a_function_of_more_than_thirty_checkpoints() {
    let log = RefCell::new(Vec::new());
    let mut coverage = None;
    watched(|| {
        let everywhere = cancel_everywhere(|| long_way(&log)).start_paused(true);
        coverage = Some(everywhere.also_stop().check(|| log.borrow().is_empty()));
    });
    let coverage = coverage.unwrap();
    println!("long_way: {coverage}");
    assert!(coverage.points() >= 30, "{coverage}");
    assert_eq!(coverage.missed(), 0, "{coverage}");
    assert_eq!(coverage.runs(), 1 + 2 * coverage.points());
}

#[test]
fn groups_of_groups() {
    #[cancellable]
    async fn leaf(alive: Arc<AtomicU32>) {
        alive.fetch_add(1, Ordering::SeqCst);
        defer! {
            sleep(MS).await;
            alive.fetch_sub(1, Ordering::SeqCst);
        }
        sleep(MS * 2).await;
    }

    #[cancellable(send)]
    async fn grow(alive: Arc<AtomicU32>, depth: u32) -> Result<(), BoxError> {
        if depth == 0 {
            leaf(alive).await;
            return Ok(());
        }
        task_group!(|g| {
            for _ in 0..2 {
                g.spawn(grow(alive.clone(), depth - 1));
            }
            g.spawn_scoped(leaf(alive.clone()));
            let after = alive.clone();
            g.defer(async move {
                sleep(MS).await;
                after.fetch_add(0, Ordering::SeqCst);
            });
            Ok(())
        })
        .await?;
        Ok(())
    }

    let alive = Arc::new(AtomicU32::new(0));
    let mut coverage = None;
    watched(|| {
        let run = || grow(alive.clone(), 3);
        let everywhere = cancel_everywhere(run).start_paused(true);
        coverage = Some(everywhere.check(|| alive.load(Ordering::SeqCst) == 0));
    });
    let coverage = coverage.unwrap();
    println!("groups of groups: {coverage}");
    assert!(coverage.points() > 30, "{coverage}");
    assert_eq!(coverage.missed(), 0, "{coverage}");
}

#[test]
fn points_limited_are_spread_evenly() {
    let numbers = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = numbers.clone();
    watched(|| {
        let run = || async {
            for _ in 0..20 {
                taskscope::checkpoint().await;
            }
        };
        let note = move |point: &taskscope::testing::Point| {
            assert_eq!(point.kind(), PointKind::Checkpoint);
            assert_eq!(point.location().file(), file!());
            seen.lock().unwrap().push(point.number());
        };
        let coverage = cancel_everywhere(run).limit(4).also_fail(note).check(|| ());
        assert_eq!((coverage.points(), coverage.runs()), (20, 9));
    });
    assert_eq!(*numbers.lock().unwrap(), [1, 6, 11, 16]);
}

#[test]
fn a_task_still_gives_way_after_many_checkpoints() {
    const ROUNDS: u32 = 5000;
    let between = Cell::new(false);
    watched(|| {
        let run = || async {
            let rounds = Cell::new(0);
            let other = async {
                while rounds.get() < ROUNDS {
                    between.set(between.get() || rounds.get() > 0);
                    yield_now().await;
                }
            };
            let long = async {
                for _ in 0..ROUNDS {
                    taskscope::checkpoint().await;
                    rounds.set(rounds.get() + 1);
                }
            };
            tokio::join!(long, other);
        };
        let coverage = cancel_everywhere(run).limit(3).check(|| ());
        assert!(coverage.points() >= ROUNDS as usize, "{coverage}");
    });
    assert!(between.get());
}

#[test]
fn assert_no_leaks_names_what_was_left() {
    taskscope_tests::both(|| async {
        assert_eq!(assert_no_leaks(async { 7 }).await, 7);
        let (end, ended) = oneshot::channel::<()>();
        let leaky = assert_no_leaks(async {
            tokio::spawn(async { ended.await.ok() });
        });
        let panic = taskscope_tests::caught(leaky).await.unwrap_err();
        let text = text_of(&*panic);
        assert!(
            text.contains("tests/tests/it/cancel_everywhere.rs:"),
            "{text}"
        );
        assert!(
            text.contains("`tokio::spawn` were still running: 1"),
            "{text}"
        );
        end.send(()).unwrap();
    });
}

#[test]
fn one_point_alone_can_be_tried_again() {
    let run = |point: &str| {
        let test = "cancel_everywhere::bug_02_half_written_state";
        let output = test_again(test)
            .env("TASKSCOPE_POINT", point)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let good = run("cancel:1");
    assert!(
        good.contains("the bug was not found: 4 points, 2 runs"),
        "{good}"
    );
    let bad = run("cancel:2");
    assert!(bad.contains("test result: ok"), "{bad}");
    let wrong = run("17");
    assert!(wrong.contains("help: write `cancel:17`"), "{wrong}");
}

/// The bug is in one branch, and the point may be that of another one: all are named.
#[test]
fn all_places_that_were_left_are_named() {
    #[cancellable]
    async fn waits(whole: &Cell<i32>) {
        whole.set(whole.get() - 1);
        sleep(3 * MS).await; // left in the first branch
        whole.set(whole.get() + 1);
    }

    #[cancellable]
    async fn waits_too() {
        sleep(MS).await; // left in the second branch
        taskscope::timeout(10 * MS, nested()).await.ok();
    }

    #[cancellable]
    async fn nested() {
        sleep(5 * MS).await; // left in a scope
    }

    #[cancellable]
    async fn of_a_task() {
        sleep(9 * MS).await; // left in a task
    }

    let whole = Cell::new(0);
    let run = || async {
        whole.set(0);
        let group = task_group!(|g| {
            g.spawn(of_a_task());
            taskscope::join!(waits(&whole), waits_too());
            Ok(())
        });
        group.await.unwrap();
    };
    for only in [true, false] {
        let text = found(|| {
            let mut everywhere = cancel_everywhere(run).start_paused(true);
            if only {
                everywhere = everywhere.suspensions_only();
            }
            everywhere.check(|| whole.get() == 0)
        });
        assert!(
            text.contains(&place("// left in the first branch")),
            "{text}"
        );
        if only {
            assert!(
                text.contains(&place("// left in the second branch")),
                "{text}"
            );
        }
        // Control: the code there was not reached.
        assert!(!text.contains(&place("// left in a scope")), "{text}");
    }
    // Where nothing is wrong before, the scope and the task are reached.
    let text = found(|| {
        let late = Cell::new(false);
        let run = || async {
            late.set(false);
            let group = task_group!(|g| {
                g.spawn(of_a_task());
                taskscope::join!(waits(&whole), waits_too(), async {
                    sleep(2 * MS).await;
                    late.set(true);
                    sleep(2 * MS).await;
                    late.set(false);
                });
                Ok(())
            });
            group.await.unwrap();
        };
        let everywhere = cancel_everywhere(run).start_paused(true).suspensions_only();
        everywhere.check(|| !late.get())
    });
    for comment in [
        "// left in the first branch",
        "// left in a scope",
        "// left in a task",
    ] {
        assert!(text.contains(&place(comment)), "{comment}: {text}");
    }
}

/// What waits may be another task than the one in question.
#[test]
fn what_waited_is_named() {
    #[cancellable]
    async fn waits(done: &Cell<bool>) {
        done.set(false);
        sleep(Duration::from_secs(1)).await; // waits
        done.set(true);
    }

    let done = Cell::new(false);
    let text = found(|| {
        let run = || waits(&done);
        cancel_everywhere(run)
            .start_paused(true)
            .suspensions_only()
            .check(|| done.get())
    });
    let told = "  cancelled while `cancel_everywhere` waited after the checkpoint at ";
    assert!(text.contains(told), "{text}");
    names(&text, "// waits");
}
