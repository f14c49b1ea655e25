//! The structure checks: what they find, what they leave alone, and what they advise.

use super::{attribute, group, short};

/// Where each finding begins in the expansion, dense.
const ERROR: &str = "::core::compile_error!{\"";

/// The findings in `expansion`, without spaces.
fn findings(expansion: &str) -> Vec<String> {
    let dense = short(expansion);
    let found = dense.split(ERROR).skip(1);
    found.map(str::to_owned).collect()
}

fn in_function(args: &str, body: &str) -> Vec<String> {
    findings(&attribute(args, &format!("async fn f() {{ {body} }}")))
}

#[track_caller]
fn assert_finds(body: &str, what: &str, help: &str) {
    let found = in_function("", body);
    assert_eq!(found.len(), 1, "{body}: {found:#?}");
    for text in [what, help] {
        assert!(found[0].contains(&short(text)), "{body}: {}", found[0]);
    }
}

#[track_caller]
fn assert_quiet(body: &str) {
    // A body that does not read as Rust would be quiet, too.
    let found = in_function("", &format!("{body}; tokio::spawn(canary());"));
    assert_eq!(found.len(), 1, "{body}: {found:#?}");
    assert!(found[0].contains("canary()"), "{body}: {found:#?}");
}

#[test]
fn detached() {
    for (body, help) in [
        ("tokio::spawn(work(1));", "`g.spawn(work(1))`"),
        ("::tokio::spawn(work());", "or `g.spawn_scoped(work())`"),
        ("tokio::task::spawn(work());", "`g.spawn(work())`"),
        ("task::spawn(work());", "`g.spawn(work())`"),
        ("async_std::task::spawn(work());", "`g.spawn(work())`"),
        ("smol::spawn(work());", "`g.spawn(work())`"),
        (
            "tokio::task::spawn_local(w());",
            "`g.spawn_local(w())` in `task_group!(local,",
        ),
        (
            "tokio::task::spawn_blocking(work);",
            "`g.spawn_blocking(work)`",
        ),
        ("task::spawn_blocking(work);", "`g.spawn_blocking(work)`"),
        ("std::thread::spawn(work);", "`g.spawn_blocking(work)`"),
        (
            "thread::spawn(|| { });",
            "`g.spawn_blocking(|| { })` in `task_group!(|g| { … }).await`, or `taskscope::blocking(|| { }).await`",
        ),
        ("let all = JoinSet::new();", "`TaskSet`"),
        ("let all = TaskTracker::new();", "`TaskSet`"),
        ("let all = tokio_util::task::JoinMap::new();", "`TaskSet`"),
        (
            "let all: S = tokio::task::JoinSet::<u8>::new();",
            "`TaskSet`",
        ),
        ("futures.map(tokio::spawn).count();", "`g.spawn(…)`"),
    ] {
        assert_finds(body, "this function", help);
    }
}

#[test]
fn blocking() {
    for (body, help) in [
        ("std::thread::sleep(d);", "`tokio::time::sleep(d).await`"),
        ("thread::sleep(d);", "`tokio::time::sleep(d).await`"),
        ("futures::executor::block_on(f());", "`f().await`"),
        ("executor::block_on(async { 1 });", "with `.await`"),
        ("tokio::runtime::Handle::block_on(&h, f());", "`f().await`"),
        ("taskscope::block_on(f());", "`f().await`"),
        ("Handle::current().block_on(f());", "`f().await`"),
        ("self.rt.block_on(f());", "`f().await`"),
        ("tx.blocking_send(1);", "`tx.send(1).await`"),
        ("self.rx.blocking_recv();", "`self.rx.recv().await`"),
        ("lock.blocking_lock();", "`lock.lock().await`"),
        (
            "tokio::task::block_in_place(|| work());",
            "`taskscope::blocking(|| work()).await`, with values that the closure owns, and `taskscope::block_on(…)`",
        ),
        (
            "task::block_in_place(work);",
            "`taskscope::blocking(work).await`",
        ),
        (
            "futures::executor::block_on(f());",
            "calls `taskscope::block_on(…)`",
        ),
    ] {
        assert_finds(body, "blocks the thread", help);
    }
}

