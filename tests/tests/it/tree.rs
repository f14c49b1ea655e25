//! `tree()`: what it finds, and how it reads with few tasks and with many.

use std::future::{pending, ready};
use std::task::Poll;
use std::time::Duration;

use taskscope::observe::{Entry, Kind, State};
use taskscope::{BoxError, Scope, TaskGroup, Tree, cancellable, defer, shield, task_group, tree};
use taskscope_tests::{Driven, both, paused, watched};
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::sleep;

/// The entries below the one scope of this name, and that scope.
fn below(tree: &Tree, name: &str) -> Vec<Entry> {
    let mut entries = tree.entries().skip_while(|entry| entry.name() != name);
    let top = entries.next().expect("the scope is in the tree");
    let rest = entries.take_while(|entry| entry.depth() > top.depth());
    std::iter::once(top).chain(rest).cloned().collect()
}

/// The lines of the tree from this scope on, until the next root.
fn lines(tree: &Tree, name: &str) -> Vec<String> {
    let text = tree.to_string();
    let from = text.lines().skip_while(|line| !line.starts_with(name));
    let mut lines: Vec<_> = from.map(str::to_owned).collect();
    let end = lines
        .iter()
        .skip(1)
        .position(|line| !line.starts_with([' ', '│', '├', '└']));
    lines.truncate(end.map_or(lines.len(), |end| end + 1));
    lines
}

#[test]
fn names_states_and_lines() {
    paused(|| async {
        let scope = Scope::new().name("names_states");
        let entries = scope.run(async {
            let group = TaskGroup::<BoxError>::new().name("workers").limit(1);
            let seen = group.run(async |g| {
                let waits = async {
                    taskscope::checkpoint().await;
                    pending::<()>().await
                };
                let line = line!() + 1;
                g.spawn_named("first", waits);
                g.spawn_named("second", pending::<()>());
                yield_now().await;
                let seen = below(&tree(), "names_states");
                g.cancel();
                Ok((seen, line))
            });
            seen.await.unwrap()
        });
        let (entries, line) = entries.await.unwrap();
        let shape: Vec<_> = entries
            .iter()
            .map(|entry| {
                (
                    entry.name(),
                    entry.kind(),
                    entry.state(),
                    entry.depth() - entries[0].depth(),
                )
            })
            .collect();
        assert_eq!(
            shape,
            [
                ("names_states", Kind::Scope, State::Running, 0),
                ("workers", Kind::Scope, State::Running, 1),
                ("first", Kind::Task, State::Running, 2),
                ("second", Kind::Task, State::Queued, 2),
            ]
        );
        assert_eq!(entries[2].location().file(), file!());
        assert_eq!(entries[2].location().line(), line);
        assert_eq!(entries[2].last_checkpoint().unwrap().line(), line - 4);
        assert!(entries[3].last_checkpoint().is_none());
    });
}

#[test]
fn a_cleanup_that_lasts_is_named_with_its_line() {
    #[cancellable]
    async fn task(ready: oneshot::Sender<()>, end: oneshot::Receiver<()>) {
        defer! { end.await.ok(); }
        defer! {}
        ready.send(()).ok();
        pending::<()>().await
    }
    let line = line!() - 5;

    both(move || async move {
        let (ready, started) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let scope = Scope::new().name("lasting_cleanup");
        let handle = scope.handle();
        let running = tokio::spawn(scope.run(task(ready, ended)));
        started.await.unwrap();
        handle.cancel();
        let entry = loop {
            let entry = below(&tree(), "lasting_cleanup").remove(0);
            if entry.held().first().is_some_and(|held| held.is_running()) && entry.held().len() == 1
            {
                break entry;
            }
            yield_now().await;
        };
        assert_eq!(entry.state(), State::Cancelling);
        assert_eq!(entry.reason(), Some("requested"));
        assert_eq!(entry.held()[0].what(), "`defer!`");
        assert_eq!(entry.held()[0].location().unwrap().line(), line);
        let text = lines(&tree(), "lasting_cleanup");
        assert!(
            text[0].starts_with("lasting_cleanup  cancelling (requested) "),
            "{text:#?}"
        );
        let phase = format!("in the cleanup of `defer!` at tests/tests/it/tree.rs:{line}");
        assert_eq!(text.last().unwrap().trim(), phase, "{text:#?}");
        end.send(()).unwrap();
        assert!(running.await.unwrap().is_err());
    });
}

