//! `#[cancellable(send)]`: the future in the signature.

use super::{assert_same, attribute, printed, without_refusal};

const FUTURE: &str = "impl ::core::future::Future<Output = u8> + ::core::marker::Send";

fn body(lets: &str, block: &str) -> String {
    format!(
        "async move {{
            if let Some(__output) = None::<u8> {{ return __output; }}
            {lets}
            #[allow(clippy::diverging_sub_expression)]
            let __output: u8 = {{ {block} }};
            #[allow(unreachable_code)]
            {{ __output }}
        }}"
    )
}

#[test]
fn arguments_move_in() {
    assert_same(
        &attribute(
            "send",
            "/// Docs
            pub async fn f<T>(mut self, a: T, mut b: u8, _: u8, (c, _): P, #[cfg(x)] d: u8) -> u8
            where T: Send { #![allow(unused)] g().await }",
        ),
        &format!(
            "/// Docs
            pub fn f<T>(mut self, a: T, b: u8, __argument_3: u8, __argument_4: P, #[cfg(x)] d: u8)
                -> {FUTURE}
            where T: Send {{ #![allow(unused)] {} }}",
            body(
                "let _ = &self;
                let a = a;
                let mut b = b;
                let __argument_3 = __argument_3; let _ = __argument_3;
                let __argument_4 = __argument_4; let (c, _) = __argument_4;
                #[cfg(x)] let d = d;",
                "P::after(P::gate().await, g()).await"
            )
        ),
    );
}

#[test]
fn a_trait_with_all_kinds_of_methods() {
    assert_same(
        &attribute(
            "send",
            "trait T {
                async fn declared(&self, _: u8) -> u8;
                async fn default() -> u8 { 1 }
                fn plain();
                #[cancellable] async fn own();
            }",
        ),
        &format!(
            "trait T {{
                fn declared(&self, _: u8) -> {FUTURE};
                fn default() -> {FUTURE} {{ {} }}
                fn plain();
                #[cancellable] async fn own();
            }}",
            body("", "1")
        ),
    );
}

#[test]
fn a_method_without_a_body() {
    assert_same(
        &attribute("send", "async fn f(&self) -> u8;"),
        &format!("fn f(&self) -> {FUTURE};"),
    );
}

#[test]
fn without_a_type_and_without_an_end() {
    let unit = attribute("send", "async fn f() {}");
    assert!(unit.contains("Output = ()"), "{unit}");
    let never = attribute("send, crate = a::b", "async fn f() -> ! { loop {} }");
    assert!(
        never.contains("Output = a :: b :: __private :: Never"),
        "{never}"
    );
}

#[test]
fn mistakes() {
    for (args, item, what) in [
        (
            "send",
            "fn f() {}",
            "`send` on a function that is not async",
        ),
        ("send", "fn f();", "`send` on a function that is not async"),
        (
            "send, blocking",
            "fn f() -> Result<()> {}",
            "that is not async",
        ),
        (
            "send",
            "#[async_trait] impl T for f { async fn g() {} }",
            "beside `#[async_trait]`",
        ),
        ("sent", "async fn f() {}", "write `send`"),
    ] {
        let expansion = attribute(args, item);
        assert!(expansion.contains(what), "{item}: {expansion}");
        assert_eq!(expansion.matches("compile_error").count(), 1, "{expansion}");
    }
}

#[test]
fn half_typed_functions_stay_as_they_are() {
    for item in [
        "async fn f() -> u8 { x. }",
        "async fn f(a: u8, b) -> u8 { a }",
        "async fn f(a: u8,",
        "async fn f() -> { g().await }",
        "async fn f() -> u8 { let x = }",
        "trait T { async fn f(&self) }",
        "impl T for S { async fn f(&self) { self. } }",
    ] {
        if let Ok(tokens) = item.parse::<proc_macro2::TokenStream>() {
            let kept = without_refusal(&attribute("send", item));
            assert_eq!(kept, tokens.to_string(), "{item}");
            assert_eq!(printed(item), tokens.to_string());
        }
    }
}