#[test]
fn blocking_in_the_standard_library() {
    for (body, help) in [
        (
            "std::fs::read(path)?;",
            "`taskscope::blocking(move || std::fs::read(path)).await`, with values that the closure owns, or `tokio::fs::read(path).await`",
        ),
        (
            "std::fs::OpenOptions::new().append(true).open(path)?;",
            "`tokio::fs::OpenOptions`, whose `open` is awaited",
        ),
        (
            "std::fs::File::options().open(path)?;",
            "`tokio::fs::OpenOptions`, whose `open` is awaited",
        ),
        (
            "(std::fs::DirBuilder::new()).recursive(true).create(path)?;",
            "`tokio::fs::DirBuilder`, whose `create` is awaited",
        ),
        (
            "std::fs::DirBuilder::create(&builder, path)?;",
            "`tokio::fs::DirBuilder`, whose `create` is awaited",
        ),
        (
            "std::process::Command::new(\"ls\").arg(path).output()?;",
            "`tokio::process::Command`",
        ),
        (
            "std::process::Command::new(\"ls\").spawn()?.wait()?;",
            "`tokio::process::Command`",
        ),
        (
            "std::process::Command::status(&mut ls)?;",
            "`tokio::process::Command`",
        ),
        (
            "std::fs::exists(path);",
            "`tokio::fs::try_exists(path).await`",
        ),
        (
            "std::fs::soft_link(a, b);",
            "blocking(move || std::fs::soft_link(a, b)).await`",
        ),
        (
            "std::fs::File::open(path);",
            "`tokio::fs::File::open(path).await`",
        ),
        (
            "std::net::TcpStream::connect(a);",
            "`tokio::net::TcpStream::connect(a).await`",
        ),
        (
            "std::net::UdpSocket::bind(a);",
            "`tokio::net::UdpSocket::bind(a).await`",
        ),
    ] {
        assert_finds(body, "blocks the thread", help);
    }
}

#[test]
fn hard_drop() {
    for (body, help) in [
        (
            "tokio::select! { _ = f() => {} }",
            "`taskscope::race! { … }`",
        ),
        (
            "select! { biased; Some(x) = f() => x == 1, else => {} }",
            "race!",
        ),
        (
            "futures::select! { x = f() => {}, complete => {} }",
            "race!",
        ),
        (
            "select! { () = self.token.cancelled() => return, x = f() => {} }",
            "delete the branch of `self.token.cancelled()`",
        ),
        (
            "futures::select! { x = f() => {}, () = token.cancelled_owned().fuse() => {} }",
            "waits for `taskscope::stopping()`",
        ),
        (
            "tokio::try_join!(a, b());",
            "`taskscope::try_join!(a, b())`",
        ),
        ("future::select_all(all);", "`TaskSet`"),
        ("futures::future::select_ok(all);", "`TaskSet`"),
        (
            "token.run_until_cancelled(f());",
            "`taskscope::Scope::new().cancel_when(token.cancelled()).run(f()).await`",
        ),
        ("token.run_until_cancelled(f());", "`Result<_, Cancelled>`"),
        (
            "tokio::time::timeout(d, f());",
            "`taskscope::timeout(d, f())`",
        ),
        (
            "time::timeout_at(at, f());",
            "`taskscope::timeout_at(at, f())`",
        ),
        ("tokio::time::timeout(d, &mut f);", "race!"),
    ] {
        assert_finds(body, "in the middle", help);
    }
}

#[test]
fn lent_to_a_timeout() {
    for (body, help) in [
        (
            "timeout(d, &mut f);",
            "`taskscope::race! { value = &mut f => …, () = tokio::time::sleep(d) => … }`",
        ),
        (
            "taskscope::timeout_at(d, f.as_mut());",
            "() = tokio::time::sleep_until(d)",
        ),
    ] {
        assert_finds(body, "on a future that is only lent", help);
    }
}

