//! Snapshots of good input.

use super::{assert_same, attribute, group, short};

#[track_caller]
fn assert_body(args: &str, body: &str, expected: &str) {
    let expansion = attribute(args, &format!("async fn f() {{ {body} }}"));
    assert_same(&expansion, &format!("async fn f() {{ {expected} }}"));
}

#[test]
fn await_gets_a_gate() {
    assert_body(
        "",
        "get(url).await?.text().await",
        "P::after(P::gate().await, P::after(P::gate().await, get(url)).await?.text()).await",
    );
}

#[test]
fn head_is_kept() {
    assert_same(
        &attribute(
            "",
            "/// Docs
            #[cfg(unix)] #[inline]
            pub(crate) async unsafe fn f<'a, T: ?Sized>(&'a mut self, t: impl Into<T>) -> &'a T
            where T: Send { #![allow(dead_code)] g().await }",
        ),
        "/// Docs
        #[cfg(unix)] #[inline]
        pub(crate) async unsafe fn f<'a, T: ?Sized>(&'a mut self, t: impl Into<T>) -> &'a T
        where T: Send { #![allow(dead_code)] P::after(P::gate().await, g()).await }",
    );
}

#[test]
fn attributes_of_an_await_stay() {
    assert_body(
        "",
        "#[cfg(unix)] f().await; end()",
        "#[cfg(unix)] P::after(P::gate().await, f()).await; end()",
    );
}

#[test]
fn guards_of_match_arms_are_code() {
    assert_body(
        "",
        "match x { 1 if f().await => {} _ => {} }",
        "match x { 1 if P::after(P::gate().await, f()).await => {} _ => {} }",
    );
}

#[test]
fn groups_and_shields_are_entered_without_a_gate() {
    assert_body(
        "",
        "task_group!(|g| Ok(())).await; taskscope::shield(f()).await; TaskGroup::new().run(f).await;",
        "::taskscope::TaskGroup::<::taskscope::BoxError>::new().run(async |g| {
            if let Some(__output) = None::<::core::result::Result<_, ::taskscope::BoxError>> {
                return __output;
            }
            task_group! { W }
            Ok(())
        }).await; taskscope::shield(f()).await; TaskGroup::new().run(f).await;",
    );
}

#[test]
fn nested_async_code_is_part_of_the_function() {
    assert_body(
        "",
        "async move { f().await }; async || f().await; || async { f().await };",
        "async move { P::after(P::gate().await, f()).await };
        async || P::after(P::gate().await, f()).await;
        || async { P::after(P::gate().await, f()).await };",
    );
}

#[test]
fn inner_items_are_not() {
    let body =
        "async fn inner() { f().await } const C: u32 = { loop {} }; inner; [0; { loop {} }];";
    assert_body("loops", body, body);
}

#[test]
fn arguments_of_known_macros_are_read() {
    assert_body(
        "",
        r#"println!("{} {n}", f().await, n = g().await); vec![f().await; 3];
        matches!(f().await, Some(1..=2) | None if true); tokio::join!(f(), g(h().await),);
        tokio::join!(biased; f());"#,
        r#"println!("{} {n}", P::after(P::gate().await, f()).await,
            n = P::after(P::gate().await, g()).await);
        vec![P::after(P::gate().await, f()).await; 3];
        matches!(P::after(P::gate().await, f()).await, Some(1..=2) | None if true);
        ::taskscope::join!(f(), g(P::after(P::gate().await, h()).await),);
        tokio::join!(biased; P::solo(f()));"#,
    );
}

#[test]
fn a_shield_is_seen_through_what_is_around_it() {
    for shield in [
        "(shield(f()))",
        "{ g(); shield(f()) }",
        "unsafe { shield(f()) }",
        "(&mut pin!(shield(f())))",
        "pin!(shield(f())).as_mut()",
        "Box::pin(shield(f()))",
        "if a { shield(f()) } else if b { shield(g()) } else { shield(h()) }",
        "match a { 1 => shield(f()), _ => shield(g()) }",
        "shield(f()).boxed().into_future()",
        "(&mut *Box::pin(shield(f())))",
        "if a { shield(f()) } else { return 1 }",
        "if a { shield(f()) } else { panic!(); }",
        "match a { 1 => shield(f()), 2 => continue, 3 => { unreachable!() } _ => todo!() }",
    ] {
        let body = format!("let x = {shield}.await;");
        assert_body("", &body, &body);
    }
}

