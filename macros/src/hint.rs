//! Names the error type of an async block that a group's body spawns.
//!
//! `g.spawn(async { x?; Ok(v) })` leaves open which error the block has. Where the
//! macro sees that it is spawned into the group, it can say: the group's own.

use proc_macro2::TokenStream;
use quote::quote_spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{Block, Expr, ExprMethodCall, Ident, Local, Pat, ReturnType, Stmt};

use crate::path::{Crate, mixed};

/// The methods of a group and of its permits whose last argument is a future.
const SPAWNS: &[&str] = &[
    "spawn",
    "spawn_named",
    "spawn_scoped",
    "spawn_local",
    "spawn_shielded",
    "service",
    "defer",
];

/// Puts the hints into a group's body.
pub(crate) struct Hints<'a> {
    /// The group, its clones and its permits.
    groups: Vec<Ident>,
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
            groups: vec![group.ident.clone()],
            krate,
            error,
        })
    }

    // `g`, what was made of it under another name, or that itself: `g.clone()`, and
    // `g.reserve().await`.
    fn is_group(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Path(path) => self.groups.iter().any(|group| path.path.is_ident(group)),
            Expr::MethodCall(call) => {
                (call.method == "clone" || call.method == "reserve")
                    && self.is_group(&call.receiver)
            }
            Expr::Await(expr) => self.is_group(&expr.base),
            Expr::Paren(expr) => self.is_group(&expr.expr),
            Expr::Reference(expr) => self.is_group(&expr.expr),
            _ => false,
        }
    }

    fn hint(&self, name: &str, call: &ExprMethodCall, argument: &Expr) -> Option<Expr> {
        let span = mixed(call.method.span());
        let (private, error) = (self.krate.private(span), self.error);
        let name = Ident::new(name, span);
        syn::parse2(quote_spanned!(span=> #private::#name::<#error, _, _>(#argument))).ok()
    }
}

impl VisitMut for Hints<'_> {
    fn visit_local_mut(&mut self, local: &mut Local) {
        visit_mut::visit_local_mut(self, local);
        let Pat::Ident(name) = &local.pat else {
            return;
        };
        let of_group = matches!(&local.init, Some(init) if self.is_group(&init.expr));
        self.groups.retain(|group| *group != name.ident);
        if of_group {
            self.groups.push(name.ident.clone());
        }
    }

    // From `g.spawn(async { … })` into `g.spawn(hint::<E, _, _>(async { … }))`.
    fn visit_expr_method_call_mut(&mut self, call: &mut ExprMethodCall) {
        visit_mut::visit_expr_method_call_mut(self, call);
        let Some(argument) = call.args.last().filter(|_| self.is_group(&call.receiver)) else {
            return;
        };
        let hinted = match argument {
            Expr::Async(future)
                if SPAWNS.iter().any(|name| call.method == name) && is_open(&future.block) =>
            {
                self.hint("hint", call, argument)
            }
            Expr::Closure(closure) if call.method == "spawn_blocking" => match &*closure.body {
                Expr::Block(body)
                    if is_open(&body.block) && matches!(closure.output, ReturnType::Default) =>
                {
                    self.hint("hint_blocking", call, argument)
                }
                _ => None,
            },
            _ => None,
        };
        if let (Some(argument), Some(hinted)) = (call.args.last_mut(), hinted) {
            *argument = hinted;
        }
    }

    fn visit_item_mut(&mut self, _: &mut syn::Item) {}
}

/// Whether a block has a `?` in it, ends with a bare `Ok(…)`, and no `return` in it
/// says which error it has.
fn is_open(block: &Block) -> bool {
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
    ok && bare && exits.question && !exits.typed
}

/// What ends the block itself.
#[derive(Default)]
struct Exits {
    question: bool,
    /// A `return` whose value may have an error type of its own.
    typed: bool,
}

impl<'ast> Visit<'ast> for Exits {
    fn visit_expr_try(&mut self, expr: &'ast syn::ExprTry) {
        self.question = true;
        visit::visit_expr_try(self, expr);
    }

    fn visit_expr_return(&mut self, expr: &'ast syn::ExprReturn) {
        self.typed |= !expr.expr.as_deref().is_some_and(says_no_error);
        visit::visit_expr_return(self, expr);
    }

    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'ast syn::Item) {}
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