#[test]
fn endless_loops() {
    for body in [
        "loop { work(); }",
        "while true { work(); }",
        "loop { loop { work(); } }",
        "loop { loop { break; } }",
        "loop { while work() { continue; } }",
        "loop { for x in y { break; } }",
        "'a: loop { continue 'a; }",
        "loop { 'a: loop { break 'a; } 'b: { break 'b; } }",
        "loop { 'a: for x in y { continue 'a; } }",
        "loop { println!(\"{}\", work()); write!(out, \"\"); }",
        "loop { tasks.push(async { x.await }); }",
        "loop { let f = || return 1; let g = |x| x?; }",
        "loop { fn inner() { return; } }",
        "loop { #[cfg(unix)] work(); continue; }",
    ] {
        assert_finds(body, "can never be cancelled", "`#[checkpoint]`");
    }
    let found = in_function("loops", "#[no_checkpoint] loop { work(); }");
    assert!(found[0].contains("remove`#[no_checkpoint]`"), "{found:?}");
}

#[test]
fn loops_with_a_way_out() {
    for body in [
        "loop { f().await; }",
        "loop { if work() { break; } }",
        "loop { let Some(x) = y else { break }; }",
        "loop { return; }",
        "loop { x?; }",
        "'a: loop { loop { break 'a; } }",
        "'a: { loop { break 'a; } }",
        "'a: for x in y { loop { continue 'a; } }",
        "loop { while f().await { } }",
        "loop { println!(\"{}\", f().await); }",
        "loop { match x { 1 if f().await => {} _ => {} } }",
        "loop { println!(\"{}\", x?); }",
        "loop { anything!(); }",
        "loop { race! { _ = f() => {} } }",
        "loop { join!(a, b); }",
        "loop { assert!(work()); }",
        "loop { if work() { panic!() } }",
        "loop { if work() { std::process::exit(1) } }",
        "loop { defer! { f().await; } work(); }",
        "#[checkpoint] loop { work(); }",
        "#[taskscope::checkpoint] while true { work(); }",
        "loop { #[checkpoint] for x in y { work(); } }",
        "while x { work(); }",
        "while let Some(x) = y.pop() { work(); }",
        "for x in y { work(); }",
        "let f = || loop { work(); };",
    ] {
        assert_quiet(body);
    }
    assert_eq!(in_function("loops", "loop { work(); }"), [""; 0]);
}

#[test]
fn markers() {
    for (body, what) in [
        (
            "#[checkpoint] #[no_checkpoint] for x in y {}",
            "`#[no_checkpoint]` beside `#[checkpoint]`",
        ),
        (
            "#[checkpoint] #[checkpoint] while x {}",
            "`#[checkpoint]` is given twice",
        ),
        ("#[checkpoint(3)] loop {}", "write `#[checkpoint]` alone"),
        (
            "#[no_checkpoint = 1] for x in y {}",
            "write `#[no_checkpoint]` alone",
        ),
        (
            "#[checkpoint] let x = 1;",
            "`#[checkpoint]` on what is no loop",
        ),
        (
            "#[taskscope::no_checkpoint] f();",
            "`#[no_checkpoint]` on what is no loop",
        ),
        ("#[checkpoint] if x {}", "on what is no loop"),
        (
            "match x { #[checkpoint] 1 => {} _ => {} }",
            "on what is no loop",
        ),
    ] {
        assert_finds(body, what, "help");
        let expansion = attribute("", &format!("async fn f() {{ {body} }}"));
        for marker in ["# [checkpoint", "# [no_checkpoint", "# [taskscope"] {
            assert!(!expansion.contains(marker), "{expansion}");
        }
    }
}

