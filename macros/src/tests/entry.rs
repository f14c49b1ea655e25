//! `main` and `test`: what they become, and what they refuse.

use super::{assert_same, printed, tokens, without_refusal};
use crate::entry::{self, EntryKind};

fn entry(kind: EntryKind, args: &str, item: &str) -> String {
    entry::entry(kind, tokens(args), tokens(item)).to_string()
}

fn main(args: &str, item: &str) -> String {
    entry(EntryKind::Main, args, item)
}

fn test(args: &str, item: &str) -> String {
    entry(EntryKind::Test, args, item)
}

#[test]
fn main_runs_its_body() {
    assert_same(
        &main("", "/// Docs\n pub async fn main() -> R { f().await }"),
        "/// Docs
        pub fn main() -> R {
            async fn __taskscope_body() -> R { P::after(P::gate().await, f()).await }
            P::Main::new().run(__taskscope_body())
        }",
    );
}

#[test]
fn options_are_calls() {
    assert_same(
        &main(
            "grace = d(1), flavor = \"current_thread\", stuck_after = A * 2, crate = a::b",
            "async fn main() {}",
        ),
        "fn main() {
            async fn __taskscope_body() {}
            a::b::__private::Main::new()
                .flavor_current_thread().grace(d(1)).stuck_after(A * 2)
                .run(__taskscope_body())
        }",
    );
    assert_same(
        &test(
            "worker_threads = 3, flavor = \"multi_thread\"",
            "#[should_panic] async fn r#match() {}",
        ),
        "#[::core::prelude::v1::test]
        #[should_panic]
        fn r#match() {
            async fn __taskscope_body() {}
            P::Test::new(\"match\").flavor_multi_thread().worker_threads(3)
                .run(__taskscope_body())
        }",
    );
}

#[test]
fn the_default_flavor_is_not_said() {
    for (expansion, new) in [
        (
            main("flavor = \"multi_thread\"", "async fn f() {}"),
            "Main :: new () . run",
        ),
        (
            test("flavor = \"current_thread\"", "async fn f() {}"),
            "Test :: new (\"f\") . run",
        ),
    ] {
        assert!(expansion.contains(new), "{expansion}");
    }
}

#[test]
fn the_body_is_rewritten_once() {
    assert_same(
        &main("", "#[cancellable(loops)] async fn main() { f().await }"),
        "fn main() {
            #[cancellable(loops)] async fn __taskscope_body() { f().await }
            P::Main::new().run(__taskscope_body())
        }",
    );
    let above = super::attribute(
        "",
        "#[main] async fn main() { defer! { g().await; } f().await }",
    );
    let below = main("", &above.replace("# [main]", ""));
    assert_eq!(above.matches("gate").count(), 2, "{above}");
    assert_eq!(below.matches("gate").count(), 2, "{below}");
}

#[test]
fn mistakes() {
    for (expansion, what) in [
        (main("", "fn main() {}"), "not async"),
        (main("", "async fn main(args: Args) {}"), "with arguments"),
        (main("", "async fn main<T>() {}"), "a generic function"),
        (main("", "async fn main();"), "a function without a body"),
        (main("", "struct S;"), "on `struct`"),
        (main("", "mod m {}"), "on a block of items"),
        (
            main("", "#[tokio::main] async fn f() {}"),
            "remove `#[tokio::main]`",
        ),
        (test("", "#[test] async fn f() {}"), "remove `#[test]`"),
        (
            main("flavor = \"multithread\"", "async fn f() {}"),
            "write `\\\"multi_thread\\\"`",
        ),
        (main("flavor = MULTI", "async fn f() {}"), "unknown flavor"),
        (
            test("worker_threads = 2", "async fn f() {}"),
            "without worker threads",
        ),
        (
            test(
                "flavor = \"multi_thread\", start_paused = true",
                "async fn f() {}",
            ),
            "with several threads",
        ),
        (main("grase = d", "async fn f() {}"), "write `grace`"),
        (test("drain = d", "async fn f() {}"), "remove `drain`"),
        (main("allow(signal)", "async fn f() {}"), "write `signals`"),
        (
            main("allow(detached)", "async fn f() {}"),
            "write `#[cancellable(allow(detached))]`",
        ),
        (main("allow", "async fn f() {}"), "write `allow(signals)`"),
        (main("alow(signals)", "async fn f() {}"), "write `allow`"),
        (main("signals", "async fn f() {}"), "write `allow(signals)`"),
        (
            super::attribute("allow(signals)", "async fn f() {}"),
            "write `#[taskscope::main(allow(signals))]`",
        ),
        (
            main("drain", "async fn f() {}"),
            "option `drain` without a value",
        ),
        (
            main("drain =", "async fn f() {}"),
            "unexpected end of input",
        ),
    ] {
        assert!(expansion.contains(what), "{what}: {expansion}");
        assert_eq!(expansion.matches("compile_error").count(), 1, "{expansion}");
    }
}

