//! A function that spawns itself, without `send`.
//!
//! ```text
//! async fn walk(g: Group<'static>, dir: PathBuf) {
//!     g.spawn(walk(g.clone(), dir.join("a")));   // is `walk(…)` `Send`? That follows from this body
//! }
//! ```
//!
//! A spawn wants a future that is `Send`. Of an `async fn`, rustc finds that out from its body, and cannot
//! within that body. A group is known by the type of a parameter or by its `task_group!`, the
//! function by its bare name, `Self::name` or a method of `self`, each through clones. What is
//! certain is reported; a function that spawns another, which spawns the first, is not seen. In a group whose
//! tasks need not be `Send`, the function itself is not, so that `send` is no help.

use super::Own;
use crate::syntax::group;
use crate::syntax::groups::{name_of, sending_group, spawns, tail};
use crate::syntax::known::{mentions, names, strs};
use crate::syntax::path::Crate;
use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use std::collections::HashMap;
use syn::visit::{self, Visit};
use syn::{
    Attribute, Expr, ExprCall, ExprMethodCall, FnArg, Local, Macro, PatIdent, Signature, Stmt,
};

/// What a function is to the code in it.
#[derive(Clone, Copy, Default)]
pub(crate) enum FunctionKind {
    /// It has the attribute itself: free, or a method.
    #[default]
    Unknown,
    /// In an annotated `mod`.
    Free,
    /// In an annotated `impl` or `trait`.
    Method,
    /// It may have another future, or another function of its name before it.
    Other,
}

impl FunctionKind {
    /// The kind of a function with these attributes, or around the functions of an item with them.
    pub(crate) fn with(self, attrs: &[Attribute]) -> Self {
        if attrs.iter().all(is_harmless) {
            self
        } else {
            Self::Other
        }
    }
}

// Whether an attribute leaves an `async fn` what it is. `#[async_recursion]` does not.
fn is_harmless(attr: &Attribute) -> bool {
    const HARMLESS: &[&str] = &[
        "allow",
        "cancellable",
        "cfg",
        "cold",
        "deny",
        "deprecated",
        "doc",
        "expect",
        "inline",
        "instrument",
        "must_use",
        "warn",
    ];
    let last = attr.path().segments.last();
    last.is_some_and(|last| HARMLESS.iter().any(|name| last.ident == name))
}

pub(super) fn mistake(name: &Ident) -> (String, &'static str, &'static str) {
    (
        format!("`{name}` spawns itself"),
        "a spawned future must be `Send`, and rustc cannot tell whether this one is inside the \
         function itself",
        "put `#[cancellable(send)]` on the function, which says it in the signature",
    )
}

/// How the function at hand is called.
struct Names<'a> {
    name: &'a Ident,
    /// `name(…)`
    bare: bool,
    /// `self.name(…)`, `Self::name(…)`
    method: bool,
}

/// A call of the function in what a method of something makes a task of.
struct Spawn {
    call: TokenStream,
    /// What is to be a group.
    group: Expr,
    /// What is to be `self`.
    this: Option<Expr>,
}

/// The calls by which a function spawns itself.
pub(super) fn find(
    (sig, stmts): (&Signature, &[Stmt]),
    kind: FunctionKind,
    krate: &Crate,
    own: &Own,
    code_in: &dyn Fn(&Macro) -> Vec<Stmt>,
) -> Vec<TokenStream> {
    let mut spawns = Spawns {
        names: Names::of(sig, stmts, kind),
        code_in,
        found: Vec::new(),
    };
    stmts.iter().for_each(|stmt| spawns.visit_stmt(stmt));
    if spawns.found.is_empty() {
        return Vec::new();
    }
    let mut locals = Locals {
        bindings: HashMap::new(),
        krate,
        own,
        code_in,
    };
    sig.inputs
        .iter()
        .for_each(|input| locals.add_argument(input));
    stmts.iter().for_each(|stmt| locals.visit_stmt(stmt));
    let is_certain = |spawn: &Spawn| {
        locals.is_group(&spawn.group) && spawn.this.as_ref().is_none_or(|this| locals.is_self(this))
    };
    let found = spawns.found.into_iter().filter(is_certain);
    found.map(|spawn| spawn.call).collect()
}

impl<'a> Names<'a> {
    fn of(sig: &'a Signature, stmts: &[Stmt], kind: FunctionKind) -> Self {
        let of_self = Ident::new("Self", Span::call_site());
        let is_method = sig.receiver().is_some() || mentions(&sig.to_token_stream(), &of_self);
        let mut inside = Own::default();
        inside.visit_signature(sig);
        stmts.iter().for_each(|stmt| inside.visit_stmt(stmt));
        let (bare, method) = match kind {
            FunctionKind::Unknown => (!is_method, true),
            FunctionKind::Free => (true, false),
            FunctionKind::Method => (false, true),
            FunctionKind::Other => (false, false),
        };
        Self {
            name: &sig.ident,
            bare: bare && !inside.declares(&sig.ident.to_string()),
            method,
        }
    }

