//! Which `defer!` and the like are taken for ours, and the witness that is left of them.

use super::{attribute, short, tokens};
use crate::check::stray_guard;
use crate::syntax::witness;

fn is_taken(args: &str, item: &str) -> bool {
    short(&attribute(args, item)).contains("defer!{W}")
}

#[test]
fn a_witness_is_accepted_and_nothing_else() {
    let witness = |name| witness::input(&syn::parse_str(name).unwrap()).to_string();
    let accepted = |name, input: &str| {
        let rest = witness::accept(name, &tokens(input));
        rest.map(|rest| rest.to_string())
    };
    let input = witness("defer");
    assert_eq!(accepted("defer", &input).as_deref(), Some(""));
    assert_eq!(accepted("defer", &witness("a::defer")).as_deref(), Some(""));
    assert_eq!(
        accepted("defer", &format!("{input} ()")).as_deref(),
        Some("()")
    );
    for other in [
        "",
        "close().await",
        "::core::compile_error!(\"this `defer!`\")",
        &witness("on_cancel"),
        &format!("() {input}"),
    ] {
        assert_eq!(accepted("defer", other), None, "{other}");
    }
    assert!(stray_guard("defer", &tokens(&input)).is_empty());
    let stray = stray_guard("defer", &tokens("close()")).to_string();
    for text in [
        "no `#[cancellable]` has taken up",
        "above attributes that move the body",
        "`ts::defer!` only with",
        "not inside another macro, such as `stream!`",
    ] {
        assert!(stray.contains(text), "{stray}");
    }
}

#[test]
fn guards_in_a_generator_are_refused_once() {
    let inside = |path: &str, code: &str| {
        attribute(
            "",
            &format!("async fn f() {{ use scopeguard::guard; {path}! {{ {code} }} }}"),
        )
    };
    for path in [
        "stream",
        "async_stream::stream",
        "try_stream",
        "::async_stream::try_stream",
        "genawaiter::sync::r#gen",
    ] {
        for code in [
            "defer! { c().await; } yield 1;",
            "if x != (y) { a::b!(taskscope::defer! { c(); }); }",
            "for await x in y { on_cancel! {} z::m!{}; scopeguard::defer! {} }",
        ] {
            let expansion = inside(path, code);
            assert_eq!(
                expansion.matches("consumer of a stream").count(),
                1,
                "{expansion}"
            );
            assert_eq!(short(&expansion).matches("{W}").count(), 1, "{expansion}");
        }
    }
    for (path, code) in [
        (
            "stream",
            "scopeguard::defer! {} self::defer! {} let defer = !{ x };",
        ),
        (
            "stream",
            "#[cancellable] async fn g() { defer! { c(); } h() }",
        ),
        ("other", "defer! { c(); } g()"),
    ] {
        let expansion = inside(path, code);
        assert!(short(&expansion).contains(&short(code)), "{expansion}");
        assert!(!expansion.contains("compile_error"), "{expansion}");
    }
    let own = "mod m { macro_rules! stream { () => {} } async fn f() { stream! { defer! {} } } }";
    assert!(!attribute("", own).contains("compile_error"));
}

#[test]
fn a_bare_name_is_ours_unless_the_code_says_otherwise() {
    let function = |imports: &str| format!("async fn f() {{ {imports} defer! {{ c(); }} g() }}");
    for imports in [
        "",
        "use taskscope::defer;",
        "use taskscope::{defer, race};",
        "use crate::prelude::defer;",
        "use super::{self, defer};",
        "use scopeguard::*;",
        "use scopeguard::defer as guard;",
        "mod defer {} struct race;",
        "fn inner() { use scopeguard::defer; }",
    ] {
        assert!(is_taken("", &function(imports)), "{imports}");
    }
    for imports in [
        "use scopeguard::defer;",
        "use a::{b::{defer}};",
        "use a::b as defer;",
        "macro_rules! defer { () => {} }",
        "#[macro_use] mod a { macro_rules! defer { () => {} } }",
    ] {
        assert!(!is_taken("", &function(imports)), "{imports}");
        let module = format!("mod m {{ {imports} async fn f() {{ defer! {{ c(); }} g() }} }}");
        assert!(!is_taken("", &module), "{module}");
    }
    let own = function("use scopes::defer;");
    assert!(is_taken("crate = scopes", &own) && !is_taken("", &own));
    let nearer =
        "mod m { use scopeguard::defer; async fn f() { use taskscope::defer; defer! {} g() } }";
    assert!(is_taken("", nearer));
}

