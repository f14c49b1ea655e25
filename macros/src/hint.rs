//! Names the error type of an async block that a group's body spawns.
//!
//! `g.spawn(async { x?; Ok(v) })` leaves open which error the block has. Where the
//! macro sees that it is spawned into the group, it can say: the group's own.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{Expr, ExprMethodCall, Ident, Pat, Stmt};

use crate::path::{Crate, mixed};

/// The methods of a group whose last argument is a future.
const SPAWNS: &[&str] = &[
    "spawn",
    "spawn_named",
    "spawn_scoped",
    "spawn_local",
    "spawn_shielded",
    "service",
];

/// Puts the hints into a group's body.
pub(crate) struct Hints<'a> {
    group: &'a Ident,
    krate: &'a Crate,
    error: &'a TokenStream,
}

impl<'a> Hints<'a> {
    /// Nothing to do where the body does not name the group, or its error type is
    /// to be inferred.
    pub(crate) fn new(group: &'a Pat, krate: &'a Crate, error: &'a TokenStream) -> Option<Self> {
        let Pat::Ident(group) = group else {
            return None;
        };
        (error.to_string() != "_").then_some(Self {
            group: &group.ident,
            krate,
            error,
        })
    }

    fn is_spawn(&self, call: &ExprMethodCall) -> bool {
        let on_group =
            matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident(self.group));
        on_group && SPAWNS.iter().any(|name| call.method == name)
    }
}

impl VisitMut for Hints<'_> {
    // From `g.spawn(async { … })` into `g.spawn(hint::<E, _, _>(async { … }))`.
    fn visit_expr_method_call_mut(&mut self, call: &mut ExprMethodCall) {
        visit_mut::visit_expr_method_call_mut(self, call);
        if !self.is_spawn(call) {
            return;
        }
        let Some(future) = call.args.last_mut().filter(|future| is_open(future)) else {
            return;
        };
        let span = mixed(call.method.span());
        let (private, error) = (self.krate.private(span), self.error);
        let hinted = quote_spanned!(span=> #private::hint::<#error, _, _>(#future));
        if let Ok(hinted) = syn::parse2(hinted) {
            *future = hinted;
        }
    }

    fn visit_item_mut(&mut self, _: &mut syn::Item) {}
}

/// Whether this is an async block with a `?` that ends with a bare `Ok(…)`.
fn is_open(future: &Expr) -> bool {
    let Expr::Async(future) = future else {
        return false;
    };
    let Some(Stmt::Expr(Expr::Call(tail), None)) = future.block.stmts.last() else {
        return false;
    };
    let bare = matches!(&*tail.func, Expr::Path(path) if path.path.is_ident("Ok"));
    let mut question = Question(false);
    question.visit_block(&future.block);
    bare && question.0
}

/// Finds a `?` of the block itself.
struct Question(bool);

impl<'ast> Visit<'ast> for Question {
    fn visit_expr_try(&mut self, _: &'ast syn::ExprTry) {
        self.0 = true;
    }

    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'ast syn::Item) {}
    fn visit_expr(&mut self, expr: &'ast Expr) {
        if !self.0 {
            visit::visit_expr(self, expr);
        }
    }
}
