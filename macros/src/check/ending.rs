//! What the body of a group ends with. Where it cannot be the `Result` that it has to be,
//! rustc speaks of two async blocks of different types, and not of the line that lacks.

use crate::diag::Mistake;
use crate::syntax::groups::{name_of, spawns};
use crate::syntax::known::{is_statement, mentions};
use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::spanned::Spanned;
use syn::{Block, Expr, ExprMethodCall, Local, Pat, Stmt};

/// Where the body of a group, known by its name, ends without a value; and what to say.
pub(crate) fn without_value(
    body: &Block,
    group: Option<&Pat>,
) -> Option<(Span, &'static Mistake<'static>)> {
    let group = GroupName {
        name: group.and_then(name_of),
    };
    if body.stmts.iter().any(|stmt| group.is_shadowed(stmt)) {
        return None;
    }
    let end = body.brace_token.span.close();
    match body.stmts.last() {
        None => Some((end, &NO_VALUE)),
        Some(Stmt::Expr(Expr::MethodCall(call), None)) if group.gives_handle(call) => {
            Some((call.span(), &HANDLE))
        }
        Some(last) if group.goes_on(last) => Some((end, &NO_VALUE)),
        Some(_) => None,
    }
}

const NO_VALUE: Mistake = Mistake {
    what: "the body of this `task_group!` ends without a value",
    why: "it returns a `Result`, so that `?` can be used in it",
    help: "write `Ok(())` as its last line",
};

const HANDLE: Mistake = Mistake {
    what: "the body of this `task_group!` ends with the handle of a task",
    why: "it returns a `Result`; the group waits for the task without its handle, too",
    help: "write `;` behind this, and `Ok(())` as the last line",
};

struct GroupName<'a> {
    name: Option<&'a Ident>,
}

impl GroupName<'_> {
    // Whether rustc takes a statement for one that has no value and lets what is behind it
    // run. A call of something unknown may never return.
    fn goes_on(&self, stmt: &Stmt) -> bool {
        match stmt {
            Stmt::Local(Local { init: None, .. }) => true,
            Stmt::Local(Local {
                init: Some(init), ..
            }) => init.diverge.is_none() && self.is_from_group(&init.expr),
            Stmt::Expr(Expr::ForLoop(_) | Expr::While(_), _) => true,
            Stmt::Expr(Expr::If(expr), _) => expr.else_branch.is_none(),
            Stmt::Expr(Expr::MethodCall(call), None) => {
                call.method == "defer" && self.is_group(&call.receiver)
            }
            Stmt::Expr(_, None) | Stmt::Item(_) => false,
            Stmt::Expr(expr, Some(_)) => self.is_from_group(expr),
            Stmt::Macro(stmt) => is_statement(&stmt.mac.path),
        }
    }

    fn gives_handle(&self, call: &ExprMethodCall) -> bool {
        let handle = spawns(&call.method) || call.method == "spawn_blocking";
        handle && self.is_group(&call.receiver)
    }

    fn is_group(&self, expr: &Expr) -> bool {
        match expr {
            Expr::Path(path) => self.name.is_some() && path.path.get_ident() == self.name,
            _ => false,
        }
    }

    // A method of the group, and what is made of its value.
    fn is_from_group(&self, expr: &Expr) -> bool {
        match expr {
            Expr::MethodCall(call) => {
                self.is_group(&call.receiver) || self.is_from_group(&call.receiver)
            }
            Expr::Await(expr) => self.is_from_group(&expr.base),
            Expr::Try(expr) => self.is_from_group(&expr.expr),
            _ => false,
        }
    }

    fn is_shadowed(&self, stmt: &Stmt) -> bool {
        match (stmt, self.name) {
            (Stmt::Local(local), Some(name)) => mentions(&local.pat.to_token_stream(), name),
            _ => false,
        }
    }
}
