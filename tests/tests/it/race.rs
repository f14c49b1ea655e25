//! `race!`: who wins, how the others leave, and what `tokio::select!` does too.

use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use taskscope::{BoxError, Reason, Scope, cancellable, defer, race, shield};
use taskscope_tests::{Driven, Log, both, cancel_at, caught, counted, paused, text_of};
use taskscope_tests::{reports_of, watch_reports};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, interval, sleep};

/// Arms a cleanup that waits, and stays.
#[cancellable]
async fn stay(log: Log, name: &'static str) {
    defer! {
        log.add(format!("{name} cleans up"));
        yield_now().await;
        yield_now().await;
        log.add(format!("{name} is clean"));
    }
    let _local = log.mark(name);
    log.add(format!("{name} is here"));
    pending::<()>().await;
    log.add("never");
}

/// The same for `n` turns, then ends.
#[cancellable]
async fn take(log: Log, name: &'static str, turns: u32) -> u32 {
    defer! {
        yield_now().await;
        log.add(format!("{name} is clean"));
    }
    for _ in 0..turns {
        yield_now().await;
    }
    log.add(format!("{name} ends"));
    turns
}

async fn turns(n: u32) -> u32 {
    for _ in 0..n {
        yield_now().await;
    }
    n
}

#[test]
fn losers_leave_in_order_before_the_handler() {
    both(|| async {
        let log = Log::new();
        let n = race! {
            biased;
            () = stay(log.clone(), "a") => unreachable!(),
            n = turns(3) => { log.add("handler"); n }
            () = stay(log.clone(), "b") => unreachable!(),
        };
        assert_eq!(n, 3);
        log.is(&[
            "a is here",
            "b is here",
            "drop a",
            "a cleans up",
            "drop b",
            "b cleans up",
            "a is clean",
            "b is clean",
            "handler",
        ]);
    });
}

#[test]
fn a_branch_that_was_not_polled_is_dropped_unpolled() {
    both(|| async {
        let log = Log::new();
        let (never, counts) = counted(stay(log.clone(), "b"));
        race! {
            biased;
            () = ready(()) => {}
            () = never => {}
        }
        assert_eq!((counts.polls(), counts.drops()), (0, 1));
        log.is(&[]);
    });
}

#[test]
fn a_loser_without_cleanup_is_not_polled_again() {
    both(|| async {
        let (send, mut receive) = mpsc::channel(4);
        let (loser, counts) = counted(async { receive.recv().await });
        race! {
            biased;
            _ = loser => unreachable!(),
            // In the very poll in which it wins, something arrives for the other.
            () = async { yield_now().await; send.send(7).await.unwrap() } => {}
        }
        assert_eq!(counts.drops(), 1);
        assert_eq!(receive.recv().await, Some(7), "nothing is lost");
    });
}

#[test]
fn guards_are_evaluated_before_anything_is_polled() {
    both(|| async {
        let log = Log::new();
        let guard = |name: &str, value| {
            log.add(name);
            value
        };
        let make = |name: &str| {
            let (log, name) = (log.clone(), name.to_owned());
            log.add(format!("make {name}"));
            async move { log.add(format!("poll {name}")) }
        };
        race! {
            biased;
            () = make("a"), if guard("guard a", false) => unreachable!(),
            () = make("b"), if (guard("guard b", true)) => log.add("b wins"),
            () = make("c") => unreachable!(),
        }
        log.is(&[
            "guard a", "guard b", "make a", "make b", "make c", "poll b", "b wins",
        ]);
    });
}

#[test]
fn a_value_that_does_not_match_disables_its_branch() {
    both(|| async {
        let (send, mut receive) = mpsc::channel::<u32>(1);
        drop(send);
        let won = race! {
            Some(n) = receive.recv() => n,
            n @ 1.. = turns(4) => n * 10,
            0 | 2 = turns(1) => unreachable!(),
        };
        assert_eq!(won, 40);
    });
}

#[test]
fn patterns_bind_as_in_a_match() {
    #[derive(Debug)]
    struct Pair {
        left: String,
        right: String,
    }
    const SEVEN: u32 = 7;

    both(|| async {
        let pair = || {
            ready(Pair {
                left: "l".into(),
                right: "r".into(),
            })
        };
        let text = race! {
            Pair { left, ref mut right } = pair() => { right.push('!'); left + right }
        };
        assert_eq!(text, "lr!");
        let mut vec = race! { mut vec = ready(vec![1]) => { vec.push(2); vec } };
        assert_eq!(vec.pop(), Some(2));
        let number = 5;
        assert_eq!(race! { Some(&n) = ready(Some(&number)) => n }, 5);
        assert_eq!(race! { SEVEN = ready(7) => 1, else => 2 }, 1);
        assert_eq!(race! { SEVEN = ready(8) => 1, else => 2 }, 2);
        assert_eq!(race! { Ok(n) | Err(n) = ready(Err::<u32, u32>(3)) => n }, 3);
    });
}