#[test]
fn a_shield_is_named_while_it_keeps_a_cancelled_scope() {
    paused(|| async {
        let scope = Scope::new().name("shielding");
        let handle = scope.handle();
        let seen = scope.run(shield(async {
            handle.cancel();
            // The pass that follows shows what is still there.
            yield_now().await;
            lines(&tree(), "shielding")
        }));
        let lines = seen.await.unwrap();
        assert!(
            lines
                .last()
                .unwrap()
                .contains("in `shield` at tests/tests/it/tree.rs:"),
            "{lines:#?}"
        );
    });
}

#[test]
fn gone_once_all_inside_is_gone() {
    both(|| async {
        let scope = Scope::new().name("gone_afterwards");
        let handle = scope.handle();
        scope
            .run(async {
                task_group!(|g| {
                    g.spawn(yield_now());
                    Ok(())
                })
                .await
                .unwrap()
            })
            .await
            .unwrap();
        let names: Vec<_> = tree()
            .entries()
            .map(|entry| entry.name().to_owned())
            .collect();
        assert!(!names.contains(&"gone_afterwards".to_owned()), "{names:?}");
        drop(handle);
    });
}

#[test]
fn what_a_dropped_root_left_behind_is_still_found() {
    #[cancellable]
    async fn task(end: oneshot::Receiver<()>) {
        defer! { end.await.ok(); }
        pending::<()>().await
    }

    both(|| async {
        let (end, ended) = oneshot::channel();
        let group = TaskGroup::<BoxError>::new()
            .name("left_behind")
            .run(async |g| {
                g.spawn(task(ended));
                pending::<Result<(), _>>().await
            });
        let mut group = Box::pin(group);
        while !below_if_there("left_behind")
            .iter()
            .any(|entry| !entry.held().is_empty())
        {
            assert!(futures::poll!(&mut group).is_pending());
            yield_now().await;
        }
        drop(group);
        let found = below_if_there("left_behind");
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].reason(), Some("owner dropped"));
        end.send(()).unwrap();
        while !below_if_there("left_behind").is_empty() {
            yield_now().await;
        }
    });
}

fn below_if_there(name: &str) -> Vec<Entry> {
    below_if_in(&tree(), name)
}

fn below_if_in(tree: &Tree, name: &str) -> Vec<Entry> {
    let there = tree.entries().any(|entry| entry.name() == name);
    if there { below(tree, name) } else { Vec::new() }
}

async fn crowd(name: &'static str, count: usize) -> Tree {
    let scope = Scope::new().name(name);
    let seen = scope.run(async {
        let group = TaskGroup::<BoxError>::new().name("crowd").run(async |g| {
            for number in 0..count {
                g.spawn_named(format!("connection-{number}"), pending::<()>());
            }
            g.spawn_named("flush", pending::<()>());
            // Until all of them wait.
            sleep(Duration::from_millis(1)).await;
            let seen = tree();
            g.cancel();
            Ok(seen)
        });
        group.await.unwrap()
    });
    seen.await.unwrap()
}

#[test]
fn ten_and_ten_thousand_tasks_read_alike() {
    paused(|| async {
        for (name, count) in [("ten_tasks", 10), ("many_tasks", 10_000)] {
            let tree = crowd(name, count).await;
            assert!(below(&tree, name).len() == count + 3);
            let lines = lines(&tree, name);
            assert!(lines.len() <= 8, "{lines:#?}");
            assert!(
                lines.iter().all(|line| line.chars().count() <= 80),
                "{lines:#?}"
            );
            let folded = format!("   ├─ connection-# × {count}  running ");
            assert!(
                lines.iter().any(|line| line.starts_with(&folded)),
                "{lines:#?}"
            );
            assert!(
                lines
                    .iter()
                    .any(|line| line.starts_with("   └─ flush  running ")),
                "{lines:#?}"
            );
            let chart = tree.to_mermaid();
            assert!(
                chart.contains(&format!("([\"connection-# × {count}<br>running")),
                "{chart}"
            );
        }
    });
}