    // The call in what is spawned, and whose method it is.
    fn call_in<'e>(&self, future: &'e Expr) -> Option<(TokenStream, Option<&'e Expr>)> {
        match tail(future) {
            Expr::Paren(expr) => self.call_in(&expr.expr),
            Expr::Async(block) => {
                let mut awaits = Awaits {
                    names: self,
                    found: None,
                };
                awaits.visit_block(&block.block);
                awaits.found
            }
            Expr::Call(call) => self.call(call),
            Expr::MethodCall(call) if self.method && call.method == *self.name => {
                Some((call.to_token_stream(), Some(&call.receiver)))
            }
            _ => None,
        }
    }

    fn call<'e>(&self, call: &'e ExprCall) -> Option<(TokenStream, Option<&'e Expr>)> {
        let Expr::Path(func) = &*call.func else {
            return None;
        };
        let names = names(&func.path);
        let is_it = |last: &str| *self.name == last;
        match strs(&names)[..] {
            [last] | ["self", last] if self.bare && is_it(last) => {}
            ["Self", last] if self.method && is_it(last) => {}
            ["Box", "pin"] | [.., "shield"] if call.args.len() == 1 => {
                return self.call_in(call.args.first()?);
            }
            _ => return None,
        }
        Some((call.to_token_stream(), None))
    }
}

/// Finds the first await of the function at hand in an async block.
struct Awaits<'a, 'e> {
    names: &'a Names<'a>,
    found: Option<(TokenStream, Option<&'e Expr>)>,
}

impl<'e> Visit<'e> for Awaits<'_, 'e> {
    fn visit_expr_await(&mut self, expr: &'e syn::ExprAwait) {
        if self.found.is_none() {
            self.found = self.names.call_in(&expr.base);
        }
        visit::visit_expr_await(self, expr);
    }

    fn visit_expr_async(&mut self, _: &'e syn::ExprAsync) {}
    fn visit_expr_closure(&mut self, _: &'e syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'e syn::Item) {}
}

/// Finds what may spawn the function at hand.
struct Spawns<'a> {
    names: Names<'a>,
    code_in: &'a dyn Fn(&Macro) -> Vec<Stmt>,
    found: Vec<Spawn>,
}

impl<'ast> Visit<'ast> for Spawns<'_> {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let wants_send = spawns(&call.method) && call.method != "spawn_local";
        if (wants_send || call.method == "defer")
            && let Some((found, this)) = call.args.last().and_then(|last| self.names.call_in(last))
        {
            self.found.push(Spawn {
                call: found,
                group: Expr::clone(&call.receiver),
                this: this.cloned(),
            });
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        if mentions(&mac.tokens, self.names.name) {
            let stmts = (self.code_in)(mac);
            stmts.iter().for_each(|stmt| self.visit_stmt(stmt));
        }
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

/// How often a name is bound, and how often to a group, or to `self`.
#[derive(Default)]
struct Bindings {
    all: usize,
    groups: usize,
    selves: usize,
}

/// What the locals of a function are. One that is a group here and something else there is neither.
struct Locals<'a> {
    bindings: HashMap<String, Bindings>,
    krate: &'a Crate,
    own: &'a Own,
    code_in: &'a dyn Fn(&Macro) -> Vec<Stmt>,
}

impl Locals<'_> {
    fn bindings_of(&mut self, name: &Ident) -> &mut Bindings {
        self.bindings.entry(name.to_string()).or_default()
    }

    fn add_argument(&mut self, input: &FnArg) {
        self.visit_fn_arg(input);
        let is_own = self.own.has_item("Group") || self.own.has_item("Permit");
        if let Some(name) = sending_group(input).filter(|_| !is_own) {
            self.bindings_of(&name).groups += 1;
        }
    }

    fn is_always(&self, expr: &Expr, is: impl Fn(&Bindings) -> usize) -> bool {
        let Expr::Path(path) = expr else {
            return false;
        };
        let name = path.path.get_ident().map(Ident::to_string);
        let bindings = name.and_then(|name| self.bindings.get(&name));
        bindings.is_some_and(|bindings| bindings.all == is(bindings))
    }

    fn is_group(&self, expr: &Expr) -> bool {
        match expr {
            Expr::MethodCall(call) if call.method == "clone" || call.method == "reserve" => {
                self.is_group(&call.receiver)
            }
            Expr::Await(expr) => self.is_group(&expr.base),
            Expr::Paren(expr) => self.is_group(&expr.expr),
            Expr::Reference(expr) => self.is_group(&expr.expr),
            _ => self.is_always(expr, |bindings| bindings.groups),
        }
    }

    // `self`, `self.clone()`, `Arc::clone(&self)`
    fn is_self(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Path(path) if path.path.is_ident("self") => true,
            Expr::MethodCall(call) if call.method == "clone" => self.is_self(&call.receiver),
            Expr::Paren(expr) => self.is_self(&expr.expr),
            Expr::Reference(expr) => self.is_self(&expr.expr),
            Expr::Call(call) => {
                let clones = matches!(&*call.func, Expr::Path(path)
                    if matches!(strs(&names(&path.path))[..], [.., "Arc" | "Clone", "clone"]));
                clones && call.args.first().is_some_and(|of| self.is_self(of))
            }
            _ => self.is_always(expr, |bindings| bindings.selves),
        }
    }
}

impl<'ast> Visit<'ast> for Locals<'_> {
    fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
        self.bindings_of(&pat.ident).all += 1;
        visit::visit_pat_ident(self, pat);
    }

    fn visit_local(&mut self, local: &'ast Local) {
        if let (Some(init), Some(name)) = (&local.init, name_of(&local.pat)) {
            let (group, this) = (self.is_group(&init.expr), self.is_self(&init.expr));
            let bindings = self.bindings_of(name);
            bindings.groups += usize::from(group);
            bindings.selves += usize::from(this);
        }
        visit::visit_local(self, local);
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        if self.own.is_ours(self.krate, &mac.path, "task_group")
            && let Some(pat) = group::sending_argument(mac)
        {
            self.visit_pat(&pat);
            if let Some(name) = name_of(&pat) {
                self.bindings_of(name).groups += 1;
            }
        }
        let stmts = (self.code_in)(mac);
        stmts.iter().for_each(|stmt| self.visit_stmt(stmt));
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
