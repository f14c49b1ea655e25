//! What the attributes and macros stand on.

use crate::diag::{Diag, Mistake};
use crate::syntax::editor::is_in_editor;
use crate::syntax::item::{Function, has_marker};
use crate::syntax::known::mentions;
use crate::syntax::repair::{Listed, read_repaired};
use crate::syntax::witness;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::Parser;
use syn::{Attribute, Block, Expr, Pat, Signature, Stmt};

/// A function that can be cancelled has a body with async code in it.
pub(crate) fn check_function(function: &Function, diag: &mut Diag) -> bool {
    let stmts = function.body.as_ref().map(|body| &body.block.stmts);
    check_body(function, diag) && stmts.is_some_and(|stmts| check_async(&function.sig, stmts, diag))
}

/// A function that can be cancelled has a body, and the attribute once.
pub(crate) fn check_body(function: &Function, diag: &mut Diag) -> bool {
    if function.body.is_none() {
        diag.report(
            function.sig.ident.span(),
            &Mistake {
                what: "`#[cancellable]` on a method without a body",
                why: "there is no code in it that could be cancelled",
                help: "put it on the method in each `impl`",
            },
        );
        return false;
    }
    check_once(&function.attrs, diag);
    true
}

fn check_once(attrs: &[Attribute], diag: &mut Diag) {
    if has_marker(attrs, "cancellable") {
        diag.report(
            Span::call_site(),
            &Mistake {
                what: "`#[cancellable]` is given twice",
                why: "every await would become two checkpoints",
                help: "remove one of the two",
            },
        );
    }
}

fn check_async(sig: &Signature, stmts: &[Stmt], diag: &mut Diag) -> bool {
    let name = &sig.ident;
    if let Some(constness) = &sig.constness {
        diag.report(
            constness.span,
            &Mistake {
                what: "`#[cancellable]` on a `const fn`",
                why: "a `const fn` cannot await, so it can never be cancelled",
                help: "remove the attribute",
            },
        );
        return false;
    }
    if sig.asyncness.is_none() && !is_expanded(stmts) && returns_stream(sig) {
        diag.report(sig.fn_token.span, &STREAM);
        return false;
    }
    if sig.asyncness.is_none() && !is_expanded(stmts) {
        diag.report(
            sig.fn_token.span,
            &Mistake {
                what: "`#[cancellable]` on a function that is not async",
                why: "a function is cancelled where it awaits, and this one cannot await",
                help: &format!(
                    "write `async fn {name}`, or `#[cancellable(blocking)]`; below another attribute, move `#[cancellable]` above it"
                ),
            },
        );
        return false;
    }
    true
}

const STREAM: Mistake = Mistake {
    what: "`#[cancellable]` on a function that returns a stream",
    why: "a stream belongs to its consumer, which may drop it at any await; nothing unwinds it",
    help: "remove the attribute; for code with a cleanup, spawn a task in a group that sends its values \
           through a channel, see \"Streams\" in `taskscope::guide::cleanup`",
};

// `-> impl Stream<Item = T>`, `-> BoxStream<'_, T>`
fn returns_stream(sig: &Signature) -> bool {
    let output = sig.output.to_token_stream();
    ["Stream", "TryStream", "BoxStream", "LocalBoxStream"]
        .iter()
        .any(|name| mentions(&output, &Ident::new(name, Span::call_site())))
}

/// Whether another macro has already made the function plain.
pub(crate) fn is_expanded(stmts: &[Stmt]) -> bool {
    expanded_at(stmts).is_some()
}

/// The statement that holds the async code of such a function.
pub(crate) fn expanded_at(stmts: &[Stmt]) -> Option<usize> {
    let last = stmts.last()?;
    match last {
        Stmt::Expr(tail, None) if is_future(tail) => Some(stmts.len() - 1),
        _ => is_entry(&stmts[0], last).then_some(0),
    }
}

