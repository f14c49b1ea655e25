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

/// How often it is reported that a function spawns itself, under `args`.
fn recursions(args: &str, item: &str) -> usize {
    attribute(args, item).matches("spawns itself").count()
}

#[test]
fn a_function_that_spawns_itself() {
    for body in [
        "g.spawn(walk(g.clone(), n));",
        "g.spawn_named(\"walk\", walk(g.clone(), n));",
        "g.spawn_scoped(walk(g.clone(), n));",
        "g.service(self::walk(g.clone(), n)); f().await;",
        "g.defer(walk(g.clone(), n));",
        "let h = g.clone(); h.spawn(walk(h.clone(), n));",
        "let p = g.reserve().await; p.spawn(walk(g, n));",
        "(&g).clone().spawn(walk(g, n));",
        "g.spawn({ let g = g.clone(); walk(g, n) });",
        "g.spawn(Box::pin(walk(g.clone(), n)));",
        "g.spawn(shield(walk(g.clone(), n)));",
        "g.spawn(async move { f().await; walk(g, n).await; });",
        "g.spawn(async move { for n in 0..n { Box::pin(walk(g, n)).await } });",
        "if n > 0 { match n { _ => { g.spawn(walk(g, n - 1)); } } }",
        "race! { () = f() => { g.spawn(walk(g, n)); } }",
        "task_group!(|h| { h.spawn(walk(h, n)); Ok(()) }).await",
        "task_group!(|g| { task_group!(|h| { g.spawn(walk(h, n)); Ok(()) }).await; Ok(()) }).await",
    ] {
        let item =
            |attrs: &str| format!("{attrs} async fn walk(g: Group<'static>, n: u32) {{ {body} }}");
        assert_eq!(
            recursions("", &item("#[doc = \"\"] #[instrument]")),
            1,
            "{body}"
        );
        assert_eq!(
            recursions("", &format!("mod m {{ {} }}", item("pub"))),
            1,
            "{body}"
        );
        assert!(attribute("", &item("")).contains("impl :: core :: future :: Future"));
        assert_eq!(recursions("send", &item("")), 0, "{body}");
        assert_eq!(recursions("", &item("#[async_recursion]")), 0, "{body}");
        assert_eq!(
            recursions("", &format!("impl S {{ {} }}", item(""))),
            0,
            "{body}"
        );
        let renamed = item("").replace("fn walk", "fn visit");
        assert_eq!(recursions("", &renamed), 0, "{body}");
    }
}

#[test]
fn a_method_that_spawns_itself() {
    for body in [
        "g.spawn(self.walk(g.clone()));",
        "g.spawn(self.clone().walk(g.clone()));",
        "g.spawn(Arc::clone(&self).walk(g.clone()));",
        "g.spawn(Self::walk(self, g.clone()));",
        "let this = self.clone(); g.spawn(this.walk(g.clone()));",
        "let this = Arc::clone(&self); g.spawn(async move { this.walk(g).await });",
    ] {
        let method = format!("async fn walk(self: Arc<Self>, g: Group<'static>) {{ {body} }}");
        let count = |container: &str| recursions("", &format!("{container} {{ {method} }}"));
        assert_eq!(recursions("", &method), 1, "{body}");
        assert_eq!(count("impl S"), 1, "{body}");
        assert_eq!(count("trait T"), 1, "{body}");
        // The type may have a method of that name itself.
        assert_eq!(count("impl T for S"), 0, "{body}");
        assert_eq!(count("#[async_trait] trait T"), 0, "{body}");
    }
}

#[test]
fn other_functions_of_the_same_name() {
    for body in [
        "async fn walk() {} g.spawn(walk());",
        "let walk = other; g.spawn(walk());",
        "use other::walk; g.spawn(walk());",
        "g.spawn(other::walk()); g.spawn(other.walk()); g.spawn(walk); g.spawn(walks(g));",
        "g.spawn(async { f(walk(g)).await; let w = walk(g); });",
        "g.spawn(async { async { walk(g).await }; });",
        "g.spawn(Box::pin(walk(g)) as Pin<Box<dyn Future + Send>>);",
        "g.spawn(boxed(walk(g))); walk(g).await; Box::pin(walk(g)).await;",
        "g.spawn_local(walk(g)); g.spawn_blocking(walk(g)); g.cancel(walk(g));",
        "pool.spawn(walk(g)); self.g.spawn(walk(g)); tasks().spawn(walk(g));",
        "let g = pool; g.spawn(walk(g));",
        "task_group!(local, |h| { h.spawn(walk(h)); Ok(()) }).await",
        "anything!(g.spawn(walk(g)));",
        "fn inner(g: Group) { g.spawn(walk(g)); }",
    ] {
        let item = format!("async fn walk(g: Group<'static>) {{ {body} }}");
        assert_eq!(recursions("", &item), 0, "{body}");
    }
    for item in [
        "async fn walk(g: LocalGroup) { g.spawn(walk(g)); }",
        "async fn walk(g: Pool) { g.spawn(walk(g)); }",
        "async fn walk(walk: F, g: Group) { g.spawn(walk(g)); }",
        "async fn walk(&self, g: Group) { g.spawn(walk(g)); }",
        "async fn walk(this: Self, g: Group) { g.spawn(walk(g)); }",
        "async fn walk(&self, o: Other, g: Group) { g.spawn(o.walk()); g.spawn(self.o.walk()); }",
        "mod m { struct Group; async fn walk(g: Group) { g.spawn(walk(g)); } }",
    ] {
        assert_eq!(recursions("", item), 0, "{item}");
    }
}
