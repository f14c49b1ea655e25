//! Macros whose arguments are expressions that they evaluate in place.

use crate::syntax::repair::{Holes, Listed, read_repaired};
use proc_macro2::{Ident, Spacing, TokenStream, TokenTree};
use syn::parse::ParseStream;
use syn::{Expr, ExprLit, Lit, Macro, Path, Token};

// Each macro stands in one list, by the last name of its path.

/// They have no value, and neither await nor end anything.
const PRINTS: &str = "println print eprintln eprint";

/// They have no value, and end the code only by a panic.
const ASSERTS: &str = "assert assert_eq assert_ne debug_assert debug_assert_eq debug_assert_ne";

/// They may have a value, and neither await nor end anything.
const EVALUATES: &str =
    "format format_args write writeln vec matches dbg pin anyhow trace debug info warn error";

/// They await or end something.
const OTHERS: &str = "panic todo unreachable unimplemented join try_join bail ensure";

/// Expressions, each with the sign after it, and the tokens after them that were not read.
pub(crate) type Arguments = (Vec<(Expr, Option<TokenTree>)>, TokenStream);

/// Whether the macro evaluates its arguments in place.
pub(crate) fn is_transparent(path: &Path) -> bool {
    is_in(path, &[PRINTS, ASSERTS, EVALUATES, OTHERS])
}

/// Whether the macro does nothing else, either.
pub(crate) fn is_quiet(path: &Path) -> bool {
    is_in(path, &[PRINTS, EVALUATES])
}

/// Whether the macro has no value, and the code after it runs.
pub(crate) fn is_statement(path: &Path) -> bool {
    is_in(path, &[PRINTS, ASSERTS])
}

fn is_in(path: &Path, lists: &[&str]) -> bool {
    let last = path.segments.last().map(|last| last.ident.to_string());
    let mut names = lists.iter().flat_map(|names| names.split(' '));
    last.is_some_and(|last| names.any(|name| name == last))
}

/// Whether a condition is the literal `true` or `false`.
pub(crate) fn is_literal(condition: &Expr, value: bool) -> bool {
    matches!(condition, Expr::Lit(ExprLit { lit: Lit::Bool(literal), .. }) if literal.value == value)
}

/// Whether a macro is known by its path to join the futures it is given.
pub(crate) fn joins_foreign_futures(path: &Path) -> bool {
    let names = names(path);
    matches!(
        strs(&names)[..],
        ["tokio" | "futures" | "futures_util", "join" | "try_join"]
    )
}

/// The names in a path: `tokio`, `task`, `spawn`.
pub(crate) fn names(path: &Path) -> Vec<String> {
    let segments = path.segments.iter();
    segments.map(|segment| segment.ident.to_string()).collect()
}

/// To be matched with a slice of literals.
pub(crate) fn strs(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

/// Whether `name` is among the tokens.
pub(crate) fn mentions(tokens: &TokenStream, name: &Ident) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => ident == *name,
        TokenTree::Group(group) => mentions(&group.stream(), name),
        _ => false,
    })
}

/// Whether a macro is called among the tokens: a name with a `!` behind it.
pub(crate) fn calls_macro(tokens: &TokenStream) -> bool {
    let mut named = false;
    tokens.clone().into_iter().any(|tree| {
        let after_name = std::mem::replace(&mut named, matches!(tree, TokenTree::Ident(_)));
        match tree {
            // Not a `!=`.
            TokenTree::Punct(punct) => {
                after_name && punct.as_char() == '!' && punct.spacing() == Spacing::Alone
            }
            TokenTree::Group(group) => calls_macro(&group.stream()),
            _ => false,
        }
    })
}

/// The arguments of a macro, which may still be being typed, if they read as expressions.
pub(crate) fn repaired_arguments(mac: &Macro) -> Option<(Arguments, Holes)> {
    let read = |tokens| {
        arguments(&Macro {
            tokens,
            ..mac.clone()
        })
    };
    let (arguments, holes) = read_repaired(&mac.tokens, Listed::Arguments, read, Option::is_some);
    arguments.map(|arguments| (arguments, holes))
}

/// The arguments of a macro, if they read as expressions.
pub(crate) fn arguments(mac: &Macro) -> Option<Arguments> {
    // The second argument of this one is a pattern.
    let first_only = is_in(&mac.path, &["matches"]);
    mac.parse_body_with(|input: ParseStream| list(input, first_only))
        .ok()
}

fn list(input: ParseStream, first_only: bool) -> syn::Result<Arguments> {
    let mut parts = Vec::new();
    while !input.is_empty() && (parts.is_empty() || !first_only) {
        let expr = input.parse()?;
        let separated = input.peek(Token![,]) || input.peek(Token![;]);
        let separator = if separated {
            Some(input.parse()?)
        } else {
            None
        };
        if separator.is_none() && !input.is_empty() {
            return Err(input.error("expected `,`"));
        }
        parts.push((expr, separator));
    }
    Ok((parts, input.parse()?))
}
