//! Loops with a checkpoint, and the locks under which a loop has none.
//!
//! ```text
//! #[checkpoint] for n in numbers { … }
//!
//! for n in numbers { if closed() { gate().await } … }              // in async code
//! for n in numbers { if let Some(c) = refused() { return … } … }   // in a blocking function
//! ```

use crate::diag::Mistake;
use crate::rewrite::jumps::Nesting;
use crate::rewrite::{CodeKind, Rewriter};
use crate::syntax::editor::only_statement;
use crate::syntax::item::is_marker;
use crate::syntax::lock::{match_takes_lock, matches_on_lock, takes_lock};
use crate::syntax::path::mixed;
use crate::syntax::span::end_of;
use proc_macro2::Span;
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Attribute, Block, Expr, ExprForLoop, ExprIf, ExprMatch, ExprWhile, Label, Stmt};

impl Rewriter<'_> {
    pub(super) fn visit_for(&mut self, expr: &mut ExprForLoop) {
        let (keyword, locks) = (expr.for_token.span, takes_lock(&expr.expr));
        self.visit_expr_mut(&mut expr.expr);
        self.groups.bind(&expr.pat, None);
        self.within_lock(locks, |this| {
            this.visit_rounds(keyword, &expr.label, &mut expr.attrs, &mut expr.body);
        });
    }

    pub(super) fn visit_while(&mut self, expr: &mut ExprWhile) {
        let (keyword, locks) = (expr.while_token.span, matches_on_lock(&expr.cond));
        self.visit_expr_mut(&mut expr.cond);
        self.within_lock(locks, |this| {
            this.visit_rounds(keyword, &expr.label, &mut expr.attrs, &mut expr.body);
        });
    }

    /// The iterations of any loop.
    pub(super) fn visit_rounds(
        &mut self,
        keyword: Span,
        label: &Option<Label>,
        attrs: &mut Vec<Attribute>,
        body: &mut Block,
    ) {
        let level = Nesting::Loop(label.as_ref().map(|label| label.name.clone()));
        self.below(level, |this| this.visit_block_mut(body));
        let markers = take_markers(attrs);
        let checkpoint = self
            .has_checkpoint(&markers)
            .then(|| self.loop_checkpoint(keyword));
        let names = markers.iter().filter_map(|marker| self.name_of(marker));
        body.stmts.splice(..0, checkpoint.into_iter().chain(names));
    }

    pub(super) fn visit_match(&mut self, expr: &mut ExprMatch) {
        let locks = match_takes_lock(expr);
        self.visit_attributes_mut(&mut expr.attrs);
        self.visit_expr_mut(&mut expr.expr);
        self.within_lock(locks, |this| {
            expr.arms.iter_mut().for_each(|arm| this.visit_arm_mut(arm));
        });
    }

    // Up to edition 2021, what an `if let` takes is held in its `else`, too.
    pub(super) fn visit_if(&mut self, expr: &mut ExprIf) {
        let locks = matches_on_lock(&expr.cond);
        self.visit_attributes_mut(&mut expr.attrs);
        self.visit_expr_mut(&mut expr.cond);
        self.within_lock(locks, |this| {
            this.visit_block_mut(&mut expr.then_branch);
            if let Some((_, otherwise)) = &mut expr.else_branch {
                this.visit_expr_mut(otherwise);
            }
        });
    }

    // Runs `visit` where a lock may be held.
    fn within_lock(&mut self, locks: bool, visit: impl FnOnce(&mut Self)) {
        let outer = self.scope.locked;
        self.scope.locked |= locks;
        visit(self);
        self.scope.locked = outer;
    }

    fn loop_checkpoint(&self, keyword: Span) -> Stmt {
        match &self.refusal {
            Some(refusal) if self.scope.kind == CodeKind::Blocking => {
                let leave = refusal.unless_refused(self.krate, keyword);
                Stmt::Expr(Expr::Verbatim(leave), None)
            }
            // Not a gate alone: while it is open, a round writes nothing for it to the future.
            _ => {
                let (span, gate) = (end_of(keyword), self.gate(keyword));
                let closed = self.call("closed", span);
                let pause = quote_spanned!(mixed(span)=> if #closed { #gate });
                Stmt::Expr(Expr::Verbatim(pause), None)
            }
        }
    }

    // Whether a loop gets a checkpoint.
    fn has_checkpoint(&mut self, markers: &[Attribute]) -> bool {
        let find = |name| markers.iter().rfind(|marker| is_marker(marker, name));
        let (marked, unmarked) = (find("checkpoint"), find("no_checkpoint"));
        let all = match self.scope.kind {
            CodeKind::Blocking => true,
            CodeKind::Plain => {
                if let Some(marker) = marked {
                    let mistake = self.refusal.as_ref().map_or(&IN_PLAIN, |_| &IN_CLOSURE);
                    self.diag.report_over(marker, mistake);
                }
                return false;
            }
            CodeKind::Async | CodeKind::Group | CodeKind::Cleanup(_) => {
                self.options.loops && !self.scope.locked
            }
        };
        (marked.is_some() || all) && unmarked.is_none()
    }

    // To an editor, the marker's name, with its definition and documentation.
    fn name_of(&self, marker: &Attribute) -> Option<Stmt> {
        let name = marker.path().segments.last().map(|last| &last.ident);
        let private = self.krate.private(end_of(marker.path().span()));
        only_statement(&quote_spanned!(Span::mixed_site()=> use #private::#name as _;))
    }
}

// Takes the markers off a loop.
fn take_markers(attrs: &mut Vec<Attribute>) -> Vec<Attribute> {
    let markers = attrs.extract_if(.., |attr| {
        is_marker(attr, "checkpoint") || is_marker(attr, "no_checkpoint")
    });
    markers.collect()
}

const IN_PLAIN: Mistake = Mistake {
    what: "`#[checkpoint]` in code that is not async",
    why: "a checkpoint awaits, and a plain closure or function cannot",
    help: "put it on a loop of the async code, or make the closure `async`",
};

const IN_CLOSURE: Mistake = Mistake {
    what: "`#[checkpoint]` in a closure of a blocking function",
    why: "the checkpoint of a loop returns, which would leave the closure alone",
    help: "write the loop outside the closure, or call `taskscope::thread::checkpoint_blocking()` in it",
};