#[test]
fn names_of_the_users_own() {
    for body in [
        "spawn(work()); g.spawn(work()); self.spawn(work()); Self::spawn(work());",
        "crate::task::spawn(w()); self::thread::spawn(w); super::thread::sleep(d); crate::tokio::spawn(w());",
        "spawn::all(); select::first(); timeout::short(d, &mut f); my::task::spawn(w()); pool::spawn(w());",
        "sleep(d); block_on(f()); self.block_on(f()); tiles.block_on(); ui::block_on(tile);",
        "fs::read(path); tokio::fs::read(path); File::open(path); crate::std::fs::read(path);",
        "std::fs::Permissions::from_mode(1); std::net::Ipv4Addr::new(127, 0, 0, 1); std::net::SocketAddr::new(a, 1);",
        "std::fs::File::from(fd); std::net::TcpListener::from(fd); std::fs::File::options();",
        "std::fs::DirBuilder::new().recursive(true); std::fs::OpenOptions::new().read(true);",
        "std::process::Command::new(\"ls\").arg(x).spawn(); std::process::exit(1); options.open(path);",
        "tokio::process::Command::new(\"ls\").output(); tokio::fs::OpenOptions::new().open(path);",
        "block_in_place(w); crate::task::block_in_place(w); my::block_in_place(w);",
        "select!(name, age from users); select(a, b); crate::select! { a = f() => {} } self::select!(a = b => c);",
        "crossbeam::select! { recv(r) -> x => y = x, }  select! { recv(r) -> msg => x = 1, default => {} }",
        "select_all(all); stream::select_all(all); futures::stream::select_all(all);",
        "timeout(d, f()); timeout(d, &f); x.timeout(d, &mut f); timeout(&mut f); client::timeout(d, &mut f);",
        "std::time::Duration::from_secs(1); tokio::time::sleep(d); handle.abort(); tokio::join!(a, b);",
        "try_join!(a, b); taskscope::try_join!(a, b); futures::future::join_all(all);",
        "tx.blocking_send(); x.blocking_recv(1); self.blocking_send(1); self.run_until_cancelled(f());",
        "set.spawn(f()); JoinSet::len(&set); thread::current(); std::thread::available_parallelism();",
        "#[path = \"tokio::spawn\"] let x: fn(tokio::spawn) = 1; let tokio = spawn;",
        "fn inner() { std::thread::sleep(d); } const { std::thread::sleep(d) };",
    ] {
        assert_quiet(body);
    }
}

#[test]
fn names_declared_in_the_code_are_the_users_own() {
    for body in [
        "mod task { pub fn spawn() {} } task::spawn();",
        "use crate::pool as thread; thread::spawn(work);",
        "use super::{time, thread::{self, sleep}}; time::timeout(d, f()); thread::sleep(d);",
        "struct JoinSet; let set = JoinSet::new();",
        "enum Handle {} Handle::block_on(f());",
        "macro_rules! select { ($($x:tt)*) => {}; } select! { a = f() => {} }",
        "fn timeout(d: Duration, stream: &mut Stream) {} timeout(d, &mut stream);",
        "let timeout = |d, stream: &mut Stream| stream.set(d); timeout(d, &mut stream);",
        "use crate::net::timeout; timeout(d, &mut stream);",
    ] {
        assert_quiet(body);
    }
    for body in [
        "use tokio::task; task::spawn(f());",
        "use {std::thread, crate::x}; thread::spawn(f);",
        "use taskscope::timeout; timeout(d, &mut f);",
        "for task in tasks { task::spawn(task); }",
        "{ mod inner { use crate::task; } } task::spawn(f());",
    ] {
        assert_eq!(in_function("", body).len(), 1, "{body}");
    }
}

#[test]
fn imports_tell_what_a_name_stands_for() {
    for (body, what) in [
        (
            "use tokio::spawn as go; go(f());",
            "`go` starts work that may outlive",
        ),
        (
            "use tokio::spawn; spawn(f());",
            "`spawn` starts work that may outlive",
        ),
        (
            "use tokio::task::{self as tasks, JoinSet as Set}; let all: Set<u8> = Set::new(); all.shutdown();",
            "`Set::new` makes a set of tasks",
        ),
        (
            "use tokio::task::{self as tasks}; tasks::spawn_blocking(f);",
            "`tasks::spawn_blocking`",
        ),
        ("use tokio as t; t::spawn(f());", "`t::spawn`"),
        ("use std::thread::sleep as nap; nap(d);", "`nap` blocks"),
        (
            "use std::{fs, io}; fs::read(path)?; io::stdin();",
            "`fs::read` blocks",
        ),
        (
            "use std::process::Command as Run; Run::new(\"ls\").output();",
            "`std::process::Command::output` blocks",
        ),
        (
            "use tokio::time::timeout as limit; limit(d, f());",
            "`limit` drops a late future",
        ),
        (
            "use tokio::time::timeout; timeout(d, &mut f);",
            "`timeout` drops a late future",
        ),
        (
            "use futures::select_biased; select_biased! { a = f() => {} }",
            "and `else =>` for `complete =>`",
        ),
        (
            "use tokio::select as first; first! { _ = f() => {} }",
            "`first!` drops the branches",
        ),
        (
            "use futures::try_join; try_join!(a, b);",
            "`try_join!` drops the other branches",
        ),
        (
            "let all = <JoinSet<u8>>::new();",
            "`<JoinSet<u8>>::new` makes a set",
        ),
        (
            "let all = <tokio_util::task::TaskTracker as Default>::default();",
            "makes a set of tasks",
        ),
    ] {
        assert_finds(body, what, "help");
        let module = format!("mod m {{ use other::Thing; async fn f() {{ {body} }} }}");
        assert_eq!(findings(&attribute("", &module)).len(), 1, "{module}");
    }
}

