//! Which `defer!` and the like are taken for ours, and the witness that is left of them.

use super::{attribute, short, tokens};
use crate::check::stray_guard;
use crate::witness;

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
    assert!(
        stray.contains("no `#[cancellable]` has taken up"),
        "{stray}"
    );
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
