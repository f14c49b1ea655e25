//! What is reported before anything is rewritten. Nothing here changes the code.
//!
//! A macro sees names, not types, so a structure check fires only where a path is
//! telling by itself: `tokio::spawn`, but not a bare `spawn`, nor `self::task::spawn`.
//! A plain closure may run anywhere, on a blocking thread too, so that [blocking] has
//! nothing to say about it; a task is detached and a future dropped there as well.

mod blocking;
mod detached;
pub(crate) mod ending;
mod endless;
mod hard_drop;
mod item;
mod marker;
mod plain;
mod recursion;
mod send;
mod signals;
mod streams;

pub(crate) use item::{
    check_body, check_function, check_other, expanded_at, is_expanded, stray_guard, stray_marker,
};
pub(crate) use plain::{check_blocking, returns_result};
pub(crate) use recursion::FunctionPlace;
pub(crate) use send::{check_send, refuse_boxed};
use signals::SignalCheck;
use streams::Streams;

use crate::diag::{Diag, Mistake};
use crate::syntax::group;
use crate::syntax::known::{arguments, is_transparent, names, strs};
use crate::syntax::lock::{match_takes_lock, matches_on_lock, takes_lock};
use crate::syntax::options::{CheckLevel, Levels, Options};
use crate::syntax::own::{CRATES, Own};
use crate::syntax::path::{Crate, mixed};
use crate::syntax::race;
use crate::syntax::span::ends;
use crate::syntax::text::{short, text};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote_spanned};
use std::mem;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Block, Expr, ExprCall, ExprMethodCall, ExprPath, FnArg, Lit, Macro, Pat, Signature,
    Stmt, Token, Type, TypePath,
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
    plain: bool,
    /// Where a lock is held that is taken in a head around the code: no loop has a checkpoint there
    /// that is not marked.
    locked: bool,
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

/// The checks that can be switched off.
#[derive(Clone, Copy)]
enum Check {
    Detached,
    Blocking,
    HardDrop,
    /// In the body of `#[taskscope::main]` alone.
    Signals,
}