#[test]
fn an_import_tells_nothing_elsewhere_or_below_another_meaning() {
    let module = "mod m { use tokio::spawn as go; async fn f() { go(g()); } mod n { async fn f() { go(g()); } } }";
    assert_eq!(findings(&attribute("", module)).len(), 1);
    for body in [
        "use tokio::spawn as go; let go = pool.spawner(); go(f());",
        "use tokio::spawn as go; fn go(f: F) {} go(f());",
        "use tokio::time::timeout; let timeout = d; sleep(timeout).await;",
        "use tokio::spawn as go; use mine::spawn as go; go(f());",
        "use tokio::spawn as go; use std::mem::drop as go; go(f());",
        "use mine::spawn as go; go(f()); ::go::go(f());",
        "use futures::future::select; select! { recv(r) -> x => y = x }",
        "use tokio::select as first; macro_rules! first { () => {} } first! { _ = f() => {} }",
        "let all = <Mine as JoinSet>::new(); <[JoinSet]>::len(x); <Mine>::spawn(f());",
    ] {
        assert_quiet(body);
    }
}

#[test]
fn groups_know_the_imports_around_them() {
    let body = "use tokio::{spawn as go, task as t}; task_group!(|g| { go(g); Ok(()) }).await;";
    assert_finds(
        body,
        "`go` starts work",
        "`task_group!(allow(detached), …)`",
    );
}

#[test]
fn names_of_an_annotated_module_are_its_own() {
    let module = "mod outer {
        mod task { pub fn spawn() {} }
        async fn f() { task::spawn(1); thread::spawn(2); }
        fn timeout() {}
        mod inner {
            use super::thread;
            async fn f(time: u32) { task::spawn(3); thread::spawn(4); }
            async fn g() { timeout(d, &mut f); }
        }
        async fn g() { timeout(d, &mut f); }
    }";
    let found = findings(&attribute("", module));
    assert_eq!(found.len(), 3, "{found:#?}");
    for (finding, what) in found.iter().zip(["blocking(2)", "spawn(3)", "lent"]) {
        assert!(finding.contains(what), "{finding}");
    }
}

#[test]
fn code_of_the_function_is_read() {
    for body in [
        "async { tokio::spawn(f()) };",
        "async move |x| tokio::spawn(x);",
        "|x| tokio::spawn(x);",
        "|x| async { std::thread::sleep(d) };",
        "if let Some(x) = tokio::spawn(f()).await {}",
        "println!(\"{}\", tokio::spawn(f()));",
        "join!(f(), async { tokio::spawn(g()) });",
        "race! { x = f(), if std::fs::exists(p) => {} }",
        "race! { x = f() => { tokio::spawn(x); } else => {} }",
        "defer! { std::thread::sleep(d); }  f().await",
        "'a: { if x { tokio::spawn(f()); } }",
        "f(tokio::spawn(g())).x[tokio_index];",
        "match x { 1 if std::fs::exists(p) => {} _ => {} }",
    ] {
        assert_eq!(in_function("", body).len(), 1, "{body}");
    }
    // Free to block: it may be for another thread.
    assert_quiet("g.spawn_blocking(move || { std::thread::sleep(d); loop { work(); } });");
}