#[test]
fn all_disabled() {
    both(|| async {
        let open = false;
        let n = race! {
            _ = pending::<()>(), if open => 1,
            Some(n) = ready(None) => n,
            else => 2,
        };
        assert_eq!(n, 2);
        assert_eq!(race! { else => 3 }, 3);

        let panic = caught(async {
            race! { _ = pending::<()>(), if open => {} }
        })
        .await;
        assert!(text_of(&*panic.unwrap_err()).contains("all branches"));
    });
}

#[test]
fn biased_is_in_order_and_else_all_get_their_turn() {
    both(|| async {
        let mut won = [0; 3];
        for _ in 0..600 {
            race! {
                () = async {} => won[0] += 1,
                () = async {} => won[1] += 1,
                () = async {} => won[2] += 1,
            }
        }
        assert!(won.iter().all(|&n| n > 100), "{won:?}");

        let mut count = 0;
        loop {
            race! {
                biased;
                () = async {}, if count < 1 => { count += 1; assert_eq!(count, 1); }
                () = async {}, if count < 2 => { count += 1; assert_eq!(count, 2); }
                else => break,
            }
        }
        assert_eq!(count, 2);
    });
}

#[test]
fn handlers_leave_the_function_and_its_loops() {
    async fn sum(numbers: &[&str], stop: u32) -> Result<u32, BoxError> {
        let mut sum = 0;
        'all: for text in numbers {
            let mut again = true;
            loop {
                race! {
                    n = async { text.parse::<u32>() } => {
                        let n = n?;
                        yield_now().await;
                        if n == stop { break 'all; }
                        if n == 100 { return Ok(100); }
                        if n == 0 { continue 'all; }
                        sum += n;
                        if again { again = false; continue; }
                        break;
                    }
                }
            }
        }
        Ok(sum)
    }

    both(|| async {
        assert_eq!(sum(&["1", "0", "2"], 9).await.unwrap(), 6);
        assert_eq!(sum(&["1", "9", "2"], 9).await.unwrap(), 2);
        assert_eq!(sum(&["1", "100"], 9).await.unwrap(), 100);
        assert!(sum(&["x"], 9).await.is_err());
    });
}

#[test]
fn handlers_leave_cancellable_frames() {
    #[cancellable]
    async fn body(log: Log, way: &str) -> Result<&'static str, BoxError> {
        for turn in 0..2 {
            defer! { log.add("behind the race"); }
            race! {
                () = stay(log.clone(), "loser") => unreachable!(),
                _ = turns(2) => {
                    defer! { yield_now().await; log.add("handler's"); }
                    match way {
                        "break" => break,
                        "continue" if turn == 0 => continue,
                        "return" => return Ok("returned"),
                        "?" => Err("failed")?,
                        _ => log.add("through"),
                    }
                }
            }
            return Ok("at the end");
        }
        Ok("behind the loop")
    }

    both(|| async {
        let run = |way: &'static str| async move {
            let log = Log::new();
            let result = body(log.clone(), way).await;
            assert_eq!(log.entries().last().unwrap(), "behind the race");
            let order = ["loser is clean", "handler's", "behind the race"];
            let mut at = 0;
            for entry in log.entries().iter().filter(|e| order.contains(&e.as_str())) {
                assert_eq!(entry, order[at % 3]);
                at += 1;
            }
            (result.map_err(|e| e.to_string()), at)
        };
        assert_eq!(run("break").await, (Ok("behind the loop"), 3));
        assert_eq!(run("continue").await, (Ok("at the end"), 6));
        assert_eq!(run("return").await, (Ok("returned"), 3));
        assert_eq!(run("?").await, (Err("failed".into()), 3));
        assert_eq!(run("through").await, (Ok("at the end"), 3));
    });
}

#[test]
fn handlers_may_change_what_the_futures_borrowed() {
    both(|| async {
        let mut text = String::from("a");
        race! {
            n = async { yield_now().await; text.len() } => text.push_str(&n.to_string()),
            () = async { pending::<()>().await; drop(text.clone()) } => text.clear(),
        }
        assert_eq!(text, "a1");
    });
}

