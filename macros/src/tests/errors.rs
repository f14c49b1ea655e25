//! Many small mistakes: each is reported once, beside the item.

use super::{attribute, group};

// Those that are reported here: a witness has another delimiter.
fn mistakes(expansion: &str) -> usize {
    expansion.matches("compile_error ! {").count()
}

#[track_caller]
fn assert_one(args: &str, item: &str, what: &str) {
    let expansion = attribute(args, item);
    assert!(expansion.contains(what), "{expansion}");
    assert_eq!(mistakes(&expansion), 1, "{expansion}");
}

#[test]
fn options() {
    let item = "async fn f() {}";
    assert_one("lops", item, "help: write `loops`");
    assert_one("quiet", item, "help: remove `quiet`");
    assert_one("loops, loops", item, "option `loops` is given twice");
    assert_one("loops = true", item, "option `loops` takes no value");
    assert_one("loops(all)", item, "option `loops` takes no value");
    assert_one("loops blocking", item, "expected `,` behind an option");
    assert_one("loops; send", item, "expected `,` behind an option");
    assert_one("allow", item, "`allow` without the name of a check");
    assert_one("allow()", item, "`allow` without the name of a check");
    assert_one("deny", item, "help: write `deny(detached)`");
    assert_one("hard_drop", item, "help: write `allow(hard_drop)`");
    assert_one("\"loops\"", item, "help: write `loops`, without quotes");
    assert_one("3", item, "help: the options here are `loops`");
    assert_one("crate = \"a::b\"", item, "help: write `crate = a::b`");
    assert_one("crate = 3", item, "help: write `crate = path`");
    assert_one("crate", item, "option `crate` without a value");
    assert_one("allow(hard_drops)", item, "help: write `hard_drop`");
    let spawns = "async fn f() { tokio::spawn(g()); }";
    assert_one("allow(detached blocking)", spawns, "expected `,` behind");
    assert_eq!(mistakes(&attribute("lops, quiet(a, b), loops", item)), 2);
    assert_eq!(
        mistakes(&attribute(
            "loops, allow(detached, blocking,), crate = a::b",
            item
        )),
        0
    );
}

#[test]
fn items() {
    assert_one("", "fn f() {}", "not async");
    assert_one("", "const fn f() {}", "on a `const fn`");
    assert_one(
        "",
        "fn f() -> impl Stream<Item = u8> {}",
        "returns a stream",
    );
    assert_one(
        "",
        "fn f() -> BoxStream<'static, u8> {}",
        "returns a stream",
    );
    assert_one("", "fn f() -> TcpStream {}", "not async");
    assert_one("", "pub struct S { f: u32 }", "on `struct`");
    assert_one("", "#[doc = \"fn\"] enum E { A(fn()) }", "on `enum`");
    assert_one("", "const F: fn() = f;", "on `const`");
    assert_one("", "async fn f(&self);", "without a body");
    assert_one(
        "",
        "#[taskscope::cancellable] async fn f() {}",
        "given twice",
    );
}

#[test]
fn all_mistakes_of_a_body_together() {
    let expansion = attribute(
        "nonsense",
        "async fn f() {
            defer! { return; x?; break; }
            || { defer! {} 1 };
            || { #[checkpoint] loop {} };
            { defer! {} }
            f(defer! {});
        }",
    );
    assert_eq!(mistakes(&expansion), 8, "{expansion}");
    assert!(expansion.starts_with("async fn f ()"), "{expansion}");
}

#[test]
fn jumps_within_a_cleanup_are_fine() {
    let expansion = attribute(
        "",
        "async fn f() {
            defer! {
                loop { break; }
                'a: { break 'a; }
                async { return; };
                let f = || -> Option<()> { x?; None };
            }
            1
        }",
    );
    assert_eq!(mistakes(&expansion), 0, "{expansion}");
}

#[test]
fn group_bodies_without_a_value() {
    let no_value = "ends without a value";
    let handle = "handle of a task";
    for (body, what) in [
        ("|g| {}", no_value),
        ("|g| { let a; }", no_value),
        ("|g| { let a = g.spawn(f()); }", no_value),
        ("|g| { g.spawn(f()); }", no_value),
        ("|g| { g.spawn(f()).await?; }", no_value),
        ("|g| { g.defer(f()) }", no_value),
        ("|g| { for a in b { return Ok(()); } }", no_value),
        ("|g| { while a() {} }", no_value),
        ("|g| { if a { return Ok(()); } }", no_value),
        ("|g| { a()?; println!(); }", no_value),
        ("|g| { let (a, b) = f(); g.spawn(a); }", no_value),
        ("|g| g.spawn(f())", handle),
        ("|g| g.spawn_blocking(f)", handle),
        ("|g: &Group<'_>| { a(); g.service(f()) }", handle),
    ] {
        let expansion = group(body);
        assert_eq!(mistakes(&expansion), 1, "{expansion}");
        assert!(expansion.contains(what), "{expansion}");
    }
    // What may have a value, or never gets there.
    for body in [
        "|g| { f() }",
        "|g| { f(); }",
        "|g| { f().await?; }",
        "|g| { let a = f(); }",
        "|g| { let g = f(); g.h(); }",
        "|g| { let (a, g) = f(); g.h(); }",
        "|g| { loop { f().await } }",
        "|g| { return Ok(()); }",
        "|g| { bail!(1); }",
        "|g| { if a { f() } else { f() } }",
        "|g| { g.map(f) }",
        "|g| -> Out { g.spawn(f()); }",
    ] {
        let expansion = group(body);
        assert_eq!(mistakes(&expansion), 0, "{expansion}");
    }
}

#[test]
fn group_options() {
    for (input, what) in [
        ("nam = 1, |g| { Ok(()) }", "help: write `name`"),
        ("size = f(a, b), |g| { Ok(()) }", "help: remove `size`"),
        (
            "local = true, |g| { Ok(()) }",
            "option `local` takes no value",
        ),
        (
            "limit = 1, limit = 2, |g| { Ok(()) }",
            "option `limit` is given twice",
        ),
        ("limit = 1", "without a body"),
        ("async |g| { Ok(()) }", "the body is async as it is"),
        ("limit 3, |g| { Ok(()) }", "option `limit` without a value"),
        (
            "timeout = limit |g| { Ok(()) }",
            "write `,` in front of the `|`",
        ),
        ("limit = a | b", "without a body"),
        ("|g| { Ok(()) }, limit = 3", "options stand in front of it"),
        ("{ Ok(()) }", "without a body"),
        ("g => { Ok(()) }", "without a body"),
        ("limit = 1, body", "without a body"),
        ("|| { Ok(()) }", "takes one argument"),
        ("|g, h| { Ok(()) }", "takes one argument"),
        (
            "\"shop\", |g| { Ok(()) }",
            "help: write `name = \\\"shop\\\"`",
        ),
        ("error = 3, |g| { Ok(()) }", "option `error` takes a type"),
        ("limit = 3; |g| { Ok(()) }", "expected `,` behind an option"),
        ("crate = \"a\", |g| { Ok(()) }", "help: write `crate = a`"),
    ] {
        let expansion = group(input);
        assert!(expansion.contains(what), "{expansion}");
        assert_eq!(mistakes(&expansion), 1, "{expansion}");
    }
}