#[test]
fn each_check_is_switched_off_by_its_name() {
    let body = "tokio::spawn(f()); std::thread::sleep(d); loop { work(); } select! { _ = f() => {} } timeout(d, &mut f);";
    for (args, count) in [
        ("", 5),
        ("allow(detached)", 4),
        ("allow(blocking)", 3),
        ("allow(hard_drop)", 3),
        ("allow(blocking, hard_drop)", 1),
        ("allow(detached, blocking, hard_drop)", 0),
    ] {
        let item = format!(
            "impl S {{ async fn f(&self) {{ {body} }} fn g() {{ {body} }} #[cancellable] async fn h() {{ {body} }} }}"
        );
        assert_eq!(findings(&attribute(args, &item)).len(), count, "{args}");
        let module = format!("mod m {{ mod n {{ async fn f() {{ {body} }} }} }}");
        assert_eq!(findings(&attribute(args, &module)).len(), count, "{args}");
        assert_eq!(in_function(args, body).len(), count, "{args}");
        let comma = if args.is_empty() { "" } else { "," };
        let found = findings(&group(&format!("{args} {comma} |g| {{ {body} }}")));
        assert_eq!(found.len(), count, "{args}: {found:?}");
    }
}

#[test]
fn the_body_of_a_group_is_read_once() {
    let body = "limit = 2, |group| { tokio::spawn(f()); Ok(()) }";
    let nested = format!("task_group!({body}).await");
    for found in [findings(&group(body)), in_function("", &nested)] {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("write`group.spawn(f())`,or"), "{found:?}");
        assert!(
            found[0].contains("`task_group!(allow(detached),…)`"),
            "{found:?}"
        );
    }
}

#[test]
fn groups_have_the_options_around_them() {
    let expansion = attribute(
        "allow(detached, hard_drop), loops, crate = a::b",
        "async fn f() {
            println!(\"{}\", task_group!(allow(blocking), |g| {
                tokio::spawn(f());
                std::thread::sleep(d);
                loop { work(); }
                task_group!(|h| { std::thread::sleep(d); Ok(()) }).await
            }));
        }",
    );
    assert_eq!(findings(&expansion), [""; 0], "{expansion}");
    let expansion = short(&expansion);
    assert_eq!(
        expansion
            .matches("a::b::TaskGroup::<a::b::BoxError>")
            .count(),
        2,
        "{expansion}"
    );
    assert!(
        expansion
            .contains("loop{ifa::b::__private::closed(){a::b::__private::gate().await}work();}"),
        "{expansion}"
    );
}

#[test]
fn groups_know_the_names_around_them() {
    let expansion = attribute(
        "",
        "mod m {
            mod task {} struct r#type; fn spawn() {} fn timeout() -> ! {}
            async fn f(x: u32) {
                task_group!(|g| {
                    task::spawn(r#type, spawn(x));
                    timeout(d, &mut g);
                    loop { timeout(); }
                    task_group!(|h| { task::spawn(); Ok(()) }).await
                }).await
            }
        }",
    );
    assert_eq!(findings(&expansion), [""; 0], "{expansion}");
}

#[test]
fn groups_know_the_groups_around_them() {
    let spawn = |name: &str| format!("{name}.spawn(async {{ f()?; Ok(()) }});");
    let [a, b, c, d] = ["a", "b", "c", "d"].map(spawn);
    let expansion = attribute(
        "",
        &format!(
            "async fn f(g: &Group<'_, E>, d: Group<'_, D>) {{
                let a = g.clone();
                task_group!(|b| {{
                    {a} {b}
                    task_group!(error = C, |c| {{ {a} {b} {c} let d = 1; {d} Ok(()) }}).await;
                    let b = b.clone();
                    Ok(())
                }}).await
            }}"
        ),
    );
    let expansion = short(&expansion);
    let boxed = "::taskscope::Group<'_, ::taskscope::BoxError>";
    for (name, group, count) in [
        ("a", "Group<'_, E>", 2),
        ("b", boxed, 2),
        ("c", "::taskscope::Group<'_, C>", 1),
        ("d", "Group<'_, D>", 0),
    ] {
        let hinted = short(&format!(
            "{name}.spawn(P::HintOf::<{group}>::here().task(async {{"
        ));
        assert_eq!(
            expansion.matches(&hinted).count(),
            count,
            "{name}: {expansion}"
        );
    }
}