/// A finding: what is wrong, why, what to write instead.
struct Finding {
    check: Check,
    what: String,
    why: &'static str,
    help: String,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Blocking => "blocking",
            Self::HardDrop => "hard_drop",
            Self::Signals => "signals",
        }
    }
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
            plain: false,
            locked: false,
        }
    }

    /// Reads a function, around which `own` is declared.
    pub(crate) fn function(&mut self, sig: &Signature, block: &Block, own: &Own) {
        self.plain = sig.asyncness.is_none();
        self.group = sig.inputs.iter().find_map(group_argument);
        self.own = own.clone();
        self.own.visit_signature(sig);
        self.body(block);
    }

    /// Reads the body of an async function.
    pub(crate) fn body(&mut self, block: &Block) {
        self.own.visit_block(block);
        self.visit_block(block);
        self.check_streams(|streams| streams.visit_block(block));
    }

    /// Reads what a group is made with: the value of an option, or the body.
    pub(crate) fn expr(&mut self, expr: &Expr, group: Option<&Pat>) {
        self.group = group.and_then(name_of);
        self.own.visit_expr(expr);
        self.visit_expr(expr);
        self.check_streams(|streams| streams.visit_expr(expr));
    }

    /// Reports where an async function, already read, spawns itself.
    pub(crate) fn recursion(
        &mut self,
        sig: &Signature,
        block: &Block,
        place: FunctionPlace,
    ) -> bool {
        let calls = {
            let code_in = |mac: &Macro| self.all_code_in(mac);
            recursion::find((sig, &block.stmts), place, self.krate, &self.own, &code_in)
        };
        let (what, why, help) = recursion::mistake(&sig.ident);
        let what = &what;
        for call in &calls {
            self.diag.mistake_over(call, &Mistake { what, why, help });
        }
        !calls.is_empty()
    }

    /// Reads the body of `#[taskscope::main]` for signals that the attribute handles.
    pub(crate) fn signals(&mut self, block: &Block) {
        self.own.visit_block(block);
        let findings = {
            let code_in = |mac: &Macro| self.all_code_in(mac);
            let mut signals = SignalCheck::new(&self.own, &code_in);
            signals.visit_block(block);
            signals.findings(&self.crate_name())
        };
        for (at, finding) in findings {
            self.report(at, &finding);
        }
    }

    fn check_streams(&mut self, visit: impl FnOnce(&mut Streams)) {
        if self.levels.hard_drop == CheckLevel::Allow {
            return;
        }
        let findings = {
            let code_in = |mac: &Macro| (self.code_in(mac), self.is_race(mac));
            let mut streams = Streams::new(&self.own, &code_in);
            visit(&mut streams);
            streams.findings(&self.crate_name())
        };
        for (at, finding) in findings {
            if self.levels.hard_drop == CheckLevel::Deny {
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
        self.diag.mistake_over(
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

    fn is_own(&self, path: &[&str]) -> bool {
        path.first().is_some_and(|first| self.own.has_item(first))
    }

    fn is_off(&self, check: Check) -> bool {
        match check {
            Check::Detached => self.levels.detached == CheckLevel::Allow,
            Check::Blocking => self.levels.blocking == CheckLevel::Allow || self.plain,
            Check::HardDrop => self.levels.hard_drop == CheckLevel::Allow,
            Check::Signals => false,
        }
    }

    /// What the user calls this crate.
    fn crate_name(&self) -> String {
        self.krate
            .option()
            .map_or_else(|| "taskscope".to_owned(), text)
    }

    // The path of a function, with its arguments where it is called.
    fn check_path(&mut self, path: &ExprPath, args: Option<&Punctuated<Expr, Token![,]>>) {
        // Most paths are locals: one name alone tells nothing, if it is not imported.
        if path.path.segments.len() < 2 && path.qself.is_none() && !self.own.has_aliases() {
            return;
        }
        let names = function_names(path, &self.own);
        let strs = strs(&names);
        if self.is_own(&strs) {
            return;
        }
        let call = Call {
            path,
            args,
            krate: &self.crate_name(),
        };
        let finding = detached::check(&strs, &call, self.group.as_deref())
            .or_else(|| blocking::check_path(&strs, &call))
            .or_else(|| hard_drop::check_path(&strs, &call));
        if let Some(mut finding) = finding {
            finding.help.extend(if_own(&strs));
            self.report(path, &finding);
        }
    }

    // A method at the end of a chain that begins with a function.
    fn check_built(&self, call: &ExprMethodCall) -> Option<Finding> {
        let names = function_names(maker(&call.receiver)?, &self.own);
        let strs = strs(&names);
        if self.is_own(&strs) {
            return None;
        }
        blocking::check_built(&strs, call, &self.crate_name())
    }

    fn check_loop(&mut self, expr: &Expr, attrs: &[Attribute]) {
        marker::check_loop(attrs, self.diag);
        if let Some((at, finding)) = endless::check(expr, self.loops && !self.locked, &self.own) {
            self.report(at, &finding);
        }
    }

    // A bare `timeout` is taken for this crate's, unless it is declared in the code.
    fn check_lent(&mut self, call: &ExprCall, func: &ExprPath) {
        let names = ["timeout", "timeout_at"];
        let is_ours = |name: &&str| self.krate.names(&func.path, name);
        let Some(name) = names.into_iter().find(is_ours) else {
            return;
        };
        if func.path.get_ident().is_some() && self.own.has_value(name) {
            return;
        }
        let call = Call {
            path: func,
            args: Some(&call.args),
            krate: &self.crate_name(),
        };
        if let Some((future, finding)) = hard_drop::check_lent(name, &call) {
            self.report(future, &finding);
        }
    }

    fn check_macro(&mut self, mac: &Macro) {
        let names = self.own.macro_names(&mac.path);
        if self.is_own(&strs(&names)) {
            return;
        }
        if let Some(finding) = hard_drop::check_macro(&strs(&names), mac, &self.crate_name()) {
            self.report(&mac.path, &finding);
        }
    }

    // The code in the arguments of a macro, where they are known to hold some. A
    // group's body is left to its own macro, which is handed the options.
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
        let is_select = || {
            let names = self.own.macro_names(&mac.path);
            hard_drop::is_select(&strs(&names), mac)
        };
        self.own.is_ours(self.krate, &mac.path, "race") || is_select()
    }

    fn within(&mut self, plain: bool, visit: impl FnOnce(&mut Self)) {
        let outer = (
            mem::replace(&mut self.plain, plain),
            mem::take(&mut self.locked),
        );
        visit(self);
        (self.plain, self.locked) = outer;
    }

    fn locked(&mut self, locks: bool, visit: impl FnOnce(&mut Self)) {
        let outer = self.locked;
        self.locked |= locks;
        visit(self);
        self.locked = outer;
    }
}

impl<'ast> Visit<'ast> for Checker<'_> {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Path(expr) => self.check_path(expr, None),
            Expr::Loop(parts) => {
                self.check_loop(expr, &parts.attrs);
                self.visit_block(&parts.body);
            }
            Expr::While(parts) => {
                self.check_loop(expr, &parts.attrs);
                self.visit_expr(&parts.cond);
                self.locked(matches_on_lock(&parts.cond), |this| {
                    this.visit_block(&parts.body);
                });
            }
            Expr::ForLoop(parts) => {
                self.check_loop(expr, &parts.attrs);
                self.visit_expr(&parts.expr);
                self.locked(takes_lock(&parts.expr), |this| {
                    this.visit_block(&parts.body);
                });
            }
            Expr::Match(parts) => {
                parts
                    .attrs
                    .iter()
                    .for_each(|attr| self.visit_attribute(attr));
                self.visit_expr(&parts.expr);
                self.locked(match_takes_lock(parts), |this| {
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
            self.check_path(func, Some(&call.args));
            self.check_lent(call, func);
        } else {
            self.visit_expr(&call.func);
        }
        for arg in &call.args {
            self.visit_expr(arg);
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        // A method of `self` is the user's own.
        if !matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("self")) {
            let krate = self.crate_name();
            let finding = blocking::check_method(call, &krate)
                .or_else(|| self.check_built(call))
                .or_else(|| hard_drop::check_method(call, &krate));
            if let Some(finding) = finding {
                self.report(&call.method, &finding);
            }
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_closure(&mut self, closure: &'ast syn::ExprClosure) {
        self.within(closure.asyncness.is_none(), |this| {
            this.visit_expr(&closure.body);
        });
    }

    fn visit_expr_async(&mut self, block: &'ast syn::ExprAsync) {
        self.within(false, |this| this.visit_block(&block.block));
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        self.check_macro(mac);
        for stmt in &self.code_in(mac) {
            self.visit_stmt(stmt);
        }
    }

    fn visit_attribute(&mut self, attr: &'ast Attribute) {
        marker::check_other(attr, self.diag);
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
        if !is_false(&expr.cond) {
            expr.attrs
                .iter()
                .for_each(|attr| self.visit_attribute(attr));
            self.visit_expr(&expr.cond);
            self.locked(matches_on_lock(&expr.cond), |this| {
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

fn is_false(cond: &Expr) -> bool {
    let Expr::Lit(cond) = cond else {
        return false;
    };
    matches!(&cond.lit, Lit::Bool(value) if !value.value)
}

// `tokio::task::JoinSet::new`, also of `<JoinSet<_>>::new` and `<JoinSet<_> as Default>::default`.
fn function_names(path: &ExprPath, own: &Own) -> Vec<String> {
    let Some(of) = &path.qself else {
        return own.names(&path.path);
    };
    let Type::Path(TypePath {
        qself: None,
        path: ty,
        ..
    }) = &*of.ty
    else {
        return Vec::new();
    };
    let mut full = own.names(ty);
    full.extend(names(&path.path).drain(of.position..));
    full
}

// The function that a chain of methods begins with.
fn maker(expr: &Expr) -> Option<&ExprPath> {
    match expr {
        Expr::MethodCall(call) => maker(&call.receiver),
        Expr::Try(expr) => maker(&expr.expr),
        Expr::Paren(expr) => maker(&expr.expr),
        Expr::Call(call) => match &*call.func {
            Expr::Path(func) => Some(func),
            _ => None,
        },
        _ => None,
    }
}

// A short path may name a module of the user's own, which can be said.
fn if_own(path: &[&str]) -> Option<String> {
    let (first, all) = (path.first()?, path.join("::"));
    let is_short = !CRATES.contains(first);
    is_short.then(|| format!("\n  = help: if `{first}` is your own, `self::{all}` says so"))
}

/// What a function is called with.
struct Call<'a> {
    path: &'a ExprPath,
    args: Option<&'a Punctuated<Expr, Token![,]>>,
    /// What the user calls this crate.
    krate: &'a str,
}

impl Call<'_> {
    /// The path as the user wrote it.
    fn name(&self) -> String {
        text(self.path)
    }

    /// The arguments as the user wrote them, `…` if they are long.
    fn args(&self) -> String {
        self.args.map_or_else(|| "…".to_owned(), short)
    }

    fn arg(&self, index: usize) -> String {
        let arg = self.args.and_then(|args| args.get(index));
        arg.map_or_else(|| "…".to_owned(), short)
    }
}

// What a function calls the group that it is given.
fn group_argument(input: &FnArg) -> Option<String> {
    match input {
        FnArg::Typed(input) if is_group(&input.ty) => name_of(&input.pat),
        _ => None,
    }
}

fn name_of(pat: &Pat) -> Option<String> {
    match pat {
        Pat::Ident(name) => Some(name.ident.to_string()),
        Pat::Type(typed) => name_of(&typed.pat),
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
