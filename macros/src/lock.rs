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

use syn::visit::{self, Visit};
use syn::{Expr, ExprAwait, ExprLet, ExprMethodCall};

const LOCKS: &[&str] = &[
    "lock",
    "read",
    "write",
    "borrow",
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
        self.found |= takes && !self.only_in_let;
        visit::visit_expr_method_call(self, call);
    }

    // An async lock: its guard may be held while something is awaited.
    fn visit_expr_await(&mut self, expr: &'ast ExprAwait) {
        match &*expr.base {
            Expr::MethodCall(call) => self.visit_expr(&call.receiver),
            base => self.visit_expr(base),
        }
    }

    fn visit_expr_let(&mut self, expr: &'ast ExprLet) {
        self.found |= takes_lock(&expr.expr);
    }

    // What these take, they release themselves.
    fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
    fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
