//! `join!` and `try_join!`: what they become, as the runtime's macros call them.

use super::{assert_same, printed, short, tokens};

fn join(input: &str) -> String {
    crate::join::join(tokens(input)).to_string()
}

fn try_join(input: &str) -> String {
    crate::join::try_join(tokens(input)).to_string()
}

#[test]
fn values_become_a_tuple() {
    assert_same(
        &join("f::<A, B>(), (async |a, b| a)(1, 2),"),
        "match P::after(P::gate().await, P::cons(
            ::core::pin::pin!(P::branch(f::<A, B>())),
            P::cons(::core::pin::pin!(P::branch((async |a, b| a)(1, 2))), ())
        )) {
            mut __taskscope_branches => match P::join(&mut __taskscope_branches).await {
                #[allow(unreachable_code)]
                _ => P::values(move || (
                    P::value(__taskscope_branches.head),
                    P::value(__taskscope_branches.rest.head),
                )),
            }
        }",
    );
}

#[test]
fn error_is_taken_from_the_branch_that_failed() {
    assert_same(
        &try_join("a, b"),
        "match P::after(P::gate().await, P::cons(
            ::core::pin::pin!(P::try_branch(a)),
            P::cons(::core::pin::pin!(P::try_branch(b)), ())
        )) {
            mut __taskscope_branches => match P::try_join(&mut __taskscope_branches).await {
                Some(0u16) => ::core::result::Result::Err(P::error(__taskscope_branches.head)),
                Some(1u16) => ::core::result::Result::Err(P::error(__taskscope_branches.rest.head)),
                #[allow(unreachable_code)]
                _ => ::core::result::Result::Ok(P::values(move || (
                    P::success(__taskscope_branches.head),
                    P::success(__taskscope_branches.rest.head),
                ))),
            }
        }",
    );
}

#[test]
fn crate_is_the_one_of_the_runtime() {
    let expansion = short(&join("crate = a::b; f()"));
    assert!(
        expansion.contains("a::b::__private::branch(f())"),
        "{expansion}"
    );
}

#[test]
fn half_typed_branches_are_kept() {
    let expansion = join("a., f(b), c +");
    assert!(!expansion.contains("compile_error"), "{expansion}");
    for branch in ["branch (a .)", "branch (f (b))", "branch (c +)"] {
        assert!(expansion.contains(&printed(branch)), "{expansion}");
    }
}

#[test]
fn missing_comma_is_reported() {
    let expansion = join("f() g()");
    assert!(expansion.contains("expected `,`"), "{expansion}");
}
