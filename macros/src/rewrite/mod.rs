//! Awaits and loops become checkpoints, and the macros of this crate what they stand for.
//!
//! One pass, outside in. What a piece of code belongs to is its [`CodeScope`]: saved,
//! replaced and restored around closures, async blocks and cleanups.
//!
//! | what is rewritten | where |
//! | --- | --- |
//! | `EXPR.await` | `awaits`; `ungated` tells which awaits enter a group or a shield |
//! | loops, and the locks around them | `loops`, `refusal` in blocking functions |
//! | `break`, `continue`, `return`, `?` | `jumps` |
//! | blocks with a `defer!` or `on_cancel!` | `cleanup`, `bound` for the items in them |
//! | `task_group!` | `group`, `hint` for what is spawned into one |
//! | `race!` | `race` |
//! | other macros | `arguments`, `generator` |
//! | the signature, for `send` | `send` |

mod arguments;
mod awaits;
mod bound;
mod branches;
mod cleanup;
mod generator;
pub(crate) mod group;
pub(crate) mod hint;
mod join;
mod jumps;
mod loops;
mod output;
mod race;
pub(crate) mod refusal;
pub(crate) mod send;
mod ungated;

use self::arguments::is_telling;
use self::awaits::unwrap_operand;
use self::hint::KnownGroups;
use self::jumps::Nesting;
pub(crate) use self::output::{output, output_hint};
use self::refusal::Refusal;
use crate::diag::Diag;
use crate::syntax::item::is_marker;
use crate::syntax::known::{is_transparent, joins_foreign_futures};
use crate::syntax::options::Options;
use crate::syntax::own::Own;
use crate::syntax::path::Crate;
use proc_macro2::Ident;
use quote::quote;
use std::mem;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, Block, Expr, Macro, MacroDelimiter, Path, ReturnType, Stmt, StmtMacro, Type};

/// Rewrites the bodies of one macro input.
pub(crate) struct Rewriter<'a> {
    pub(crate) krate: &'a Crate,
    pub(crate) diag: &'a mut Diag,
    pub(crate) scope: CodeScope,
    options: &'a Options,
    /// What is declared around the code at hand, and in it.
    own: Own,
    /// The groups that the code at hand knows by name.
    pub(crate) groups: KnownGroups,
    /// How a loop of the blocking function at hand is left.
    pub(crate) refusal: Option<Refusal>,
    /// How many slots have been named.
    slots: usize,
}

/// What the code at hand belongs to: the nearest function, closure, async block or cleanup.
pub(crate) struct CodeScope {
    pub(crate) kind: CodeKind,
    /// The type that `return` takes, where it is written down.
    pub(crate) output: Option<Type>,
    /// What a `break` or `continue` may aim at or has to pass, outermost first.
    levels: Vec<Nesting>,
    /// Whether a lock is held that the head of a loop, a `match` or an `if let` around the code
    /// takes. Awaiting there would make the future not `Send`.
    locked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeKind {
    Async,
    /// A plain function or closure: no await, so no checkpoint.
    Plain,
    /// A plain function whose loops have checkpoints that return.
    Blocking,
    /// The body of a `task_group!`: async, and nothing jumps out of it.
    Group,
    /// The block of the macro of this name; nothing leaves it at all.
    Cleanup(&'static str),
}

impl CodeScope {
    pub(crate) fn new(kind: CodeKind, output: Option<Type>) -> Self {
        Self {
            kind,
            output,
            levels: Vec::new(),
            locked: false,
        }
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.kind, CodeKind::Plain | CodeKind::Blocking)
    }
}

impl<'a> Rewriter<'a> {
    pub(crate) fn new(
        krate: &'a Crate,
        diag: &'a mut Diag,
        options: &'a Options,
        own: Own,
        scope: CodeScope,
    ) -> Self {
        Self {
            krate,
            diag,
            scope,
            options,
            own,
            groups: KnownGroups::default(),
            refusal: None,
            slots: 0,
        }
    }

    /// Whether `path` is taken for this crate's macro `name!`.
    pub(crate) fn is_ours(&self, path: &Path, name: &str) -> bool {
        self.own.is_ours(self.krate, path, name)
    }

    /// Whether the user's code declares a macro of this name.
    pub(crate) fn declares_macro(&self, name: &Ident) -> bool {
        self.own.declares_macro(name)
    }