#[test]
fn what_macros_and_cleanups_spawn_is_hinted() {
    let spawn = "g.spawn(async { f()?; Ok(()) })";
    for body in [
        format!("race! {{ _ = f() => {{ {spawn}; }} }}"),
        format!("defer! {{ {spawn}; }} f().await"),
        format!("assert!({spawn}.is_ok());"),
    ] {
        let expansion = attribute("", &format!("async fn f(g: &Group<'_>) {{ {body} }}"));
        let hinted = "g.spawn(P::HintOf::<Group<'_>>::here().task(async{";
        assert!(short(&expansion).contains(&short(hinted)), "{expansion}");
    }
    let rebound = format!("let g = g.pool(); {spawn};");
    let expansion = attribute("", &format!("async fn f(g: &Group<'_>) {{ {rebound} }}"));
    assert!(!expansion.contains("HintOf"), "{expansion}");
}

#[test]
fn a_group_given_as_an_argument_is_named() {
    let item = "async fn f(n: u32, tasks: &Group<'_, Error>) { tokio::spawn(work()); }";
    let found = findings(&attribute("", item));
    assert!(
        found[0].contains("write`tasks.spawn(work())`,or"),
        "{found:?}"
    );
}

#[test]
fn a_renamed_crate_is_named() {
    let body =
        "tokio::select! { _ = f() => {} } std::thread::spawn(work); a::b::timeout(d, &mut f);";
    let found = in_function("crate = a::b", body);
    assert_eq!(found.len(), 3, "{found:#?}");
    for (finding, help) in
        found
            .iter()
            .zip(["`a::b::race!", "`a::b::blocking(work)", "`a::b::race!"])
    {
        assert!(finding.contains(help), "{finding}");
    }
}

#[test]
fn long_arguments_are_left_out() {
    let body = "tokio::spawn(async move { client.fetch(first_address, second_address).await });";
    assert_finds(body, "this function", "`g.spawn(…)`");
}

#[test]
fn findings_come_beside_the_rewritten_function() {
    let expansion = attribute(
        "",
        "async fn f() { tokio::spawn(g()).await; select! { _ = f() => {} } }",
    );
    assert_eq!(findings(&expansion).len(), 2, "{expansion}");
    let rewritten = "async fn f() { P::after(P::gate().await, tokio::spawn(g())).await; select! { _ = f() => {} } }";
    assert!(
        short(&expansion).starts_with(&short(rewritten)),
        "{expansion}"
    );
}

/// What a function warns of.
fn warnings(args: &str, body: &str) -> usize {
    let expansion = attribute(args, &format!("async fn f() {{ {body} }}"));
    short(&expansion).matches("::warnings::hard_drop;").count()
}

#[test]
fn streams_that_hold_futures() {
    let take = "while let Some(x) = all.next().await { f(x).await; }";
    for make in [
        "let mut all = FuturesUnordered::new();",
        "let mut all = futures::stream::FuturesOrdered::new();",
        "let mut all: FuturesUnordered<_> = FuturesUnordered::new();",
        "let mut all = x.collect::<FuturesUnordered<_>>();",
        "let mut all = x.map(f).buffer_unordered(3);",
        "let mut all = x.map(f).try_buffered(3);",
        "let mut all = pin!(x.buffered(n));",
    ] {
        let body = format!("{make} {take}");
        assert_eq!(warnings("", &body), 1, "{body}");
        assert_eq!(in_function("", &body), [""; 0]);
        assert_eq!(warnings("allow(hard_drop)", &body), 0, "{body}");
        assert_eq!(warnings("deny(hard_drop)", &body), 0, "{body}");
        let denied = in_function("deny(hard_drop)", &body);
        assert_eq!(denied.len(), 1, "{denied:?}");
        for text in ["`taskscope::TaskSet`", "remove`deny(hard_drop)`"] {
            assert!(denied[0].contains(text), "{denied:?}");
        }
        assert_eq!(warnings("", make), 0);
    }
    let make = "let mut all = x.buffered(3);";
    for (take, count) in [
        (
            "loop { let Some(x) = all.try_next().await? else { break }; }",
            1,
        ),
        ("loop { timeout(d, all.next()).await; }", 1),
        ("race! { Some(x) = all.next() => {} _ = f() => {} }", 1),
        ("for x in y { all.select_next_some().await; }", 1),
        ("all.next().await;", 0),
        ("while let Some(x) = chars.next() { f(x).await; }", 0),
        ("let all: Vec<_> = all.collect().await;", 0),
        ("loop { all.next(1).await; }", 0),
        ("fn inner() { loop { all.next().await; } }", 0),
    ] {
        assert_eq!(warnings("", &format!("{make} {take}")), count, "{take}");
    }
    assert_eq!(
        warnings(
            "",
            "struct FuturesUnordered; FuturesUnordered::new(); loop { x.next().await; }"
        ),
        0
    );
    assert_eq!(
        warnings("", &format!("a.buffered(1); {take} b.buffered(2);")),
        2
    );
}

