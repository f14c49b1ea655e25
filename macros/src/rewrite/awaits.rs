//! Awaits with a checkpoint in front.
//!
//! ```text
//! EXPR.await
//!
//! after(gate().await, EXPR).await
//! ```

use crate::rewrite::Rewriter;
use crate::rewrite::ungated::Ungated;
use crate::syntax::editor::is_in_editor;
use crate::syntax::path::mixed;
use crate::syntax::span::{end_of, ends, parenthesized};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, TokenStreamExt};
use std::mem;
use syn::token::Brace;
use syn::visit_mut;
use syn::{Expr, Path, Token};

impl Rewriter<'_> {
    /// `NAME()`, whose `Location::caller()` is `span`.
    pub(super) fn call(&self, name: &str, span: Span) -> TokenStream {
        let mut call = self.krate.private_fn(name, span);
        call.append(parenthesized(TokenStream::new(), span));
        call
    }

    /// `gate().await`, located at a word of the user's: rustc shows it where a value is held across
    /// an await.
    pub(super) fn gate(&self, word: Span) -> TokenStream {
        let mut gate = self.call("gate", end_of(word));
        let mixed = mixed(word);
        Token![.](mixed).to_tokens(&mut gate);
        Token![await](mixed).to_tokens(&mut gate);
        gate
    }

    // One expression, so that temporaries live as long as they did. Its outermost part is the
    // user's own await, so that lints and errors about its value stay what they were.
    pub(super) fn gate_await(&mut self, expr: &mut Expr) {
        let ungated = Ungated {
            krate: self.krate,
            own: &self.own,
        };
        let enters = matches!(expr, Expr::Await(expr) if ungated.is_entered_by(&expr.base));
        visit_mut::visit_expr_mut(self, expr);
        let Expr::Await(expr) = expr else { return };
        // An editor shows what it finds at the user's words, and completes them: in plain code.
        if enters || is_in_editor() {
            return;
        }
        let mut arguments = self.gate(expr.await_token.span);
        unwrap_operand(&mut expr.base);
        let (start, end) = self.ends_of_call(&expr.base);
        Token![,](Span::call_site()).to_tokens(&mut arguments);
        expr.base.to_tokens(&mut arguments);
        let mut call = self.krate.private_fn("after", start);
        call.append(parenthesized(arguments, end));
        *expr.base = Expr::Verbatim(call);
    }

    // The user's own span first and last: an error about the value shows it whole. Not so
    // where the user's code begins as our call does: clippy, which tells them apart by that,
    // would speak of the `()` in the call.
    fn ends_of_call(&self, awaited: &Expr) -> (Span, Span) {
        let (start, end) = ends_of(awaited);
        if first_path(awaited).is_some_and(|path| self.krate.begins_like(path)) {
            (mixed(start), mixed(end))
        } else {
            (start, end)
        }
    }
}

// From `(EXPR)` into `EXPR`: what an await needs around its operand, an argument
// does not, and the user is not to be told so.
pub(super) fn unwrap_operand(operand: &mut Expr) {
    match operand {
        Expr::Paren(paren) if paren.attrs.is_empty() => {
            *operand = mem::replace(&mut *paren.expr, Expr::PLACEHOLDER);
        }
        Expr::Block(block) => {
            let braces = &mut block.block.brace_token;
            *braces = Brace(mixed(braces.span.join()));
        }
        _ => {}
    }
}

// The first and the last span of an expression. What is awaited is mostly a chain of calls, whose ends are
// found without making tokens of it.
fn ends_of(expr: &Expr) -> (Span, Span) {
    match (first_span(expr), last_span(expr)) {
        (Some(start), Some(end)) => (start, end),
        _ => ends(&expr.to_token_stream()),
    }
}

fn first_span(expr: &Expr) -> Option<Span> {
    let path = first_path(expr)?;
    match &path.leading_colon {
        Some(colons) => colons.spans.first().copied(),
        None => path.segments.first().map(|first| first.ident.span()),
    }
}

// The path that an expression begins with.
fn first_path(expr: &Expr) -> Option<&Path> {
    match expr {
        Expr::MethodCall(expr) if expr.attrs.is_empty() => first_path(&expr.receiver),
        Expr::Call(expr) if expr.attrs.is_empty() => first_path(&expr.func),
        Expr::Field(expr) if expr.attrs.is_empty() => first_path(&expr.base),
        Expr::Index(expr) if expr.attrs.is_empty() => first_path(&expr.expr),
        Expr::Try(expr) if expr.attrs.is_empty() => first_path(&expr.expr),
        Expr::Macro(expr) if expr.attrs.is_empty() => Some(&expr.mac.path),
        Expr::Path(expr) if expr.attrs.is_empty() && expr.qself.is_none() => Some(&expr.path),
        _ => None,
    }
}

fn last_span(expr: &Expr) -> Option<Span> {
    match expr {
        Expr::MethodCall(expr) => Some(expr.paren_token.span.join()),
        Expr::Call(expr) => Some(expr.paren_token.span.join()),
        _ => None,
    }
}
