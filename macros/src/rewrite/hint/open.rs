//! Whether a block leaves its error type open.

use crate::syntax::known::{is_transparent, mentions};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprClosure, Macro, ReturnType, Stmt};

/// `|| { … }` of which only the body says what it returns.
pub(super) fn is_open_work(work: &ExprClosure) -> bool {
    let Expr::Block(body) = &*work.body else {
        return false;
    };
    let says_nothing = matches!(work.output, ReturnType::Default) && work.inputs.is_empty();
    says_nothing && is_open(&body.block)
}

/// Whether a block ends with a bare `Ok(…)`, and nothing else in it says which error it
/// has: no `return`, and no macro that may hold one.
pub(super) fn is_open(block: &Block) -> bool {
    let Some(Stmt::Expr(Expr::Call(tail), None)) = block.stmts.last() else {
        return false;
    };
    let Expr::Path(func) = &*tail.func else {
        return false;
    };
    let segments = &func.path.segments;
    let ok = segments.last().is_some_and(|last| last.ident == "Ok");
    let bare = segments.iter().all(|segment| segment.arguments.is_none());
    let mut exits = Exits::default();
    exits.visit_block(block);
    ok && bare && !exits.names_error && (exits.has_question_mark || !exits.has_unknown_macro)
}

/// What ends the block itself.
#[derive(Default)]
struct Exits {
    has_question_mark: bool,
    /// A `return` whose value may have an error type of its own.
    names_error: bool,
    /// A macro of which only its name is known.
    has_unknown_macro: bool,
}

impl<'ast> Visit<'ast> for Exits {
    fn visit_expr_try(&mut self, expr: &'ast syn::ExprTry) {
        self.has_question_mark = true;
        visit::visit_expr_try(self, expr);
    }

    fn visit_expr_return(&mut self, expr: &'ast syn::ExprReturn) {
        self.names_error |= !expr.expr.as_deref().is_some_and(says_no_error);
        visit::visit_expr_return(self, expr);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let last = mac.path.segments.last();
        let leaves = last.is_some_and(|last| LEAVING.iter().any(|name| last.ident == name));
        self.names_error |=
            leaves || mentions(&mac.tokens, &Ident::new("return", Span::call_site()));
        self.has_question_mark |= has_question_mark(&mac.tokens);
        self.has_unknown_macro |= !is_transparent(&mac.path);
    }

    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

/// Macros that return an error, of a type of their own.
const LEAVING: &[&str] = &["bail", "ensure", "ensure_whatever", "whatever", "throw"];

fn has_question_mark(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Punct(punct) => punct.as_char() == '?',
        TokenTree::Group(group) => has_question_mark(&group.stream()),
        _ => false,
    })
}

// `Ok(…)`, and `Err(….into())`.
fn says_no_error(value: &Expr) -> bool {
    let Expr::Call(call) = value else {
        return false;
    };
    let Expr::Path(func) = &*call.func else {
        return false;
    };
    match call.args.first() {
        _ if func.path.is_ident("Ok") => true,
        Some(Expr::MethodCall(into)) => func.path.is_ident("Err") && into.method == "into",
        _ => false,
    }
}