#[test]
fn what_is_not_alike_is_cut_and_counted() {
    paused(|| async {
        let group = TaskGroup::<BoxError>::new()
            .name("all_different")
            .run(async |g| {
                for number in 0..40_usize {
                    let name = "x".repeat(number + 1);
                    g.spawn_named(name, pending::<()>());
                }
                yield_now().await;
                let seen = lines(&tree(), "all_different");
                g.cancel();
                Ok(seen)
            });
        let lines = group.await.unwrap();
        assert_eq!(lines.last().unwrap(), "└─ … 24 more");
    });
}

#[test]
fn a_name_of_several_lines_is_shown_on_one() {
    paused(|| async {
        let seen = Scope::new().name("first\nsecond").run(async { tree() });
        let seen = seen.await.unwrap();
        assert!(seen.to_string().contains("first second  running"), "{seen}");
        assert!(seen.to_mermaid().contains("first second<br>"));
        assert!(seen.entries().any(|entry| entry.name() == "first\nsecond"));
    });
}

#[test]
fn deep_trees_are_printed_without_recursion() {
    // On a small stack, which a recursion of this depth would overflow.
    watched(|| {
        let thread = std::thread::Builder::new().stack_size(512 * 1024);
        let printed = thread.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            let _guard = runtime.enter();
            let mut scopes = vec![Scope::new().name("deep_tree")];
            // Each is put below the former while that polls it once.
            let mut depth: std::pin::Pin<Box<dyn Future<Output = String>>> =
                Box::pin(async { lines(&tree(), "deep_tree").join("\n") });
            for _ in 0..100 {
                depth = Box::pin(async { Scope::new().name("inside").run(depth).await.unwrap() });
            }
            runtime.block_on(scopes.remove(0).run(depth)).unwrap()
        });
        let text = printed.unwrap().join().unwrap();
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        assert!(text.ends_with("… 85 more"), "{text}");
    });
}

#[test]
fn serialised_with_durations_in_seconds_and_locations_as_text() {
    paused(|| async {
        let scope = Scope::new().name("as_json");
        scope.handle().cancel();
        let json = scope
            .run(shield(async {
                sleep(Duration::from_millis(1)).await;
                serde_json::to_value(tree()).unwrap()
            }))
            .await
            .unwrap();
        let entries = json["entries"].as_array().unwrap();
        let entry = entries
            .iter()
            .find(|entry| entry["name"] == "as_json")
            .unwrap();
        assert_eq!(entry["kind"], "scope");
        assert_eq!(entry["state"], "cancelling");
        assert_eq!(entry["reason"], "requested");
        assert!(entry["age"].is_f64() && entry["cancelled_for"].is_f64());
        let location = entry["location"].as_str().unwrap();
        assert!(
            location.starts_with("tests/tests/it/tree.rs:"),
            "{location}"
        );
    });
}

#[test]
fn a_cleanup_armed_around_the_caller_is_seen_before_anything_has_waited() {
    #[cancellable]
    async fn inner() -> Tree {
        defer! { ready(()).await; }
        tree()
    }
    #[cancellable]
    async fn outer() -> Tree {
        defer! { ready(()).await; }
        Scope::new().name("within").run(inner()).await.unwrap()
    }
    watched(|| {
        let run = Scope::new().name("armed").run(outer());
        let Poll::Ready(seen) = Driven::new(run).poll() else {
            panic!("nothing in it waits");
        };
        let seen = seen.unwrap();
        let held: Vec<_> = below(&seen, "armed")
            .iter()
            .map(|entry| (entry.name().to_owned(), entry.held().len()))
            .collect();
        assert_eq!(held, [("armed".to_owned(), 1), ("within".to_owned(), 1)]);
    });
}

/// The rows from this one on that belong to it, and its first child.
fn row_of<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let rows = text.lines().skip_while(|line| !line.contains(start));
    rows.take(3).collect()
}

async fn heartbeat(send: tokio::sync::mpsc::Sender<()>, ended: oneshot::Receiver<()>) {
    ended.await.ok();
    drop(send);
}

