//! [blocking]: loops that nothing can end.

use super::{Finding, Own};
use crate::rules::Check;
use crate::syntax::item::has_marker;
use crate::syntax::known::{arguments, is_literal, is_quiet};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::visit::{self, Visit};
use syn::{Attribute, Expr, Label, Lifetime, Macro};

/// A `loop` or `while true` that can neither await nor end, and has no checkpoint.
pub(super) fn check(expr: &Expr, loops: bool, own: &Own) -> Option<(TokenStream, Finding)> {
    let endless = Endless::of(expr)?;
    if has_checkpoint(endless.attrs, loops) || endless.has_way_out(loops, own) {
        return None;
    }
    let help = if has_marker(endless.attrs, "no_checkpoint") {
        "remove `#[no_checkpoint]`"
    } else {
        "write `#[checkpoint]` above it: then each iteration can be cancelled and lets others run"
    };
    let mut help = help.to_owned();
    if Calls::any_in(endless.body) {
        help += "\n  = help: if a function in it never returns, no macro can see that: switch this check off";
    }
    let finding = Finding {
        check: Check::Blocking,
        what: format!("this `{}` can never be cancelled", endless.keyword),
        why: "there is no await, `break`, `return` or `?` in it, so that it never stops nor waits",
        help,
    };
    Some((endless.keyword, finding))
}

/// A loop without a condition.
struct Endless<'e> {
    attrs: &'e [Attribute],
    label: Option<&'e Label>,
    /// `loop` or `while true`
    keyword: TokenStream,
    body: &'e syn::Block,
}

impl<'e> Endless<'e> {
    fn of(expr: &'e Expr) -> Option<Self> {
        match expr {
            Expr::Loop(expr) => Some(Self {
                attrs: &expr.attrs,
                label: expr.label.as_ref(),
                keyword: expr.loop_token.to_token_stream(),
                body: &expr.body,
            }),
            Expr::While(expr) if is_literal(&expr.cond, true) => {
                let (keyword, condition) = (&expr.while_token, &expr.cond);
                Some(Self {
                    attrs: &expr.attrs,
                    label: expr.label.as_ref(),
                    keyword: quote!(#keyword #condition),
                    body: &expr.body,
                })
            }
            _ => None,
        }
    }

    fn has_way_out(&self, loops: bool, own: &Own) -> bool {
        let mut ways = WaysOut {
            label: self.label.map(|label| &label.name),
            inner: Vec::new(),
            depth: 0,
            loops,
            own,
            found: false,
        };
        ways.visit_block(self.body);
        ways.found
    }
}

fn has_checkpoint(attrs: &[Attribute], loops: bool) -> bool {
    (loops || has_marker(attrs, "checkpoint")) && !has_marker(attrs, "no_checkpoint")
}

/// Looks for what waits in a loop or ends it. Where that cannot be known, in a macro,
/// it counts as found.
struct WaysOut<'e> {
    label: Option<&'e Lifetime>,
    /// Labels inside of the loop.
    inner: Vec<&'e Lifetime>,
    /// How many loops further in.
    depth: usize,
    loops: bool,
    /// What is declared around the loop.
    own: &'e Own,
    found: bool,
}

impl<'e> WaysOut<'e> {
    fn visit_inner(&mut self, label: Option<&'e Label>, is_loop: bool, expr: &'e Expr) {
        self.inner.extend(label.map(|label| &label.name));
        self.depth += usize::from(is_loop);
        visit::visit_expr(self, expr);
        self.depth -= usize::from(is_loop);
        if label.is_some() {
            self.inner.pop();
        }
    }

    fn visit_inner_loop(&mut self, attrs: &[Attribute], label: Option<&'e Label>, expr: &'e Expr) {
        // One that has no way out either is reported itself, and enough.
        let stays = Endless::of(expr).is_some_and(|inner| !inner.has_way_out(self.loops, self.own));
        self.found |= stays || has_checkpoint(attrs, self.loops);
        if !self.found {
            self.visit_inner(label, true, expr);
        }
    }

    fn is_inner(&self, label: &Lifetime) -> bool {
        self.inner.iter().any(|inner| inner.ident == label.ident)
    }

    fn is_own_label(&self, label: &Lifetime) -> bool {
        self.label.is_some_and(|own| own.ident == label.ident)
    }
}

impl<'ast> Visit<'ast> for WaysOut<'ast> {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        if self.found {
            return;
        }
        match expr {
            Expr::Await(_)
            | Expr::Return(_)
            | Expr::Try(_)
            | Expr::Yield(_)
            | Expr::Verbatim(_) => {
                self.found = true;
            }
            Expr::Break(jump) => {
                self.found = match &jump.label {
                    None => self.depth == 0,
                    Some(label) => !self.is_inner(label),
                };
                visit::visit_expr(self, expr);
            }
            Expr::Continue(jump) => {
                let label = jump.label.as_ref();
                self.found =
                    label.is_some_and(|label| !self.is_inner(label) && !self.is_own_label(label));
            }
            Expr::Loop(inner) => self.visit_inner_loop(&inner.attrs, inner.label.as_ref(), expr),
            Expr::While(inner) => self.visit_inner_loop(&inner.attrs, inner.label.as_ref(), expr),
            Expr::ForLoop(inner) => self.visit_inner_loop(&inner.attrs, inner.label.as_ref(), expr),
            Expr::Block(block) => self.visit_inner(block.label.as_ref(), false, expr),
            Expr::Call(call) if diverges(&call.func, self.own) => self.found = true,
            // Code of their own, which runs elsewhere.
            Expr::Async(_) | Expr::Closure(_) | Expr::Const(_) => {}
            _ => visit::visit_expr(self, expr),
        }
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let args = arguments(mac).filter(|_| is_quiet(&mac.path));
        let Some((args, _)) = args else {
            self.found = true;
            return;
        };
        for (arg, _) in &args {
            let mut inside = WaysOut {
                label: None,
                inner: Vec::new(),
                depth: self.depth,
                loops: self.loops,
                own: self.own,
                found: false,
            };
            inside.visit_expr(arg);
            self.found |= inside.found;
        }
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
}

/// Whether a function is called, which might not return.
struct Calls(bool);

impl Calls {
    fn any_in(body: &syn::Block) -> bool {
        let mut calls = Self(false);
        calls.visit_block(body);
        calls.0
    }
}

impl<'ast> Visit<'ast> for Calls {
    fn visit_expr_call(&mut self, _: &'ast syn::ExprCall) {
        self.0 = true;
    }

    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

/// Functions of the standard library that do not return.
const DIVERGING: &[&str] = &[
    "exit",
    "abort",
    "resume_unwind",
    "panic_any",
    "unreachable_unchecked",
];

fn diverges(func: &Expr, own: &Own) -> bool {
    let Expr::Path(func) = func else {
        return false;
    };
    let is_own = |name| own.is_endless(name);
    let last = func.path.segments.last();
    last.is_some_and(|last| DIVERGING.iter().any(|name| last.ident == name) || is_own(&last.ident))
}