    /// From a call of this crate's `task_group!` or `race!` into its expansion.
    fn expanded(&mut self, attrs: &[Attribute], mac: &Macro) -> Option<Expr> {
        let expr = if self.is_group(mac) {
            self.group_of(mac)
        } else if self.is_ours(&mac.path, "race") {
            self.race_of(mac)?
        } else {
            return None;
        };
        Some(match attrs {
            [] => expr,
            _ => Expr::Verbatim(quote!(#(#attrs)* #expr)),
        })
    }

    /// The same of a statement.
    fn expanded_statement(&mut self, call: &StmtMacro) -> Option<Stmt> {
        let expr = self.expanded(&call.attrs, &call.mac)?;
        Some(match call.mac.delimiter {
            // Braces end a statement, as those of a block do.
            MacroDelimiter::Brace(_) if call.semi_token.is_none() => {
                Stmt::Expr(Expr::Verbatim(quote!({ #expr })), None)
            }
            _ => Stmt::Expr(expr, call.semi_token),
        })
    }

    /// Runs `visit` with another scope.
    pub(crate) fn within(&mut self, scope: CodeScope, visit: impl FnOnce(&mut Self)) {
        let outer = mem::replace(&mut self.scope, scope);
        visit(self);
        self.scope = outer;
    }

    /// Runs `visit` one level further in, and gives the level back.
    fn below(&mut self, level: Nesting, visit: impl FnOnce(&mut Self)) -> Option<Nesting> {
        self.scope.levels.push(level);
        visit(self);
        self.scope.levels.pop()
    }
}

impl VisitMut for Rewriter<'_> {
    fn visit_expr_mut(&mut self, expr: &mut Expr) {
        // What these bind is bound in them alone.
        let binds = matches!(
            expr,
            Expr::Closure(_) | Expr::ForLoop(_) | Expr::If(_) | Expr::While(_)
        );
        let groups = binds.then(|| self.groups.clone());
        match expr {
            Expr::Await(_) if !self.scope.is_plain() => self.gate_await(expr),
            Expr::Break(_) | Expr::Continue(_) => self.visit_jump(expr),
            Expr::Return(_) | Expr::Try(_) => self.visit_exit(expr),
            Expr::ForLoop(expr) => self.visit_for(expr),
            Expr::While(expr) => self.visit_while(expr),
            Expr::Loop(syn::ExprLoop {
                loop_token,
                label,
                attrs,
                body,
            }) => self.visit_rounds(loop_token.span, label, attrs, body),
            Expr::Match(expr) => self.visit_match(expr),
            Expr::If(expr) => self.visit_if(expr),
            Expr::Block(syn::ExprBlock {
                label: Some(label),
                block,
                ..
            }) => {
                let level = Nesting::Block(label.name.clone());
                self.below(level, |this| this.visit_block_mut(block));
            }
            Expr::Macro(call) => match self.expanded(&call.attrs, &call.mac) {
                Some(expanded) => *expr = expanded,
                None => visit_mut::visit_expr_mut(self, expr),
            },
            _ => visit_mut::visit_expr_mut(self, expr),
        }
        if let Some(groups) = groups {
            self.groups = groups;
        }
    }

    fn visit_stmt_mut(&mut self, stmt: &mut Stmt) {
        if let Stmt::Macro(call) = stmt
            && let Some(expanded) = self.expanded_statement(call)
        {
            *stmt = expanded;
        } else {
            visit_mut::visit_stmt_mut(self, stmt);
        }
    }

    fn visit_local_mut(&mut self, local: &mut syn::Local) {
        let group = self.groups.type_of_local(local);
        visit_mut::visit_local_mut(self, local);
        self.groups.bind(&local.pat, group);
    }

    fn visit_expr_let_mut(&mut self, expr: &mut syn::ExprLet) {
        visit_mut::visit_expr_let_mut(self, expr);
        self.groups.bind(&expr.pat, None);
    }

    fn visit_arm_mut(&mut self, arm: &mut syn::Arm) {
        let groups = self.groups.clone();
        self.groups.bind(&arm.pat, None);
        visit_mut::visit_arm_mut(self, arm);
        self.groups = groups;
    }

    fn visit_expr_method_call_mut(&mut self, call: &mut syn::ExprMethodCall) {
        // Asked before the block becomes what it no longer shows.
        let hint = self.groups.hint(self.krate, call);
        visit_mut::visit_expr_method_call_mut(self, call);
        if let (Some(hint), Some(task)) = (hint, call.args.last_mut()) {
            *task = Expr::Verbatim(quote!(#hint(#task)));
        }
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        self.visit_nested_block(block);
    }

    fn visit_expr_async_mut(&mut self, expr: &mut syn::ExprAsync) {
        let scope = CodeScope::new(CodeKind::Async, None);
        self.within(scope, |this| this.visit_top_block(&mut expr.block));
    }

    fn visit_expr_closure_mut(&mut self, expr: &mut syn::ExprClosure) {
        for input in &expr.inputs {
            self.groups.bind(input, None);
        }
        let kind = if expr.asyncness.is_some() {
            CodeKind::Async
        } else {
            CodeKind::Plain
        };
        // Without a `->`, what a closure returns is inferred.
        let ty = match &expr.output {
            ReturnType::Default => None,
            written => output(written),
        };
        self.within(CodeScope::new(kind, ty), |this| match &mut *expr.body {
            Expr::Block(body) if body.label.is_none() => {
                this.visit_top_block(&mut body.block);
            }
            body => this.visit_expr_mut(body),
        });
    }

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        if self.refuse_misplaced(mac) {
            return;
        }
        let read = is_telling(&mac.tokens) || joins_foreign_futures(&mac.path);
        if read && is_transparent(&mac.path) {
            self.visit_arguments(mac);
        } else if read {
            self.refuse_in_generator(mac);
        }
    }

    // A marker on what is no loop has been reported, and would be reported once more.
    fn visit_attributes_mut(&mut self, attrs: &mut Vec<Attribute>) {
        attrs.retain(|attr| !is_marker(attr, "checkpoint") && !is_marker(attr, "no_checkpoint"));
    }

    // Of a pattern, only the guard of a match arm is code.
    fn visit_pat_mut(&mut self, pat: &mut syn::Pat) {
        if let syn::Pat::Guard(pat) = pat {
            self.visit_expr_mut(&mut pat.guard);
        }
    }

    // Other items, types and constants are no code of this function.
    fn visit_item_mut(&mut self, _: &mut syn::Item) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
    fn visit_path_mut(&mut self, _: &mut syn::Path) {}
    fn visit_generic_argument_mut(&mut self, _: &mut syn::GenericArgument) {}
    fn visit_expr_const_mut(&mut self, _: &mut syn::ExprConst) {}
    fn visit_expr_repeat_mut(&mut self, array: &mut syn::ExprRepeat) {
        self.visit_expr_mut(&mut array.expr);
    }
}