#[test]
fn other_awaits_get_a_gate() {
    for other in [
        "{ shield(f()); g() }",
        "if a { shield(f()) } else { g() }",
        "match a { 1 => shield(f()), _ => g() }",
        "match a { 1 => shield(f()), 2 => panic!(), _ => g() }",
        "match a { 1 => shield(f()), _ => exit() }",
        "if a { shield(f()); }",
        "pin!(f())",
        "save",
    ] {
        let body = format!("let x = {other}.await;");
        let gated = format!("let x = P::after(P::gate().await, {other}).await;");
        assert_body("", &body, &gated);
    }
}

#[test]
fn other_macros_and_what_does_not_parse_are_left() {
    let body = "own::select! { a = f().await => {} } race!(f().await); own!(f().await);
        info!(%field, f().await);";
    assert_body("", body, body);
}

#[test]
fn marked_loops_get_a_checkpoint() {
    assert_body(
        "",
        "#[checkpoint] for i in 0..3 { f(i); } #[allow(unused)] #[checkpoint] 'a: loop {} while x {}",
        "for i in 0..3 { if P::closed() { P::gate().await } f(i); }
        #[allow(unused)] 'a: loop { if P::closed() { P::gate().await } } while x {}",
    );
}

#[test]
fn all_loops_but_the_unmarked() {
    assert_body(
        "loops",
        "while x { #[no_checkpoint] for i in j {} } let f = || loop {}; async { loop {} };",
        "while x { if P::closed() { P::gate().await } for i in j {} }
        let f = || loop {}; async { loop { if P::closed() { P::gate().await } } };",
    );
}

#[test]
fn crate_option() {
    let expansion = attribute("crate = my::scope", "async fn f() { g().await }");
    let path = "my::scope::__private";
    assert_same(
        &expansion,
        &format!("async fn f() {{ {path}::after({path}::gate().await, g()).await }}"),
    );
}

#[test]
fn plain_function_with_an_async_tail() {
    assert_same(
        &attribute(
            "",
            "fn f() -> Pin<Box<dyn Future<Output = u32>>> { Box::pin(async move { g().await }) }",
        ),
        "fn f() -> Pin<Box<dyn Future<Output = u32>>> {
            Box::pin(async move { P::after(P::gate().await, g()).await })
        }",
    );
}

#[test]
fn every_async_fn_of_an_impl() {
    assert_same(
        &attribute(
            "",
            "impl S {
                async fn f(&self) { g().await }
                fn plain(&self) {}
                #[cancellable] async fn own(&self) { g().await }
            }",
        ),
        "impl S {
            async fn f(&self) { P::after(P::gate().await, g()).await }
            fn plain(&self) {}
            #[cancellable] async fn own(&self) { g().await }
        }",
    );
}

const HINT: &str = "if let Some(__output) = None::<()> { return __output; }";

#[test]
fn defer_in_the_top_block() {
    assert_body(
        "",
        "let c = open(); defer! { c.close().await; } c.work().await; fn item() {}",
        &format!(
            "let c = open(); defer! {{ W }} fn item() {{}}
            {{
                let mut __armed = P::Guard::arm();
                let __exit = P::Guard::body(&mut __armed, async {{
                    {HINT} P::after(P::gate().await, c.work()).await;
                }}).await;
                P::Guard::cleanup(&mut __armed, async {{ P::after(P::gate().await, c.close()).await; }}).await;
                __armed.finish(__exit).await
            }}"
        ),
    );
}

#[test]
fn on_cancel_cleans_up_only_then() {
    assert_body(
        "",
        "taskscope::on_cancel! { undo(); } work();",
        &format!(
            "taskscope::on_cancel! {{ W }} {{
                let mut __armed = P::Guard::arm_on_cancel();
                let __exit = P::Guard::body(&mut __armed, async {{ {HINT} work(); }}).await;
                if __exit.is_cancelled() {{ P::Guard::cleanup(&mut __armed, async {{ undo(); }}).await; }}
                __armed.finish(__exit).await
            }}"
        ),
    );
}