#[test]
fn half_typed_bodies_stay_as_they_are() {
    for body in [
        "{ text. }",
        "{ let x = }",
        "{ defer! }",
        "{ f(a, .) }",
        "{ @ }",
    ] {
        for expansion in [
            main("", &format!("async fn main() {body}")),
            test("start_paused = true", &format!("async fn main() {body}")),
        ] {
            assert!(expansion.contains("fn main ()"), "{expansion}");
            let kept = without_refusal(&expansion);
            assert!(kept.contains(&printed(body)), "{expansion}");
            assert_ne!(kept, expansion);
            assert!(!expansion.contains("compile_error ! {"), "{expansion}");
        }
    }
}

#[test]
fn half_typed_heads_stay_as_they_are() {
    for item in [
        "",
        "async",
        "async fn",
        "async fn main",
        "async fn main() ->",
        "pub(in)",
    ] {
        assert_eq!(main("", item), printed(item), "{item}");
        assert_eq!(test("", item), printed(item), "{item}");
    }
}

/// The findings of `signals` in a `main`, whoever rewrites its body.
#[track_caller]
fn assert_signals(body: &str, count: usize) {
    let item = format!("async fn main() {{ {body} }}");
    let rewritten = super::attribute("allow(detached, blocking, hard_drop)", &item);
    for (args, item, count) in [
        ("", item.clone(), count),
        ("", format!("#[cancellable] {item}"), count),
        ("", rewritten, count),
        ("allow(signals)", item.clone(), 0),
    ] {
        let expansion = main(args, &item);
        let found = expansion.matches("itself\\n").count();
        assert_eq!(found, count, "{item}: {expansion}");
    }
    let of_test = test("", &item);
    assert!(!of_test.contains("itself\\n"), "{of_test}");
}

#[test]
fn signals_that_main_handles() {
    for body in [
        "tokio::signal::ctrl_c().await?;",
        "::tokio::signal::ctrl_c().await?;",
        "signal::ctrl_c().await?;",
        "use tokio::signal; signal::ctrl_c().await?;",
        "use tokio::signal::ctrl_c; ctrl_c().await?;",
        "use tokio::signal::ctrl_c as interrupted; let f = interrupted; f().await",
        "tokio::signal::windows::ctrl_c()?.recv().await;",
        "let mut term = signal(SignalKind::terminate())?; term.recv().await;",
        "tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())?;",
        "use tokio::signal::unix as u; u::signal(u::SignalKind::terminate())?;",
        "let stop = async { signal::ctrl_c().await.unwrap() }; stop.await",
        "let stop = || signal::ctrl_c(); stop().await",
        "race! { r = serve() => r?, _ = tokio::signal::ctrl_c() => flush().await }",
        "race! { r = serve() => r?, x = stop => { signal::ctrl_c().await; } else => {} }",
        "println!(\"{:?}\", signal::ctrl_c().await);",
        "join!(serve(), signal::ctrl_c());",
        "defer! { signal::ctrl_c().await; } serve().await",
        "task_group!(limit = 2, |g| { g.spawn(async { signal::ctrl_c().await }); Ok(()) }).await",
        "task_group!(|g| { use tokio::signal::ctrl_c; ctrl_c().await; Ok(()) }).await",
        "task_group!(|g| { task_group!(|h| { signal::ctrl_c().await; Ok(()) }).await; Ok(()) }).await",
    ] {
        assert_signals(body, 1);
    }
    let both = "race! {
        _ = tokio::signal::ctrl_c() => {}
        _ = async { signal(SignalKind::terminate()).unwrap().recv().await } => {}
    }";
    assert_signals(both, 2);
    let selected = "tokio::select! { _ = signal::ctrl_c() => {} }";
    assert!(main("", &format!("async fn main() {{ {selected} }}")).contains("itself\\n"));
}

#[test]
fn signals_that_main_leaves_alone() {
    for body in [
        "shutdown_signal().await; ctrl_c().await; taskscope::stopping().await;",
        "signal(SignalKind::hangup())?.recv().await;",
        "kill(pid, SignalKind::terminate().as_raw_value());",
        "async fn shutdown_signal() { tokio::signal::ctrl_c().await.unwrap() }",
        "mod signal { pub fn ctrl_c() {} } signal::ctrl_c();",
        "use keys as signal; signal::ctrl_c(); self::signal::ctrl_c(); keys::ctrl_c();",
        "let signal = |kind: SignalKind| kind; signal(SignalKind::terminate());",
        "editor.signal(SignalKind::terminate()); my::emit(SignalKind::terminate());",
        "anything!(tokio::signal::ctrl_c());",
    ] {
        assert_signals(body, 0);
    }
}