/// A service that holds a sender keeps the task that reads from it.
#[test]
fn a_group_whose_body_has_ended_says_what_it_waits_for() {
    both(|| async {
        let (send, mut receive) = tokio::sync::mpsc::channel::<()>(1);
        let (end, ended) = oneshot::channel::<()>();
        let group = TaskGroup::<BoxError>::new().name("waits_for_writer");
        let running = tokio::spawn(group.run(async |g| {
            g.spawn_named(
                "writer",
                async move { while receive.recv().await.is_some() {} },
            );
            g.service(heartbeat(send, ended));
            Ok(())
        }));
        let seen = loop {
            let seen = tree();
            let entries = below_if_in(&seen, "waits_for_writer");
            let running = |entry: &Entry| entry.state() == State::Running;
            if entries.len() == 3 && entries.iter().all(running) && entries[0].body_ended() {
                break seen;
            }
            yield_now().await;
        };
        let entries = below(&seen, "waits_for_writer");
        let told: Vec<_> = entries
            .iter()
            .map(|entry| (entry.name(), entry.is_service(), entry.body_ended()))
            .collect();
        assert_eq!(
            told,
            [
                ("waits_for_writer", false, true),
                ("writer", false, false),
                ("it::tree::heartbeat", true, false),
            ]
        );
        let rows = lines(&seen, "waits_for_writer");
        assert_eq!(rows[1], "    body ended, waiting for `writer`", "{rows:#?}");
        assert!(rows[2].starts_with("├─ writer  running "), "{rows:#?}");
        let service = "└─ tree::heartbeat  service, running ";
        assert!(rows[3].starts_with(service), "{rows:#?}");
        let chart = seen.to_mermaid();
        assert!(
            chart.contains("<br>body ended, waiting for 'writer'\""),
            "{chart}"
        );
        assert!(
            chart.contains("([\"it::tree::heartbeat<br>service, running "),
            "{chart}"
        );
        let json = serde_json::to_value(&seen).unwrap();
        let json = json["entries"].as_array().unwrap();
        let entry = |name| json.iter().find(|entry| entry["name"] == name).unwrap();
        assert_eq!(entry("waits_for_writer")["body_ended"], true);
        assert_eq!(entry("it::tree::heartbeat")["service"], true);
        end.send(()).unwrap();
        running.await.unwrap().unwrap();
    });
}

/// Those that are alike are counted, and of many the first ones are named.
#[test]
fn what_is_waited_for_is_folded() {
    paused(|| async {
        let group = TaskGroup::<BoxError>::new()
            .name("waits_for_many")
            .run(async |g| {
                for number in 0..500 {
                    g.spawn_named(format!("connection-{number}"), pending::<()>());
                }
                for name in ["one", "two", "three"] {
                    g.spawn_named(name, pending::<()>());
                }
                let handle = g.handle();
                g.spawn_shielded(async move {
                    yield_now().await;
                    assert_eq!(
                        row_of(&tree().to_string(), "waits_for_many")[1].trim_start_matches('│'),
                        "    body ended, waiting for `connection-#` × 500, `one`, `two` and 2 more"
                    );
                    handle.cancel();
                });
                Ok(())
            });
        group.await.unwrap();
    });
}

/// A task that a dropped group has left to a scope, or a timeout.
#[test]
fn a_scope_whose_body_has_ended_says_what_it_waits_for() {
    #[cancellable]
    async fn lingers(end: oneshot::Receiver<()>) {
        defer! { end.await.ok(); }
        pending::<()>().await
    }

    both(|| async {
        for timed in [false, true] {
            let (end, ended) = oneshot::channel();
            let body = async {
                let group = TaskGroup::<BoxError>::new().name("dropped").run(async |g| {
                    g.spawn_named("lingers", lingers(ended));
                    pending::<Result<(), _>>().await
                });
                let mut group = Box::pin(group);
                while !below_if_there("dropped")
                    .iter()
                    .any(|entry| !entry.held().is_empty())
                {
                    assert!(futures::poll!(&mut group).is_pending());
                    yield_now().await;
                }
            };
            let scope = Scope::new().name("adopts");
            let scope = match timed {
                false => scope,
                true => scope.timeout(Duration::from_secs(3600)),
            };
            let mut run = Box::pin(scope.run(body));
            while !below_if_there("adopts")
                .first()
                .is_some_and(Entry::body_ended)
            {
                assert!(futures::poll!(&mut run).is_pending());
                yield_now().await;
            }
            let rows = lines(&tree(), "adopts");
            assert!(
                rows[1].ends_with("  body ended, waiting for `dropped`"),
                "{rows:#?}"
            );
            end.send(()).unwrap();
            run.await.unwrap();
        }
    });
}