#[test]
fn a_lent_future_is_not_cancelled() {
    both(|| async {
        watch_reports();
        let log = Log::new();
        let scope = Scope::new().name("lends");
        let seen = log.clone();
        let total = scope.run(async move {
            let mut borrowed = pin!(take(seen.clone(), "borrowed", 20));
            let mut boxed = Box::pin(take(seen.clone(), "boxed", 20));
            let mut rounds = 0;
            let n = loop {
                race! {
                    biased;
                    () = stay(seen.clone(), "loser") => unreachable!(),
                    n = borrowed.as_mut() => break n,
                    n = (&mut boxed) => assert_eq!(n, 20),
                    _ = turns(2) => rounds += 1,
                }
            };
            assert!(rounds > 3);
            n + boxed.await
        });
        assert_eq!(total.await.unwrap(), 40);
        assert_eq!(log.count("borrowed ends"), 1);
        assert_eq!(log.count("boxed ends"), 1);
        assert_eq!(log.count("borrowed is clean"), 1);
        assert_eq!(log.count("boxed is clean"), 1);
        assert_eq!(log.count("loser is here"), log.count("loser is clean"));
        assert!(reports_of("lends").is_empty());
    });
}

#[test]
fn a_stream_goes_on_after_its_next_has_lost() {
    both(|| async {
        let log = Log::new();
        let mut tasks: FuturesUnordered<_> = [5, 9, 13]
            .map(|n| Box::pin(take(log.clone(), "task", n)))
            .into_iter()
            .collect();
        let (mut sum, mut others) = (0, 0);
        loop {
            race! {
                biased;
                next = tasks.next() => match next {
                    Some(n) => sum += n,
                    None => break,
                },
                _ = turns(1) => others += 1,
            }
        }
        assert_eq!(sum, 27);
        assert!(others > 3);
        assert_eq!(log.count("task is clean"), 3);
    });
}

#[test]
fn under_a_cancelled_scope_it_does_not_return() {
    #[cancellable]
    async fn body(log: Log, here: oneshot::Sender<()>) {
        defer! { log.add("caller"); }
        let mut borrowed = pin!(stay(log.clone(), "borrowed"));
        race! {
            biased;
            () = stay(log.clone(), "a") => log.add("never"),
            () = borrowed.as_mut() => log.add("never"),
            () = async { here.send(()).unwrap(); stay(log.clone(), "b").await } => log.add("never"),
        }
        log.add("never");
    }

    both(|| async {
        watch_reports();
        let log = Log::new();
        let scope = Scope::new().name("race is left");
        let left = cancel_at(scope, |here| body(log.clone(), here)).await;
        assert!(matches!(left.unwrap_err().reason(), Reason::Requested));
        assert!(!log.has("never"), "{:?}", log.entries());
        for name in ["a", "borrowed", "b"] {
            assert!(log.at(&format!("{name} cleans up")) < log.at(&format!("{name} is clean")));
            assert!(log.at(&format!("{name} is clean")) < log.at("caller"));
        }
        assert!(reports_of("race is left").is_empty());
    });
}

#[test]
fn it_is_a_checkpoint() {
    both(|| async {
        let scope = Scope::new();
        let handle = scope.handle();
        let log = Log::new();
        let left = scope.run(async {
            handle.cancel();
            let guard = || {
                log.add("guard");
                true
            };
            race! { () = async { log.add("polled") }, if guard() => log.add("won") }
        });
        assert!(left.await.is_err());
        log.is(&[]);
    });
}

#[test]
fn awaits_inside_are_checkpoints() {
    #[cancellable]
    async fn in_branch(log: Log, cancel: taskscope::CancelHandle) {
        race! {
            () = async { cancel.cancel(); ready(()).await; log.add("branch") } => log.add("won"),
        }
    }

    #[cancellable]
    async fn in_handler(log: Log, cancel: taskscope::CancelHandle) {
        race! {
            () = ready(()) => { cancel.cancel(); log.add("handler"); ready(()).await; log.add("never") }
        }
    }

    #[cancellable]
    async fn in_else(log: Log, cancel: taskscope::CancelHandle) {
        race! {
            1 = ready(2) => {}
            else => { cancel.cancel(); log.add("else"); ready(()).await; log.add("never") }
        }
    }

    both(|| async {
        let log = Log::new();
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(scope.run(in_branch(log.clone(), handle)).await.is_err());
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(scope.run(in_handler(log.clone(), handle)).await.is_err());
        let scope = Scope::new();
        let handle = scope.handle();
        assert!(scope.run(in_else(log.clone(), handle)).await.is_err());
        log.is(&["handler", "else"]);
    });
}

