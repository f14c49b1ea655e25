//! `#[cancellable(blocking)]`: loops that return.

use super::{assert_same, attribute, printed};

const REFUSE: &str = "if let Some(__cancelled) = P::refused() { return P::refuse(__cancelled); }";

#[track_caller]
fn assert_body(args: &str, body: &str, expected: &str) {
    let head = "fn f() -> io::Result<u32>";
    let expansion = attribute(args, &format!("{head} {{ {body} }}"));
    assert_same(&expansion, &format!("{head} {{ {expected} }}"));
}

#[test]
fn every_loop_but_the_unmarked() {
    assert_body(
        "blocking",
        "'a: loop { while x {} } for i in loop { break y } { i } #[no_checkpoint] loop {}",
        &format!(
            "'a: loop {{ {REFUSE} while x {{ {REFUSE} }} }}
            for i in loop {{ {REFUSE} break y }} {{ {REFUSE} i }} loop {{}}"
        ),
    );
}

#[test]
fn a_marker_is_taken_off() {
    assert_body(
        "blocking",
        "#[checkpoint] #[allow(unused)] loop {}",
        &format!("#[allow(unused)] loop {{ {REFUSE} }}"),
    );
}

#[test]
fn what_cannot_return_from_the_function_is_left() {
    let body = "let f = || loop {}; fn inner() { loop {} } const { loop {} };";
    assert_body("blocking", body, body);
}

#[test]
fn async_code_inside_has_its_own_checkpoints() {
    assert_body(
        "blocking",
        "block_on(async { #[checkpoint] loop { f().await } loop { break } })",
        "block_on(async {
            loop { if P::closed() { P::gate().await } P::after(P::gate().await, f()).await } loop { break }
        })",
    );
}

#[test]
fn a_container_has_both_kinds() {
    assert_same(
        &attribute(
            "blocking",
            "impl S {
                fn f() -> MyResult { loop {} }
                fn plain() -> u32 { loop {} }
                fn boxed() -> BoxFuture<u32> { Box::pin(async { f().await }) }
                async fn g() { f().await; loop { break } }
                #[cancellable] fn own() -> Result<()> { loop {} }
            }",
        ),
        &format!(
            "impl S {{
                fn f() -> MyResult {{ loop {{ {REFUSE} }} }}
                fn plain() -> u32 {{ loop {{}} }}
                fn boxed() -> BoxFuture<u32> {{ Box::pin(async {{ f().await }}) }}
                async fn g() {{ P::after(P::gate().await, f()).await; loop {{ break }} }}
                #[cancellable] fn own() -> Result<()> {{ loop {{}} }}
            }}"
        ),
    );
}

#[test]
fn mistakes() {
    for (item, what) in [
        (
            "async fn f() -> Result<()> {}",
            "`blocking` on an `async fn`",
        ),
        ("fn f() {}", "returns no `Result`"),
        ("fn f() -> (Result<()>,) {}", "returns no `Result`"),
        (
            "fn f() -> std::option::Option<()> {}",
            "returns no `Result`",
        ),
        ("const fn f() -> Result<()> {}", "on a `const fn`"),
        ("fn f(&self) -> Result<()>;", "without a body"),
        (
            "fn f() -> Result<()> { defer! {} }",
            "`defer!` in code that is not async",
        ),
        (
            "fn f() -> Result<()> { || { #[checkpoint] loop {} } }",
            "in a closure of a blocking function",
        ),
    ] {
        let expansion = attribute("blocking", item);
        assert!(expansion.contains(what), "{item}: {expansion}");
        assert_eq!(
            expansion.matches("compile_error ! {").count(),
            1,
            "{expansion}"
        );
        assert!(expansion.contains("fn f"), "{expansion}");
    }
}

#[test]
fn half_typed_functions_stay_as_they_are() {
    for item in [
        "fn f() -> Result<()> { for i in }",
        "fn f() -> Result<()> { loop { x. } }",
        "fn f() -> Result<()> { let x = }",
        "fn f() -> { loop {} }",
        "fn f() -> Result<",
        "pub fn",
    ] {
        assert_eq!(attribute("blocking", item), printed(item), "{item}");
    }
}
