//! What is reported before anything is rewritten. Nothing here changes the code.
//!
//! Most reports are about a function, a method or a macro with a known name: `rules.rs` lists the
//! names, and `named.rs` finds them in the code. A macro sees names, not types, so a name is reported only where
//! it tells enough by itself: `tokio::spawn`, but not a bare `spawn`, nor `self::task::spawn`.
//! Each check that needs more than a name has a module of its own.
//!
//! A plain closure may run anywhere, on a blocking thread too, so `blocking` reports nothing in it. A
//! task is detached and a future dropped there as well.

pub(crate) mod ending;
mod endless;
mod item;
mod marker;
mod named;
mod plain;
mod recursion;
mod select;
mod send;
mod streams;

pub(crate) use item::{
    check_body, check_function, check_other, expanded_at, is_expanded, stray_guard, stray_marker,
};
use named::is_select;
pub(crate) use plain::{check_blocking, returns_result};
pub(crate) use recursion::FunctionKind;
pub(crate) use send::{check_send, refuse_boxed};
use streams::Streams;

use crate::diag::{Diag, Mistake};
use crate::rules::Check;
use crate::syntax::group;
use crate::syntax::groups::name_of;
use crate::syntax::known::{arguments, is_literal, is_transparent};
use crate::syntax::lock::{match_takes_lock, matches_on_lock, takes_lock};
use crate::syntax::options::{CheckLevel, Levels, Options};
use crate::syntax::own::Own;
use crate::syntax::path::{Crate, mixed};
use crate::syntax::race;
use crate::syntax::span::ends;
use crate::syntax::text::text;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote_spanned};
use std::mem;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, Expr, ExprCall, ExprMethodCall, FnArg, Macro, Pat, Signature, Stmt, Type,
};

/// Reads the bodies of one macro input.
pub(crate) struct Checker<'a> {
    krate: &'a Crate,
    diag: &'a mut Diag,
    levels: Levels,
    /// Every loop gets a checkpoint, not only the marked ones.
    loops: bool,
    site: Site,
    /// What the group at hand is called, if there is one.
    group: Option<String>,
    /// What is declared around the code at hand, and in it.
    pub(crate) own: Own,
    /// In a plain function or closure.
    is_plain: bool,
    /// Where a lock is held that is taken in a head around the code: no loop has a checkpoint there
    /// that is not marked.
    is_locked: bool,
    /// Statements to put into the body, of which rustc warns.
    pub(crate) warnings: Vec<Stmt>,
}

/// Whose options switch a check off.
#[derive(Clone, Copy)]
pub(crate) enum Site {
    Attribute,
    Group,
    Main,
}

/// A finding: what is wrong, why, what to write instead.
struct Finding {
    check: Check,
    what: String,
    why: &'static str,
    help: String,
}

impl<'a> Checker<'a> {
    pub(crate) fn new(krate: &'a Crate, diag: &'a mut Diag, options: &Options, site: Site) -> Self {
        Self {
            krate,
            diag,
            levels: options.levels,
            warnings: Vec::new(),
            loops: options.loops,
            site,
            group: None,
            own: Own::default(),
            is_plain: false,
            is_locked: false,
        }
    }

    /// Reads a function, around which `own` is declared.
    pub(crate) fn read_function(&mut self, sig: &Signature, block: &Block, own: &Own) {
        self.is_plain = sig.asyncness.is_none();
        self.group = sig.inputs.iter().find_map(group_argument);
        self.own = own.clone();
        self.own.visit_signature(sig);
        self.read_body(block);
    }

    /// Reads the body of an async function.
    pub(crate) fn read_body(&mut self, block: &Block) {
        self.own.visit_block(block);
        self.visit_block(block);
        self.check_streams(|streams| streams.visit_block(block));
    }

    /// Reads what a group is made with: the value of an option, or the body.
    pub(crate) fn read_expr(&mut self, expr: &Expr, group: Option<&Pat>) {
        self.group = group.and_then(name_of).map(Ident::to_string);
        self.own.visit_expr(expr);
        self.visit_expr(expr);
        self.check_streams(|streams| streams.visit_expr(expr));
    }

    /// Reports where an async function, already read, spawns itself.
    pub(crate) fn report_recursion(
        &mut self,
        sig: &Signature,
        block: &Block,
        kind: FunctionKind,
    ) -> bool {
        let calls = {
            let code_in = |mac: &Macro| self.all_code_in(mac);
            recursion::find((sig, &block.stmts), kind, self.krate, &self.own, &code_in)
        };
        let (what, why, help) = recursion::mistake(&sig.ident);
        let what = &what;
        for call in &calls {
            self.diag.report_over(call, &Mistake { what, why, help });
        }
        !calls.is_empty()
    }