#[test]
fn a_panic_waits_for_the_others() {
    both(|| async {
        let log = Log::new();
        let inner = log.clone();
        let panic = caught(async move {
            race! {
                biased;
                () = stay(inner.clone(), "a") => inner.add("never"),
                () = async { yield_now().await; panic!("the branch") } => inner.add("never"),
            }
        });
        assert_eq!(text_of(&*panic.await.unwrap_err()), "the branch");
        log.is(&["a is here", "drop a", "a cleans up", "a is clean"]);
    });
}

#[test]
fn a_panic_of_a_loser_is_not_lost() {
    #[cancellable]
    async fn breaks(log: Log) {
        defer! { yield_now().await; panic!("the cleanup") }
        log.add("breaks is here");
        pending::<()>().await;
    }

    both(|| async {
        let log = Log::new();
        let inner = log.clone();
        let panic = caught(async move {
            race! {
                biased;
                () = breaks(inner.clone()) => {}
                () = stay(inner.clone(), "b") => {}
                _ = turns(1) => inner.add("never"),
            }
        });
        assert_eq!(text_of(&*panic.await.unwrap_err()), "the cleanup");
        assert_eq!(log.entries().last().unwrap(), "b is clean");
        assert!(!log.has("never"));
    });
}

#[test]
fn a_shielded_loser_is_waited_for() {
    paused(|| async {
        let log = Log::new();
        let start = Instant::now();
        race! {
            () = shield(async {
                sleep(Duration::from_secs(2)).await;
                log.add("shielded");
            }) => log.add("never"),
            () = sleep(Duration::from_secs(1)) => log.add("won"),
        }
        log.is(&["shielded", "won"]);
        assert_eq!(start.elapsed(), Duration::from_secs(2));
    });
}

#[test]
fn the_scope_around_may_be_cancelled_while_losers_leave() {
    paused(|| async {
        let log = Log::new();
        let scope = Scope::new().timeout(Duration::from_secs(2));
        let inner = log.clone();
        let left = scope.run(async move {
            race! {
                () = shield(sleep(Duration::from_secs(3))) => inner.add("never"),
                () = sleep(Duration::from_secs(1)) => inner.add("won"),
            }
            taskscope::checkpoint().await;
            inner.add("never");
        });
        assert!(left.await.is_err());
        log.is(&["won"]);
    });
}

#[test]
fn a_temporary_in_a_future_does_not_outlive_its_making() {
    both(|| async {
        let length = Mutex::new(2);
        let n = race! {
            n = turns(*length.lock().unwrap()) => n,
            _ = async { pending::<()>().await } => unreachable!(),
        };
        assert_eq!(n, 2);
        // A temporary behind `&mut` does.
        assert_eq!(race! { n = &mut Box::pin(turns(1)) => n }, 1);
    });
}

#[test]
fn driven_by_hand_it_wakes_and_ends() {
    let log = Log::new();
    let (send, receive) = oneshot::channel::<u32>();
    let mut race = Driven::new(async {
        race! {
            n = receive => n.unwrap(),
            () = pending() => 0,
        }
    });
    race.pending();
    send.send(3).unwrap();
    assert!(race.wakes() > 0);
    assert_eq!(race.finish(), 3);
    log.is(&[]);
}

#[test]
fn a_loop_ported_from_select() {
    #[cancellable]
    async fn server(
        mut jobs: mpsc::Receiver<u32>,
        mut stop: oneshot::Receiver<()>,
        log: Log,
    ) -> u32 {
        let mut ticks = interval(Duration::from_secs(10));
        let mut deadline = pin!(sleep(Duration::from_secs(35)));
        let (mut sum, mut open) = (0, true);
        loop {
            race! {
                biased;
                _ = &mut stop, if open => open = false,
                () = &mut deadline => {
                    log.add("deadline");
                    break;
                }
                _ = ticks.tick() => log.add("tick"),
                Some(job) = jobs.recv() => {
                    sleep(Duration::from_secs(1)).await;
                    sum += job;
                }
            }
        }
        sum
    }

    paused(|| async {
        let log = Log::new();
        let (send, jobs) = mpsc::channel(8);
        let (stop, stopped) = oneshot::channel();
        let feed = async {
            for job in 1..=3 {
                send.send(job).await.unwrap();
                sleep(Duration::from_secs(5)).await;
            }
            stop.send(()).unwrap();
            drop(send);
        };
        let (sum, ()) = taskscope::join!(server(jobs, stopped, log.clone()), feed);
        assert_eq!(sum, 6);
        log.is(&["tick", "tick", "tick", "tick", "deadline"]);
    });
}