#[test]
fn the_later_of_two_levels_holds() {
    let body = "tokio::spawn(f())";
    assert_eq!(
        in_function("allow(detached), deny(detached)", body).len(),
        1
    );
    assert_eq!(
        in_function("deny(detached), allow(detached)", body).len(),
        0
    );
    assert_eq!(in_function("deny(blocking, hard_drop)", body).len(), 1);
    let nested = "task_group!(allow(hard_drop), |g| { select! { _ = f() => {} } Ok(()) }).await";
    assert_eq!(in_function("deny(hard_drop)", nested).len(), 0);
}

#[test]
fn an_endless_loop_below_a_lock_has_no_checkpoint() {
    for head in [
        "match m.lock().unwrap().first() { _ => LOOP }",
        "if let Some(_) = m.borrow().first() { LOOP }",
        "for n in m.lock().unwrap().iter() { LOOP }",
        "while let Some(n) = m.lock().unwrap().pop() { LOOP }",
    ] {
        let found = |code: &str| in_function("loops", &head.replace("LOOP", code)).len();
        assert_eq!(found("loop { spin(); }"), 1, "{head}");
        assert_eq!(found("#[checkpoint] loop { spin(); }"), 0, "{head}");
        assert_eq!(found("drop(async { loop { spin(); } })"), 0, "{head}");
    }
    assert!(
        in_function(
            "loops",
            "if m.lock().unwrap().is_empty() { loop { spin(); } }"
        )
        .is_empty()
    );
}

#[test]
fn what_may_be_a_reader_is_a_lock_where_its_value_is_used_as_a_guard() {
    let is_locked = |head: &str| {
        let body = format!("{head} {{ loop {{ spin(); }} }}");
        !in_function("loops", &body).is_empty()
    };
    for head in [
        "for n in lock.read().unwrap().iter()",
        "for n in *cell.borrow()",
        "for n in cell.borrow().items",
        "if let Ok(items) = lock.write()",
        "if let Some(n) = lock.read()?.first()",
        "for n in Mutex::lock(m).unwrap().iter()",
        "for n in RwLock::read(&lock).unwrap().iter()",
        "for n in std::env::args()",
    ] {
        assert!(is_locked(head), "{head}");
    }
    for head in [
        "while let Some(n) = file.read()",
        "if let Some(n) = file.read()",
        "for n in file.read()",
        "for n in read(file)",
        "for n in pages::read(file)",
    ] {
        assert!(!is_locked(head), "{head}");
    }
    let found = |arms: &str| in_function("loops", &format!("match l.read() {{ {arms} }}")).len();
    assert_eq!(found("Ok(items) => loop { spin(); }, _ => {}"), 1);
    assert_eq!(found("Some(n) => loop { spin(); }, None => {}"), 0);
}

#[test]
fn a_stream_that_is_awaited_as_a_whole_loses_nothing() {
    let found = |made: &str| {
        let body = format!("while let Some(n) = rx.next().await {{ save(n).await; }} {made}");
        in_function("deny(hard_drop)", &body).len()
    };
    assert_eq!(found("x.buffered(2).collect().await"), 0);
    assert_eq!(
        found("x.map(page).try_buffered(2).map(f).collect().await"),
        0
    );
    assert_eq!(found("x.buffered(2).next().await"), 1);
    assert_eq!(found("let y = x.buffered(2); y.collect().await"), 1);
    assert_eq!(
        found("x.buffered(2).for_each(async |n| { y.buffered(n); }).await"),
        1
    );
}
