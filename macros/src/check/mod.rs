//! What is reported before anything is rewritten. Nothing here changes the code.
//!
//! A macro sees names, not types, so a structure check fires only where a path is
//! telling by itself: `tokio::spawn`, but not a bare `spawn`, nor `self::task::spawn`.
//! A plain closure may run anywhere, on a blocking thread too, so that [blocking] has
//! nothing to say about it; a task is detached and a future dropped there as well.

mod blocking;
mod detached;
mod endless;
mod hard_drop;
mod item;

pub(crate) use item::{
    check_body, check_function, check_other, is_expanded, stray_guard, stray_marker,
};

use crate::args::Allow;
use crate::arguments::{arguments, is_transparent, names, strs};
use crate::diag::{Diag, Mistake};
use crate::path::Crate;
use crate::race;
use quote::ToTokens;
use std::mem;
use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Block, Expr, ExprCall, ExprMethodCall, FnArg, Macro, Path, Stmt, Token, Type};

/// Reads the bodies of one macro input.
pub(crate) struct Checker<'a> {
    pub(crate) krate: &'a Crate,
    pub(crate) diag: &'a mut Diag,
    pub(crate) allow: Allow,
    /// Every loop gets a checkpoint, not only the marked ones.
    pub(crate) loops: bool,
    pub(crate) site: Site,
    /// What the group at hand is called, if there is one.
    pub(crate) group: Option<String>,
    /// In a plain function or closure.
    pub(crate) plain: bool,
}

/// Whose options switch a check off.
#[derive(Clone, Copy)]
pub(crate) enum Site {
    Attribute,
    Group,
}

/// The checks that can be switched off.
#[derive(Clone, Copy)]
enum Check {
    Detached,
    Blocking,
    HardDrop,
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
        }
    }
}

impl Checker<'_> {
    /// Reads a function's or a group's body.
    pub(crate) fn body(&mut self, block: &Block) {
        self.visit_block(block);
    }

    fn report(&mut self, at: impl ToTokens, finding: &Finding) {
        if self.is_off(finding.check) {
            return;
        }
        let check = finding.check.name();
        let switch = match self.site {
            Site::Attribute => format!("`#[cancellable(allow({check}))]`"),
            Site::Group => format!("`allow({check})` in front of the body"),
        };
        let help = format!(
            "{}\n  = help: if it has to be so, {switch} switches this check off",
            finding.help
        );
        self.diag.mistake_over(
            at,
            &Mistake {
                what: &finding.what,
                why: finding.why,
                help: &help,
            },
        );
    }

    fn is_off(&self, check: Check) -> bool {
        match check {
            Check::Detached => self.allow.detached,
            Check::Blocking => self.allow.blocking || self.plain,
            Check::HardDrop => self.allow.hard_drop,
        }
    }

    /// What the user calls this crate.
    fn crate_name(&self) -> String {
        self.krate
            .option()
            .map_or_else(|| "taskscope".to_owned(), text)
    }

    // The path of a function, with its arguments where it is called.
    fn check_path(&mut self, path: &Path, args: Option<&Punctuated<Expr, Token![,]>>) {
        let names = names(path);
        let strs = strs(&names);
        let call = Call { path, args };
        let finding = detached::check(&strs, &call, self.group.as_deref())
            .or_else(|| blocking::check_path(&strs, &call))
            .or_else(|| hard_drop::check_path(&strs, &call, &self.crate_name()));
        if let Some(finding) = finding {
            self.report(path, &finding);
        }
    }

    fn check_macro(&mut self, mac: &Macro) {
        let names = names(&mac.path);
        if let Some(finding) = hard_drop::check_macro(&strs(&names), mac, &self.crate_name()) {
            self.report(&mac.path, &finding);
        }
    }

    // The code in the arguments of a macro, where they are known to hold some. A
    // group's body is left to its own macro, which is handed the options.
    fn code_in(&self, mac: &Macro) -> Vec<Stmt> {
        let is_guard = |name| self.krate.names(&mac.path, name);
        if is_guard("defer") || is_guard("on_cancel") {
            return mac.parse_body_with(Block::parse_within).unwrap_or_default();
        }
        let exprs = if self.krate.names(&mac.path, "race") || hard_drop::is_select(mac) {
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

    fn within(&mut self, plain: bool, visit: impl FnOnce(&mut Self)) {
        let outer = mem::replace(&mut self.plain, plain);
        visit(self);
        self.plain = outer;
    }
}

impl<'ast> Visit<'ast> for Checker<'_> {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Path(expr) => self.check_path(&expr.path, None),
            Expr::Loop(_) | Expr::While(_) => {
                if let Some((at, finding)) = endless::check(expr, self.loops) {
                    self.report(at, &finding);
                }
                visit::visit_expr(self, expr);
            }
            _ => visit::visit_expr(self, expr),
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(func) = &*call.func {
            self.check_path(&func.path, Some(&call.args));
            if let Some((at, finding)) = hard_drop::check_lent(call, self.krate) {
                self.report(at, &finding);
            }
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
            let finding = blocking::check_method(call)
                .or_else(|| hard_drop::check_method(call, &self.crate_name()));
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

    // Other items, types and constants are no code of this function.
    fn visit_item(&mut self, _: &'ast syn::Item) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
    fn visit_expr_const(&mut self, _: &'ast syn::ExprConst) {}
}

/// What a function is called with.
struct Call<'a> {
    path: &'a Path,
    args: Option<&'a Punctuated<Expr, Token![,]>>,
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
}

/// A group that the function is given as an argument.
pub(crate) fn group_argument<'s>(inputs: impl IntoIterator<Item = &'s FnArg>) -> Option<String> {
    inputs.into_iter().find_map(|input| match input {
        FnArg::Typed(input) if is_group(&input.ty) => match &*input.pat {
            syn::Pat::Ident(name) => Some(name.ident.to_string()),
            _ => None,
        },
        _ => None,
    })
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

/// What the user wrote, in one line.
fn text(tokens: &impl ToTokens) -> String {
    tokens.to_token_stream().to_string().replace(" :: ", "::")
}

/// What the user wrote, if it is short enough to be repeated in a message.
fn short(tokens: &impl ToTokens) -> String {
    let text = text(tokens);
    if text.len() > 40 || text.contains('\n') {
        "…".to_owned()
    } else {
        text
    }
}
