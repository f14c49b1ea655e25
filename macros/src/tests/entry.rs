//! `main` and `test`: what they become, and what they refuse.

use super::{assert_same, printed, tokens, without_refusal};
use crate::entry::{self, Kind};

fn entry(kind: Kind, args: &str, item: &str) -> String {
    entry::entry(kind, tokens(args), tokens(item)).to_string()
}

fn main(args: &str, item: &str) -> String {
    entry(Kind::Main, args, item)
}

fn test(args: &str, item: &str) -> String {
    entry(Kind::Test, args, item)
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