#[test]
fn defer_in_a_loop() {
    assert_body(
        "",
        "let n = 'a: loop { defer! { c(); } if x { break 'a 1; } loop { break; } continue; };",
        &format!(
            "let n = 'a: loop {{ defer! {{ W }} {{
                let mut __value = None;
                let mut __jump_0 = None;
                let mut __jump_1 = None;
                let mut __armed = P::Guard::arm();
                let __exit = P::Guard::body(&mut __armed, async {{
                    {HINT}
                    #[allow(clippy::diverging_sub_expression)]
                    let __rest = {{
                        if x {{ {{ __jump_0 = Some(1); match P::done::<Infallible>().await {{}} }}; }}
                        loop {{ break; }}
                        {{ __jump_1 = Some(()); match P::done::<Infallible>().await {{}} }};
                    }};
                    #[allow(unreachable_code)] {{
                        __value = Some(__rest);
                        match P::done::<Infallible>().await {{}}
                    }}
                }}).await;
                P::Guard::cleanup(&mut __armed, async {{ c(); }}).await;
                match __armed.finish_block(__exit).await {{
                    Some(__output) => return __output,
                    None => {{
                        if let Some(__value) = __value {{ __value }}
                        else if let Some(__target) = __jump_0 {{ match (break 'a __target) {{}} }}
                        else if let Some(()) = __jump_1 {{ match (continue) {{}} }}
                        else {{ ::core::unreachable!() }}
                    }},
                }}
            }} }};"
        ),
    );
}

#[test]
fn group_options() {
    assert_same(
        &group("name = \"n\", limit = f().await, local, error = E, |g| { g.x().await }"),
        "::taskscope::TaskGroup::<E>::new()
            .described(P::Described::<E>::new().how())
            .name(\"n\")
            .limit(P::after(P::gate().await, f()).await)
            .run_local(async |g| {
                if let Some(__output) = None::<::core::result::Result<_, E>> { return __output; }
                P::after(P::gate().await, g.x()).await
            })",
    );
}

#[test]
fn group_bodies() {
    let run = "::taskscope::TaskGroup::<::taskscope::BoxError>::new().run";
    let hint = "if let Some(__output) = None::<::core::result::Result<_, ::taskscope::BoxError>> {
        return __output;
    }";
    assert_same(
        &group("|_| Ok(())"),
        &format!("{run}(async |_| {{ {hint} Ok(()) }})"),
    );
    assert_same(
        &group("move |g| { g }"),
        &format!("{run}(async move |g| {{ {hint} g }})"),
    );
    assert_same(
        &group("|g| async move { g },"),
        &format!("{run}(async move |g| {{ {hint} g }})"),
    );
}

#[test]
fn a_group_is_expanded_in_place() {
    let run = |body: &str| {
        format!(
            "::taskscope::TaskGroup::<_>::new().run(async |_| {{
                if let Some(__output) = None::<::core::result::Result<_, _>> {{ return __output; }}
                task_group! {{ W }}
                {body}
            }})"
        )
    };
    let group = |body: &str| format!("task_group!(error = _, |_| {{ {body} }})");
    let (inner, outer) = (group("Ok(())"), run("Ok(())"));
    for (body, expected) in [
        (inner.clone(), outer.clone()),
        (format!("#[a] {inner};"), format!("#[a] {outer};")),
        (
            "task_group! { error = _, |_| Ok(()) } f()".to_owned(),
            format!("{{ {outer} }} f()"),
        ),
        (
            format!("println!(\"{{}}\", {inner})"),
            format!("println!(\"{{}}\", {outer})"),
        ),
        (
            group(&format!("{inner}.await?; Ok(())")),
            run(&format!("{outer}.await?; Ok(())")),
        ),
    ] {
        assert_body("", &body, &expected);
    }
    let settings =
        "loop { defer! { c(); } task_group!(limit = if x { break } else { 2 }, |_| Ok(())).await }";
    let expansion = short(&attribute("", &format!("async fn f() {{ {settings} }}")));
    assert!(expansion.contains(".limit(ifx{{__jump_0="), "{expansion}");
}

#[test]
fn below_the_entry_points_of_tokio() {
    let expanded = |body: &str| {
        format!(
            "#[::core::prelude::v1::test]
            fn f() -> R {{
                let body = async {{ {body} }};
                tokio::pin!(body);
                {{ use tokio::runtime::Builder; return Builder::new().build().block_on(body); }}
            }}"
        )
    };
    assert_same(
        &attribute("", &expanded("f().await; defer! { c(); } g().await")),
        &expanded(
            "P::after(P::gate().await, f()).await;
            defer! { W }
            {
                let mut __armed = P::Guard::arm();
                let __exit = P::Guard::body(&mut __armed, async {
                    if let Some(__output) = None::<R> { return __output; }
                    P::after(P::gate().await, g()).await
                }).await;
                P::Guard::cleanup(&mut __armed, async { c(); }).await;
                __armed.finish(__exit).await
            }",
        ),
    );
}