/// The last expression of `#[async_trait]`'s functions, and of many written by hand: an
/// async block, bare or as the only argument of a call like `Box::pin`.
fn is_future(tail: &Expr) -> bool {
    match tail {
        Expr::Async(_) => true,
        Expr::Call(call) => matches!(call.args.first(), Some(Expr::Async(_))),
        _ => false,
    }
}

// What `#[tokio::main]` and `#[tokio::test]` make:
// `let body = async { … }; … { return … .block_on(body); }`.
fn is_entry(first: &Stmt, last: &Stmt) -> bool {
    let (Stmt::Local(body), Stmt::Expr(Expr::Block(last), None)) = (first, last) else {
        return false;
    };
    let names_body = matches!(&body.pat, Pat::Ident(name) if name.ident == "body");
    let is_async = matches!(&body.init, Some(init) if matches!(*init.expr, Expr::Async(_)));
    let run = match last.block.stmts.last() {
        Some(Stmt::Expr(Expr::Return(run), _)) => run.expr.as_deref(),
        _ => None,
    };
    let runs = matches!(run, Some(Expr::MethodCall(call)) if call.method == "block_on");
    names_body && is_async && runs
}

/// An item that holds no functions at all.
pub(crate) fn check_other(keyword: &Ident, diag: &mut Diag) {
    let what = format!("`#[cancellable]` on `{keyword}`");
    diag.report(
        keyword.span(),
        &Mistake {
            what: &what,
            why: "only async code can be cancelled",
            help: "put it on an async fn, an `impl`, a `trait` or an inline `mod`",
        },
    );
}

/// The witness that `#[cancellable]` has left of a `defer!` or `on_cancel!`; an error where it
/// has not taken it up.
pub(crate) fn stray_guard(name: &str, input: &TokenStream) -> TokenStream {
    witness::accept(name, input).unwrap_or_else(|| {
        let mistake = Mistake {
            what: &format!("`{name}!` that no `#[cancellable]` has taken up"),
            why: "the cleanup guards the rest of its block, which only the attribute can see",
            help: &needs(name),
        };
        if is_in_editor() {
            unguarded(input)
        } else {
            mistake.at(Span::call_site()).to_compile_error()
        }
    })
}

// Editors can be told to leave attributes alone. The guard is right, then, and the names in
// its cleanup can be completed.
fn unguarded(input: &TokenStream) -> TokenStream {
    let read = |tokens| Block::parse_within.parse2(tokens);
    let (cleanup, holes) = read_repaired(input, Listed::Statements, read, Result::is_ok);
    let stmts = cleanup.unwrap_or_default();
    let mut diag = Diag::default();
    let cleanup = holes.close(quote!(#(#stmts)*), &mut diag);
    let errors = diag.into_tokens();
    quote!({ let _ = async { #cleanup }; #errors })
}

// One text for all causes: a macro does not see where it is called.
fn needs(name: &str) -> String {
    format!(
        "it needs (1) `#[cancellable]` on the async fn around it, above attributes that move the \
         body, such as `#[rstest]`, `#[sqlx::test]` and `#[debug_handler]`,\
         \n          (2) its own name: an import `as` another is not seen, and `ts::{name}!` only with \
         `#[cancellable(crate = ts)]`,\
         \n          (3) to be a statement of that function, not inside another macro, such as `stream!`"
    )
}

/// A loop's marker that no `#[cancellable]` has taken off, beside what it stands on.
pub(crate) fn stray_marker(name: &str, item: TokenStream) -> TokenStream {
    let mistake = Mistake {
        what: &format!("`#[{name}]` outside a `#[cancellable]` function"),
        why: "it marks the loops of cancellable code, and nothing else",
        help: "put it on a loop in an async fn with `#[cancellable]`",
    };
    let mut tokens = mistake.at(Span::call_site()).to_compile_error();
    tokens.extend(item);
    tokens
}
