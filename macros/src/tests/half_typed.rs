//! Input that is still being typed: the item is there, and nothing panics.

use super::{attribute, group, printed, short, without_refusal};

/// What an editor hands over: brackets are closed, little else is there.
const BODIES: &[&str] = &[
    "text.",
    "text.await.",
    "let x =",
    "let x = ;",
    "if x",
    "match x { Some() => , }",
    "match x { Some }",
    "f(a, .)",
    "defer!",
    "let x = 1 defer! { x }",
    "on_cancel! { a } +",
    "#[checkpoint]",
    "for i in",
    "x.await = =",
    "x.await?.",
    "#[] loop {}",
    "#[cfg(a)]",
    "let Some(x) = y else",
    "match x.await",
    "async |a|",
    "loop",
    "while let Some(x) =",
    "race! { a = f() => } .",
    "defer! { x.close() } let",
    "@",
];

/// Items that do not read as items yet.
const HEADS: &[&str] = &[
    "",
    "async",
    "async fn",
    "async fn f",
    "async fn f()",
    "async fn f() ->",
    "async fn f(a:) {}",
    "#[doc = ] async fn f() {}",
    "impl",
    "impl S { async fn }",
    "impl S { async fn f() { x. } }",
    "pub(in)",
    "const",
];

#[test]
fn broken_bodies_stay_as_they_are() {
    for body in BODIES {
        let item = format!("async fn f(text: String) {{ {body} }}");
        assert_eq!(
            without_refusal(&attribute("", &item)),
            printed(&item),
            "{body}"
        );
    }
}

#[test]
fn what_is_not_read_does_not_run() {
    for item in [
        "async fn f() { x. }",
        "pub async unsafe fn f<const N: usize>() -> [u8; { 2 }] where [u8; { N }]: Sized { x. }",
        "impl S { fn g() { 1 } async fn f() -> [u8; { 2 }] { x. } const X: u8 = 1; }",
        "mod m { use a::{b, c}; impl S { pub async fn f() { x. } } }",
    ] {
        let expansion = attribute("", item);
        assert_eq!(expansion.matches("panic").count(), 1, "{expansion}");
        assert_eq!(without_refusal(&expansion), printed(item));
    }
    let first = attribute("", "async fn f() { #![allow(a)] #![deny(b)] #[c] x. }");
    let first = first.split_once(" const {").unwrap().0;
    assert_eq!(first, "async fn f () { #! [allow (a)] #! [deny (b)]");
}

#[test]
fn a_guard_that_is_not_read_is_not_looked_for() {
    let expansion = attribute("", "async fn f() { defer! { a } x. }");
    assert!(expansion.contains("macro_rules ! defer"), "{expansion}");
    assert!(!expansion.contains("on_cancel"), "{expansion}");
    let entry = crate::entry::entry(
        crate::entry::EntryKind::Main,
        printed("").parse().unwrap(),
        printed("async fn main() { on_cancel! { a } x. }")
            .parse()
            .unwrap(),
    );
    let entry = entry.to_string();
    assert!(entry.contains("macro_rules ! on_cancel"), "{entry}");
}

#[test]
fn broken_heads_stay_as_they_are() {
    for item in HEADS {
        assert_eq!(
            without_refusal(&attribute("", item)),
            printed(item),
            "{item}"
        );
    }
}

#[test]
fn broken_options_leave_a_cancellable_function() {
    for args in [
        "loops,,",
        "=",
        "crate",
        "crate =",
        "\"text\"",
        "loops = 3",
        "1 + 2",
    ] {
        let expansion = attribute(args, "async fn f() { g().await }");
        assert!(expansion.contains("gate ()"), "{args}: {expansion}");
        assert!(expansion.contains("compile_error"), "{args}: {expansion}");
    }
}

#[test]
fn broken_cleanup_leaves_its_function() {
    let expansion = attribute("", "async fn f() { defer! { x. } g().await }");
    assert!(expansion.starts_with("async fn f ()"), "{expansion}");
    assert!(expansion.contains("g ()"), "{expansion}");
    assert!(expansion.contains("compile_error"), "{expansion}");
}