    /// Reads the body of `#[taskscope::main]` for signals that the attribute handles.
    ///
    /// ```text
    /// race! {
    ///     result = serve() => result?,
    ///     _ = tokio::signal::ctrl_c() => flush().await,   // `main` is cancelled at the same moment
    /// }
    /// ```
    ///
    /// The signal reaches both, so the code after the wait races with the cancellation of `main`.
    /// `stopping()` comes first, and the code after it has the time of `drain`.
    ///
    /// The body is read as it was written or as `#[cancellable]` has left it, with the bodies of its
    /// groups. Other functions are not read, the usual `shutdown_signal()` among them.
    pub(crate) fn report_signals(&mut self, block: &Block) {
        self.own.visit_block(block);
        self.visit_block(block);
    }

    fn check_streams(&mut self, visit: impl FnOnce(&mut Streams)) {
        if self.levels.of(Check::HardDrop) == CheckLevel::Allow {
            return;
        }
        let findings = {
            let code_in = |mac: &Macro| (self.code_in(mac), self.is_race(mac));
            let mut streams = Streams::new(&self.own, &code_in);
            visit(&mut streams);
            streams.findings(&self.crate_name())
        };
        for (at, finding) in findings {
            if self.levels.of(Check::HardDrop) == CheckLevel::Deny {
                let switch = self.switch(Check::HardDrop);
                let remedy = format!(
                    "if what it holds has no cleanup, remove `deny(hard_drop)`: then this is a \
                     warning, which {switch} switches off"
                );
                self.report_with(at, &finding, &remedy);
            } else {
                self.warn(&at);
            }
        }
    }

