//! `race!`: what it becomes, what `#[cancellable]` makes of it, and what it refuses.

use super::{assert_same, attribute, printed, short, tokens};

fn race(input: &str) -> String {
    crate::race::race(tokens(input)).to_string()
}

#[test]
fn futures_are_gone_before_the_handlers() {
    assert_same(
        &race("biased; Some(n) = f(&n), if (open) => n, else => 0"),
        "{
            #[allow(unused_mut)]
            let mut __taskscope_winner = {
                P::gate().await;
                let __taskscope_guard_0: bool = open;
                let __taskscope_future_0 = f(&n);
                let __taskscope_winner = match P::cons(
                    ::core::pin::pin!(P::race_branch(
                        (__taskscope_future_0),
                        __taskscope_guard_0,
                        |__taskscope_value| {
                            #[allow(unreachable_code, unreachable_patterns, unused_variables, unused_mut,
                                non_snake_case, clippy::all, clippy::pedantic, clippy::nursery)]
                            match *__taskscope_value {
                                Some(n) if { return true } => {}
                                _ => {}
                            }
                            false
                        }
                    )),
                    ()
                ) {
                    mut __taskscope_branches => match P::race(&mut __taskscope_branches, true).await {
                        ::core::option::Option::Some(0u16) => P::won(__taskscope_branches.head),
                        #[allow(unreachable_code)]
                        _ => P::Winner::Later(()),
                    }
                };
                __taskscope_winner
            };
            match __taskscope_winner {
                P::Winner::This(Some(n)) => n,
                P::Winner::Later(()) => 0,
                #[allow(unreachable_patterns)]
                _ => ::core::unreachable!(),
            }
        }",
    );
}

#[test]
fn each_branch_has_its_place() {
    let expansion = short(&race("a = f() => 1, b = g() => { 2 } c = h() => 3"));
    for part in [
        "P::Winner::This(a)=>1,",
        "P::Winner::Later(P::Winner::Later(P::Winner::This(c)))=>3,",
        "P::Winner::Later(P::Winner::Later(P::Winner::Later(())))=>P::all_disabled(),",
        "Some(2u16)=>P::Winner::Later(P::Winner::Later(P::won(__branches.rest.rest.head))),",
    ] {
        assert!(expansion.contains(part), "{part}: {expansion}");
    }
}

#[track_caller]
fn assert_rewritten(args: &str, body: &str, expected: &str) {
    let expansion = attribute(args, &format!("async fn f() {{ {body} }}"));
    assert_same(&expansion, &format!("async fn f() {{ {expected} }}"));
}

/// The expansion of `race! { input }` in annotated code.
fn in_place(input: &str) -> String {
    let expansion = race(input);
    let (braces, rest) = expansion.split_at(1);
    format!("{braces} race! {{ W }} {rest}")
}

#[test]
fn awaits_inside_get_gates() {
    let gated = |name: &str| format!("P::after(P::gate().await, {name}()).await");
    let [f, g, h, i] = ["f", "g", "h", "i"].map(gated);
    assert_rewritten(
        "",
        "let x = race! { biased; a = async { f().await }, if g().await => h().await, else => { i().await } };",
        &format!(
            "let x = {};",
            in_place(&format!(
                "biased; a = async {{ {f} }}, if {g} => {h}, else => {{ {i} }}"
            ))
        ),
    );
}

#[test]
fn a_race_is_expanded_where_it_stands() {
    let (race, expanded) = ("race!(a = f() => a)", in_place("a = f() => a"));
    for (body, expected) in [
        ("R;", "R;"),
        ("#[a] R;", "#[a] R;"),
        ("R + b", "(R) + b"),
        (
            "let Some(a) = R else { b };",
            "let Some(a) = (R) else { b };",
        ),
        ("println!(\"{}\", R)", "println!(\"{}\", R)"),
        ("race! { a = f() => a } b()", "{ R } b()"),
    ] {
        let body = body.replace('R', race);
        assert_rewritten("", &body, &expected.replace('R', &expanded));
    }
}

#[test]
fn a_renamed_crate_is_passed_on() {
    assert_rewritten(
        "crate = a::b",
        "race!(_ = f() => {});",
        &format!("{};", in_place("crate = a::b; _ = f() => {}")),
    );
    let expansion = short(&race("crate = a::b; _ = f() => {}"));
    assert!(expansion.contains("a::b::__private::race("), "{expansion}");
}

#[test]
fn other_races_are_left_alone() {
    for body in [
        "race! { a.await, b.await }",
        "other::race! { _ = f().await => {} }",
    ] {
        assert_rewritten("", body, body);
    }
}

#[test]
fn half_typed_handlers_are_kept() {
    let expansion = race("a = f() => { a. } b = g() => {}");
    assert!(!expansion.contains("compile_error"), "{expansion}");
    assert!(expansion.contains(&printed("=> { a. }")), "{expansion}");
}

#[test]
fn mistakes() {
    for (input, what) in [
        ("", "without branches"),
        ("biased;", "without branches"),
        ("complete => {}", "write `else => handler`"),
        ("x = f() => {} default => {}", "write `biased;`"),
        ("f() => {}", "expected `pattern = future => handler`"),
        ("x.f() => {}", "expected `pattern = future => handler`"),
        ("a", "expected `pattern = future => handler`"),
        ("a =", "unexpected end of input"),
        ("a = f()", "a branch without a handler"),
        ("a = f(), if b", "a branch without a handler"),
        ("a = f() =>", "a branch without a handler"),
        ("else", "a branch without a handler"),
        ("a = f() if b => {}", "expected `,` before the condition"),
        ("a if b = f() => {}", "comes after its future"),
        (
            "a = f() => g() b = h() => {}",
            "expected `,` between two branches",
        ),
        ("else => {} a = f() => {}", "behind the `else`"),
        ("else => {} else => {}", "behind the `else`"),
        ("biased a = f() => {}", "`biased` without `;`"),
        ("a = f() => {} biased;", "between the branches"),
    ] {
        let expansion = race(input);
        assert!(expansion.contains(what), "{input}: {expansion}");
        assert_eq!(expansion.matches("compile_error").count(), 1, "{expansion}");
    }
}