#[test]
fn one_of_several_imports_may_be_ours() {
    for imports in [
        "use taskscope::defer; use functions::defer;",
        "use functions::defer; use taskscope::defer;",
        "use crate::prelude::*; use {super::defer, functions::defer};",
    ] {
        let module = format!("mod m {{ {imports} async fn f() {{ defer! {{ c(); }} g() }} }}");
        assert!(is_taken("", &module), "{module}");
    }
}

#[test]
fn a_race_or_a_group_is_ours_unless_declared() {
    let taken = |name: &str, body: &str| {
        let expansion = short(&attribute("", &format!("mod m {{ {body} }}")));
        expansion.contains(&format!("{name}!{{W}}"))
    };
    for (name, input) in [("race", "x = a() => x"), ("task_group", "|_| Ok(())")] {
        let call = format!("async fn f() {{ {name}!({input}) }}");
        for imports in [
            "",
            "use taskscope::{N};",
            "use prelude::{N};",
            "use functions::{N}; use taskscope::*;",
        ] {
            let imports = imports.replace("{N}", name);
            assert!(taken(name, &format!("{imports} {call}")), "{imports}");
        }
        let declared = format!("macro_rules! {name} {{ () => {{}} }} {call}");
        assert!(!taken(name, &declared), "{declared}");
    }
}

#[test]
fn a_race_or_a_group_that_reads_otherwise_is_left_alone() {
    for call in [
        "task_group!(g, [a, b])",
        "task_group! { name: g }",
        "race!(g, a; b)",
        "race! { g: a }",
    ] {
        let expansion = attribute("", &format!("async fn f(g: &Group<'_>) {{ {call} }}"));
        assert!(short(&expansion).contains(&short(call)), "{expansion}");
        assert!(!expansion.contains("taskscope"), "{expansion}");
    }
}

#[test]
fn a_group_or_a_shield_is_ours_by_its_name_and_crate() {
    let is_entered = |before: &str, awaited: &str| {
        let expansion = attribute(
            "",
            &format!("mod m {{ {before} async fn f() {{ {awaited}.await }} }}"),
        );
        !short(&expansion).contains("P::after")
    };
    for awaited in [
        "shield(f())",
        "taskscope::shield(f())",
        "::taskscope::prelude::shield(f())",
        "TaskGroup::new().run(f)",
        "TaskGroup::<E>::new().run(f)",
        "taskscope::TaskGroup::new().run(f)",
        "<TaskGroup>::new().run(f)",
        "<taskscope::TaskGroup<E> as Default>::default().run(f)",
        "Pin::new(&mut shield(f()))",
    ] {
        assert!(is_entered("", awaited), "{awaited}");
        assert!(
            is_entered("use crate::prelude::{shield, TaskGroup};", awaited),
            "{awaited}"
        );
    }
    for awaited in [
        "bank::shield(f())",
        "bank::shield::charge()",
        "shield::charge()",
        "self::shield(f())",
        "bank::TaskGroup::new().run(f)",
        "TaskGroup::models::find()",
        "<bank::TaskGroup>::new().run(f)",
        "<[TaskGroup]>::len(f)",
        "bank::pin(shield(f()))",
        "pin::charge(shield(f()))",
        "bank::task_group!(f())",
        "task_group::of!(f())",
    ] {
        assert!(!is_entered("", awaited), "{awaited}");
    }
    for (own, awaited) in [
        ("async fn shield() {}", "shield()"),
        ("use bank::shield;", "shield()"),
        ("struct TaskGroup;", "TaskGroup::new()"),
        ("use bank::TaskGroup;", "<TaskGroup>::new()"),
    ] {
        assert!(!is_entered(own, awaited), "{own}");
    }
}

#[test]
fn a_path_is_ours_by_its_crate() {
    for path in ["taskscope", "::taskscope", "a::taskscope", "taskscope::a"] {
        let item =
            format!("async fn f() {{ use scopeguard::defer; {path}::defer! {{ c(); }} g() }}");
        assert!(is_taken("", &item), "{path}");
    }
    for path in ["scopeguard", "crate", "self::guards", "::scopeguard"] {
        assert!(!is_taken(
            "",
            &format!("async fn f() {{ {path}::defer! {{ c(); }} g() }}")
        ));
    }
}
