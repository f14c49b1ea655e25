//! Locks that the head of a loop takes, and the body therefore holds.
//!
//! ```text
//! for n in numbers.lock().unwrap().iter() { … }
//! ```
//!
//! The guard is a temporary of the head: it lives as long as the loop. To await in the body
//! would make the future not `Send`, and would keep others waiting for the lock meanwhile. So a loop does
//! not get a checkpoint there unless it is marked with `#[checkpoint]`. The same goes for loops
//! inside a `match` or an `if let` on such an expression.
//!
//! A macro sees names, not types: these are the methods that make guards of the standard
//! library, of `parking_lot` and of `RefCell`.

use crate::syntax::known::{names, strs};
use syn::visit::{self, Visit};
use syn::{Expr, ExprAwait, ExprCall, ExprLet, ExprMatch, ExprMethodCall, Pat};

/// Those that are readers' and others', too: they count where their value is used as a guard is.
const AMBIGUOUS: &[&str] = &["read", "write", "borrow"];

const LOCKS: &[&str] = &[
    "lock",
    "borrow_mut",
    "try_lock",
    "try_read",
    "try_write",
    "try_borrow",
    "try_borrow_mut",
];

/// Whether an expression that is iterated over or matched on takes a lock.
pub(crate) fn takes_lock(head: &Expr) -> bool {
    let mut locks = Locks::default();
    locks.visit_expr(head);
    locks.found
}

/// Whether what is matched on takes a lock.
pub(crate) fn match_takes_lock(expr: &ExprMatch) -> bool {
    let binds = || expr.arms.iter().any(|arm| is_ok(&arm.pat));
    takes_lock(&expr.expr) || is_ambiguous(&expr.expr) && binds()
}

/// Whether a condition matches on what takes a lock. What it takes without a `let` is
/// released before the body.
pub(crate) fn matches_on_lock(condition: &Expr) -> bool {
    let mut locks = Locks {
        only_in_let: true,
        found: false,
    };
    locks.visit_expr(condition);
    locks.found
}

#[derive(Default)]
struct Locks {
    only_in_let: bool,
    found: bool,
}

impl<'ast> Visit<'ast> for Locks {
    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let takes = call.args.is_empty() && LOCKS.iter().any(|name| call.method == name);
        let is_guard = is_ambiguous(&call.receiver);
        self.found |= (takes || is_guard) && !self.only_in_let;
        visit::visit_expr_method_call(self, call);
    }

    // `Mutex::lock(&m)`; and `env::args()`, which is no lock, but is not `Send` either.
    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Expr::Path(func) = &*call.func {
            let names = names(&func.path);
            let takes = match strs(&names)[..] {
                [.., ty, name] if call.args.len() == 1 => {
                    ty.starts_with(char::is_uppercase)
                        && (LOCKS.contains(&name) || AMBIGUOUS.contains(&name))
                }
                [.., "env", "args" | "args_os" | "vars" | "vars_os"] => true,
                _ => false,
            };
            self.found |= takes && !self.only_in_let;
        }
        visit::visit_expr_call(self, call);
    }

    // `lock.read()?`, `*cell.borrow()`, `cell.borrow().items`, `cell.borrow()[0]`
    fn visit_expr(&mut self, expr: &'ast Expr) {
        let guard = match expr {
            Expr::Try(expr) => Some(&expr.expr),
            Expr::Unary(expr) => Some(&expr.expr),
            Expr::Field(expr) => Some(&expr.base),
            Expr::Index(expr) => Some(&expr.expr),
            _ => None,
        };
        self.found |= guard.is_some_and(|guard| is_ambiguous(guard)) && !self.only_in_let;
        visit::visit_expr(self, expr);
    }

    // An async lock: its guard may be held while something is awaited.
    fn visit_expr_await(&mut self, expr: &'ast ExprAwait) {
        match &*expr.base {
            Expr::MethodCall(call) => self.visit_expr(&call.receiver),
            base => self.visit_expr(base),
        }
    }

    fn visit_expr_let(&mut self, expr: &'ast ExprLet) {
        self.found |= takes_lock(&expr.expr) || is_ok(&expr.pat) && is_ambiguous(&expr.expr);
    }

    // What these take, they release themselves.
    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'ast syn::Item) {}
}

fn is_ambiguous(expr: &Expr) -> bool {
    matches!(expr, Expr::MethodCall(call)
        if call.args.is_empty() && AMBIGUOUS.iter().any(|name| call.method == name))
}

// `Ok(guard)`, of a lock that may be poisoned.
fn is_ok(pat: &Pat) -> bool {
    matches!(pat, Pat::TupleStruct(pat)
        if pat.path.segments.last().is_some_and(|last| last.ident == "Ok"))
}