    // A stable macro has no warnings of its own; rustc has one for what is deprecated.
    fn warn(&mut self, at: &TokenStream) {
        let span = ends(at).0;
        let krate = self.krate.at(span);
        let path = quote_spanned!(span=> #krate::warnings::hard_drop);
        let warning = quote_spanned!(mixed(span)=> let _ = #path;);
        self.warnings
            .push(Stmt::Expr(Expr::Verbatim(warning), None));
    }

    fn report(&mut self, at: impl ToTokens, finding: &Finding) {
        if self.is_off(finding.check) {
            return;
        }
        let switch = self.switch(finding.check);
        let remedy = format!("if it has to be so, {switch} switches this check off");
        self.report_with(at, finding, &remedy);
    }

    fn report_with(&mut self, at: impl ToTokens, finding: &Finding, remedy: &str) {
        let help = format!("{}\n  = help: {remedy}", finding.help);
        self.diag.report_over(
            at,
            &Mistake {
                what: &finding.what,
                why: finding.why,
                help: &help,
            },
        );
    }

    // What the user writes to switch a check off.
    fn switch(&self, check: Check) -> String {
        let check = check.name();
        match self.site {
            Site::Attribute => format!("`#[cancellable(allow({check}))]`"),
            Site::Group => format!("`task_group!(allow({check}), …)`"),
            Site::Main => format!("`#[{}::main(allow({check}))]`", self.crate_name()),
        }
    }

    fn is_off(&self, check: Check) -> bool {
        (check == Check::Signals) != self.is_for_signals()
            || check == Check::Blocking && self.is_plain
            || self.levels.of(check) == CheckLevel::Allow
    }

    // Whether nothing but signals is looked for.
    fn is_for_signals(&self) -> bool {
        matches!(self.site, Site::Main)
    }

    /// What the user calls this crate.
    fn crate_name(&self) -> String {
        self.krate
            .option()
            .map_or_else(|| "taskscope".to_owned(), text)
    }

    fn check_loop(&mut self, expr: &Expr, attrs: &[Attribute]) {
        if !self.is_for_signals() {
            marker::check_loop(attrs, self.diag);
        }
        if let Some((at, finding)) = endless::check(expr, self.loops && !self.is_locked, &self.own)
        {
            self.report(at, &finding);
        }
    }

    // The code in the arguments of a macro, where they are known to hold some. A group is
    // read when it is expanded: it has options of its own.
    fn code_in(&self, mac: &Macro) -> Vec<Stmt> {
        let is_ours = |name| self.own.is_ours(self.krate, &mac.path, name);
        if is_ours("defer") || is_ours("on_cancel") {
            return mac.parse_body_with(Block::parse_within).unwrap_or_default();
        }
        let exprs = if self.is_race(mac) {
            race::expressions(mac)
        } else if is_transparent(&mac.path) {
            arguments(mac).map(|(parts, _)| parts.into_iter().map(|(expr, _)| expr).collect())
        } else {
            None
        };
        let exprs: Vec<_> = exprs.unwrap_or_default();
        exprs
            .into_iter()
            .map(|expr| Stmt::Expr(expr, None))
            .collect()
    }

    // The same with the bodies of groups.
    fn all_code_in(&self, mac: &Macro) -> Vec<Stmt> {
        if !self.own.is_ours(self.krate, &mac.path, "task_group") {
            return self.code_in(mac);
        }
        let exprs = group::expressions(mac).unwrap_or_default().into_iter();
        exprs.map(|expr| Stmt::Expr(expr, None)).collect()
    }

    fn is_race(&self, mac: &Macro) -> bool {
        let is_select = |(key, _): (String, _)| is_select(&key);
        self.own.is_ours(self.krate, &mac.path, "race")
            || self.find_macro(mac).is_some_and(is_select)
    }

    fn in_other_code(&mut self, plain: bool, visit: impl FnOnce(&mut Self)) {
        let outer = (
            mem::replace(&mut self.is_plain, plain),
            mem::take(&mut self.is_locked),
        );
        visit(self);
        (self.is_plain, self.is_locked) = outer;
    }

    fn below_lock(&mut self, locks: bool, visit: impl FnOnce(&mut Self)) {
        let outer = self.is_locked;
        self.is_locked |= locks;
        visit(self);
        self.is_locked = outer;
    }
}

impl<'ast> Visit<'ast> for Checker<'_> {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Path(expr) => self.check_function(expr, None),
            Expr::Loop(parts) => {
                self.check_loop(expr, &parts.attrs);
                self.visit_block(&parts.body);
            }
            Expr::While(parts) => {
                self.check_loop(expr, &parts.attrs);
                self.visit_expr(&parts.cond);
                self.below_lock(matches_on_lock(&parts.cond), |this| {
                    this.visit_block(&parts.body);
                });
            }
            Expr::ForLoop(parts) => {
                self.check_loop(expr, &parts.attrs);
                self.visit_expr(&parts.expr);
                self.below_lock(takes_lock(&parts.expr), |this| {
                    this.visit_block(&parts.body);
                });
            }
            Expr::Match(parts) => {
                parts
                    .attrs
                    .iter()
                    .for_each(|attr| self.visit_attribute(attr));
                self.visit_expr(&parts.expr);
                self.below_lock(match_takes_lock(parts), |this| {
                    parts.arms.iter().for_each(|arm| this.visit_arm(arm));
                });
            }
            _ => visit::visit_expr(self, expr),
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        call.attrs
            .iter()
            .for_each(|attr| self.visit_attribute(attr));
        if let Expr::Path(func) = &*call.func {
            self.check_function(func, Some(&call.args));
            if self.is_for_signals() {
                self.check_signal(call);
            }
        } else {
            self.visit_expr(&call.func);
        }
        for arg in &call.args {
            self.visit_expr(arg);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.check_method(call);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.in_other_code(closure.asyncness.is_none(), |this| {
            this.visit_expr(&closure.body);
        });
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.in_other_code(false, |this| this.visit_block(&block.block));
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        self.check_macro(mac);
        let stmts = if self.is_for_signals() {
            let stmts = self.all_code_in(mac);
            stmts.iter().for_each(|stmt| self.own.visit_stmt(stmt));
            stmts
        } else {
            self.code_in(mac)
        };
        stmts.iter().for_each(|stmt| self.visit_stmt(stmt));
    }

    fn visit_attribute(&mut self, attr: &'ast Attribute) {
        if !self.is_for_signals() {
            marker::check_other(attr, self.diag);
        }
    }

    // Of a pattern, only the guard of a match arm is code.
    fn visit_pat(&mut self, pat: &'ast Pat) {
        if let Pat::Guard(pat) = pat {
            self.visit_expr(&pat.guard);
        }
    }

    // Other items, types and constants are no code of this function.
    fn visit_item(&mut self, _: &'ast syn::Item) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
    fn visit_expr_repeat(&mut self, array: &'ast syn::ExprRepeat) {
        self.visit_expr(&array.expr);
    }

    // What never runs is there for its types: `#[tracing::instrument]` writes
    // `if false { let output: T = loop {}; … }`.
    fn visit_expr_if(&mut self, expr: &'ast syn::ExprIf) {
        if !is_literal(&expr.cond, false) {
            expr.attrs
                .iter()
                .for_each(|attr| self.visit_attribute(attr));
            self.visit_expr(&expr.cond);
            self.below_lock(matches_on_lock(&expr.cond), |this| {
                this.visit_block(&expr.then_branch);
                if let Some((_, otherwise)) = &expr.else_branch {
                    this.visit_expr(otherwise);
                }
            });
        } else if let Some((_, otherwise)) = &expr.else_branch {
            self.visit_expr(otherwise);
        }
    }
}

// What a function calls the group that it is given.
fn group_argument(input: &FnArg) -> Option<String> {
    match input {
        FnArg::Typed(input) if is_group(&input.ty) => name_of(&input.pat).map(Ident::to_string),
        _ => None,
    }
}

fn is_group(ty: &Type) -> bool {
    match ty {
        Type::Reference(ty) => is_group(&ty.elem),
        Type::Path(ty) => {
            let last = ty.path.segments.last();
            last.is_some_and(|last| last.ident == "Group" || last.ident == "LocalGroup")
        }
        _ => false,
    }
}