#[test]
fn broken_groups_keep_their_body() {
    for body in [
        "{ g. }",
        "{ let x = }",
        "{ let x = g:: }",
        "{ f() g() }",
        "{ if x }",
        "{ g.a b() }",
    ] {
        let expansion = group(&format!("limit = 3, |g| {body}"));
        let code = body.trim_matches(['{', '}']);
        let kept = without_refusal(&expansion);
        assert!(kept.contains(&printed(code)), "{expansion}");
        assert!(!expansion.contains("compile_error"), "{expansion}");
    }
    for input in [
        "",
        "limit",
        "limit =",
        "limit = 3",
        "limit = 3,",
        "|g|",
        "|",
        ",",
        "limit = = 3, |g| {}",
    ] {
        let expansion = group(input);
        assert!(expansion.contains("compile_error"), "{input}: {expansion}");
    }
}

/// The cursor of an editor is at `$`.
const TYPED: &[&str] = &[
    "task_group!(|g| { g.$ })",
    "task_group!(|g| { f().await; g.$ })",
    "task_group!(|g| { g.$ Ok(()) })",
    "task_group!(|g| { let a = g.$ let b = 1; Ok(()) })",
    "task_group!(|g| { let a = g.$ f().await?; Ok(()) })",
    "task_group!(|g| { $ Ok(()) })",
    "task_group!(|g| { g.spawn(async { f().await; g.$ }); Ok(()) })",
    "task_group!(|g| { a::$ Ok(()) })",
    "task_group!(|g| { let a = $; f().await; Ok(()) })",
    "task_group!(|g| { if f().await == $ })",
    "task_group!(limit = a.$, |g| { f().await; Ok(()) })",
    "task_group!(|g| { task_group!(|h| { f().await; h.$ }).await })",
    "defer! { a.$ } f().await",
    "defer! { f().await; a.$ } f().await",
    "defer! { a.$ f().await } f().await",
    "defer! { f().await; a.$ }",
    "if x { f().await; on_cancel! { a.$ } }",
    "println!(\"{} {}\", f().await, a.$)",
    "vec![f().await, a::$]",
    "race! { _ = f().await => {} b = a.$ => {} }",
    "race! { _ = f().await => {} b = c(), if a.$ => {} }",
    "race! { _ = f().await => {} b = c() => b.$, _ = d() => {} }",
    "race! { b = c() => { f().await; b.$ } }",
    "race! { b = c() => { f().await; b.$ } else => { f().await } }",
    "race! { b = c() => {} else => a::$ }",
];

#[test]
fn what_is_typed_next_does_not_move_the_code_before() {
    for typed in TYPED {
        let expand = |name| {
            let body = typed.replace('$', name);
            attribute("", &format!("async fn f() {{ {body} }}"))
        };
        let (now, next) = (expand(""), expand("intellij"));
        let (before, _) = next.split_once("intellij").expect(typed);
        // A cleanup is closed: the `.` before the cursor is gone.
        let before = before.trim_end_matches([' ', '.', ':']);
        assert!(now.starts_with(before), "{typed}\n{now}\n{next}");
    }
}

#[test]
fn nothing_that_was_filled_in_is_left() {
    for body in BODIES {
        for input in [
            format!("task_group!(|g| {{ {body} }})"),
            format!("defer! {{ {body} }} f().await"),
            format!("println!(\"{{}}\", {body}, f().await)"),
            format!("race! {{ a = f() => {{ {body} }} }}"),
        ] {
            let expansion = attribute("", &format!("async fn f() {{ {input} }}"));
            assert!(!expansion.contains("hole"), "{expansion}");
        }
    }
}

#[test]
fn a_mistake_in_a_cleanup_is_reported_once() {
    for (body, cleanup) in [
        ("a.", "a;"),
        ("a::", "a;"),
        ("let a =", "leta=loop{};"),
        ("f() g()", "f();g();"),
    ] {
        let expansion = short(&attribute(
            "",
            &format!("async fn f() {{ defer! {{ {body} }} b }}"),
        ));
        assert!(expansion.contains(cleanup), "{expansion}");
    }
}