#[test]
fn a_group_that_ends_with_its_body_waits_for_nothing() {
    paused(|| async {
        let group = TaskGroup::<BoxError>::new()
            .name("body_runs")
            .run(async |g| {
                g.spawn_named("other", pending::<()>());
                yield_now().await;
                let seen = below(&tree(), "body_runs");
                g.cancel();
                Ok(seen[0].body_ended())
            });
        assert!(!group.await.unwrap());
    });
}

/// What is stopping counts from the request, and what began later from its beginning.
#[test]
fn a_stop_counts_from_the_request() {
    both(|| async {
        let scope = Scope::new().name("stops_later");
        let handle = scope.handle();
        let seen = scope.run(async {
            let born_before = Scope::new().name("born_before");
            // The tree counts real time.
            std::thread::sleep(Duration::from_millis(60));
            let inner = born_before.run(async {
                handle.stop();
                handle.stop();
                let born_after = Scope::new().name("born_after");
                born_after.run(async { tree() }).await.unwrap()
            });
            inner.await.unwrap()
        });
        let seen = seen.await.unwrap();
        let entries = below(&seen, "stops_later");
        let [outer, before, after] = &entries[..] else {
            panic!("{entries:#?}");
        };
        let (of_outer, of_before) = (outer.stopping_for().unwrap(), before.stopping_for());
        assert!(of_outer + Duration::from_millis(40) < outer.age());
        assert!(before.age() > of_outer, "{before:#?}");
        assert_eq!(of_before, Some(of_outer));
        assert_eq!(after.stopping_for(), Some(after.age()));
        for line in lines(&seen, "stops_later") {
            let millis = line.split("stopping ").nth(1).unwrap();
            let millis: u128 = millis.split(" ms").next().unwrap().parse().unwrap();
            assert!(millis <= of_outer.as_millis(), "{line}");
        }
    });
}

/// The first request stays, also where a wider one follows.
#[test]
fn a_second_stop_changes_nothing() {
    both(|| async {
        let outer = Scope::new().name("stops_last");
        let handle = outer.handle();
        let seen = outer.run(async {
            let inner = Scope::new().name("stops_first");
            inner.handle().stop();
            inner
                .run(async {
                    assert_eq!(below(&tree(), "stops_last")[0].stopping_for(), None);
                    std::thread::sleep(Duration::from_millis(60));
                    handle.stop();
                    tree()
                })
                .await
                .unwrap()
        });
        let entries = below(&seen.await.unwrap(), "stops_last");
        let (last, first) = (entries[0].stopping_for(), entries[1].stopping_for());
        assert!(last.unwrap() + Duration::from_millis(40) < first.unwrap());
    });
}

#[test]
fn shielded_tasks_are_marked() {
    paused(|| async {
        let group = TaskGroup::<BoxError>::new().name("has_a_shielded_one");
        let seen = group.run(async |g| {
            let (end, ended) = oneshot::channel::<()>();
            let task = g.spawn_shielded(async move { drop(ended.await) });
            yield_now().await;
            let seen = tree();
            end.send(()).unwrap();
            task.await?;
            Ok(seen)
        });
        let seen = seen.await.unwrap();
        let marked: Vec<_> = below(&seen, "has_a_shielded_one")
            .iter()
            .map(Entry::is_shielded)
            .collect();
        assert_eq!(marked, [false, true]);
        let rows = lines(&seen, "has_a_shielded_one");
        assert!(rows[1].contains("  shielded, running "), "{rows:#?}");
        let json = serde_json::to_value(&seen).unwrap();
        let shielded = |entry: &serde_json::Value| entry["shielded"] == true;
        assert!(json["entries"].as_array().unwrap().iter().any(shielded));
    });
}