#[test]
fn it_is_send_where_its_branches_are() {
    fn is_send<T: Send>(future: T) -> T {
        future
    }

    #[cancellable]
    async fn generic<F: Future<Output = T>, T: Clone>(
        future: F,
        text: &str,
        other: &mut String,
    ) -> T {
        race! {
            value = future => value,
            n = async { yield_now().await; text.len() } => {
                other.push_str(&n.to_string());
                pending().await
            }
            Some(_) = async { other.pop() } => unreachable!(),
        }
    }

    both(|| async {
        let mut other = String::new();
        assert_eq!(is_send(generic(ready(1), "a", &mut other)).await, 1);
        let text = String::from("b");
        let boxed: std::pin::Pin<Box<dyn Future<Output = u32> + Send + '_>> =
            Box::pin(generic(async { text.len() as u32 }, &text, &mut other));
        assert_eq!(boxed.await, 1);
    });
}

#[test]
fn the_first_panic_counts() {
    #[cancellable]
    async fn breaks() {
        defer! { yield_now().await; panic!("the second") }
        pending::<()>().await;
    }

    both(|| async {
        let panic = caught(async {
            race! {
                biased;
                () = breaks() => {}
                () = async { yield_now().await; panic!("the first") } => {}
            }
        });
        assert_eq!(text_of(&*panic.await.unwrap_err()), "the first");
    });
}

#[test]
fn tasks_of_a_loser_have_ended_before_the_handler() {
    both(|| async {
        let log = Log::new();
        race! {
            biased;
            left = taskscope::task_group!(|g| {
                g.spawn(stay(log.clone(), "task"));
                g.spawn_scoped(stay(log.clone(), "scoped"));
                Ok(())
            }) => drop(left),
            () = async { while log.entries().len() < 2 { yield_now().await } } => log.add("won"),
        }
        assert_eq!(log.entries().last().unwrap(), "won");
        for name in ["task", "scoped"] {
            assert!(log.at(&format!("{name} is clean")) < log.at("won"));
        }
    });
}

#[test]
fn races_nest_also_in_cleanups_and_groups() {
    #[cancellable]
    async fn body(log: Log) -> Result<u32, BoxError> {
        defer! {
            race! {
                () = stay(log.clone(), "in the cleanup") => {}
                _ = turns(3) => log.add("cleaned up"),
            }
        }
        taskscope::task_group!(|g| {
            race! {
                n = async {
                    race! {
                        () = stay(log.clone(), "inner") => 0,
                        n = async { g.spawn(async { Ok::<_, BoxError>(turns(2).await) }).await } => n.unwrap(),
                    }
                } => Ok(n),
                () = stay(log.clone(), "outer") => Ok(0),
            }
        })
        .await
        .map_err(Into::into)
    }

    both(|| async {
        let log = Log::new();
        assert_eq!(body(log.clone()).await.unwrap(), 2);
        assert!(log.at("inner is clean") < log.at("in the cleanup is here"));
        assert_eq!(log.entries().last().unwrap(), "cleaned up");
    });
}

#[test]
fn a_loser_that_does_not_leave_overruns_the_grace_period() {
    #[cancellable]
    async fn hangs() {
        defer! { pending::<()>().await; }
        pending::<()>().await;
    }

    paused(|| async {
        watch_reports();
        let start = Instant::now();
        let scope = Scope::new().grace(Duration::from_secs(3));
        let won = scope.run(async {
            race! {
                () = hangs() => 1,
                () = sleep(Duration::from_secs(1)) => 2,
            }
        });
        assert_eq!(won.await.unwrap(), 2);
        assert_eq!(start.elapsed(), Duration::from_secs(4));
    });
}

#[test]
fn a_branch_without_budget_does_not_lose_by_it() {
    both(|| async {
        let (send, mut receive) = mpsc::channel::<u32>(2000);
        for n in 0..2000 {
            send.try_send(n).unwrap();
        }
        let mut expected = 0;
        while expected < 2000 {
            race! {
                biased;
                n = receive.recv() => { assert_eq!(n, Some(expected)); expected += 1; }
                () = async {} => panic!("there is a message"),
            }
        }
    });
}
