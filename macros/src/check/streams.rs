//! [`hard_drop`], as a warning: streams that hold futures of their own, of which the function takes
//! one value after the other.
//!
//! ```text
//! let mut running = FuturesUnordered::new();
//! while let Some(page) = running.next().await {
//!     save(page).await;       // cancelled here, nobody polls what is in `running`
//! }
//! ```
//!
//! What such a stream holds is polled only while `next()` is awaited. A cancellation that comes
//! at another await drops the futures in the middle, and loses their cleanup. Where none of them has any,
//! there is nothing to lose, which a macro cannot see; hence the warning.

use super::{Finding, Own};
use crate::rules::Check;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Expr, ExprMethodCall, Local, Macro, Path, Stmt};

/// Types that hold futures.
const TYPES: &[&str] = &["FuturesUnordered", "FuturesOrdered"];

/// Methods that make such a stream.
const METHODS: &[&str] = &[
    "buffered",
    "buffer_unordered",
    "try_buffered",
    "try_buffer_unordered",
];

/// Methods whose futures take one value.
const NEXT: &[&str] = &["next", "try_next", "select_next_some"];

/// Reads a body for streams that hold futures, and for awaits of their values.
pub(super) struct Streams<'a> {
    own: &'a Own,
    /// What is in a macro, and whether that is a race.
    code_in: &'a dyn Fn(&Macro) -> (Vec<Stmt>, bool),
    /// Where such a stream is made, and by what name.
    made: Vec<(TokenStream, String)>,
    /// Whether values are taken one by one.
    taken: bool,
    in_loop: bool,
    in_await: bool,
}

impl<'a> Streams<'a> {
    pub(super) fn new(own: &'a Own, code_in: &'a dyn Fn(&Macro) -> (Vec<Stmt>, bool)) -> Self {
        Self {
            own,
            code_in,
            made: Vec::new(),
            taken: false,
            in_loop: false,
            in_await: false,
        }
    }

    /// What is wrong, and where.
    pub(super) fn findings(self, krate: &str) -> Vec<(TokenStream, Finding)> {
        let made = self.made.into_iter().filter(|_| self.taken);
        made.map(|(at, name)| (at, finding(&name, krate))).collect()
    }

    // Runs `visit` in a loop, or in what is awaited.
    fn within(&mut self, (in_loop, in_await): (bool, bool), visit: impl FnOnce(&mut Self)) {
        let outer = (self.in_loop, self.in_await);
        self.in_loop |= in_loop;
        self.in_await |= in_await;
        visit(self);
        (self.in_loop, self.in_await) = outer;
    }
}

// `pages.buffered(2).collect().await`: a chain that makes such a stream, and takes all of it.
fn uses_up(awaited: &Expr) -> bool {
    let Expr::MethodCall(last) = awaited else {
        return false;
    };
    let mut made = last;
    while let Expr::MethodCall(call) = &*made.receiver {
        made = call;
        if METHODS.iter().any(|name| made.method == name) {
            return !NEXT.iter().any(|name| last.method == name);
        }
    }
    false
}

fn finding(name: &str, krate: &str) -> Finding {
    Finding {
        check: Check::HardDrop,
        what: format!("what `{name}` holds is polled only while its `next()` is awaited"),
        why: "cancelled at another await, its futures are dropped in the middle: their `defer!` \
              blocks are lost",
        help: format!(
            "spawn them in a `task_group!`, and take their results from a `{krate}::TaskSet`"
        ),
    }
}

impl<'ast> Visit<'ast> for Streams<'_> {
    fn visit_expr(&mut self, expr: &'ast Expr) {
        match expr {
            Expr::Loop(expr) => self.within((true, false), |this| this.visit_block(&expr.body)),
            Expr::While(expr) => self.within((true, false), |this| {
                this.visit_expr(&expr.cond);
                this.visit_block(&expr.body);
            }),
            Expr::ForLoop(expr) => {
                self.visit_expr(&expr.expr);
                self.within((true, false), |this| this.visit_block(&expr.body));
            }
            Expr::Await(expr) => {
                let before = self.made.len();
                self.within((false, true), |this| this.visit_expr(&expr.base));
                // The first one made is the chain's own, which is polled until it has ended.
                if uses_up(&expr.base) && before < self.made.len() {
                    self.made.remove(before);
                }
            }
            _ => visit::visit_expr(self, expr),
        }
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let is_one_of = |names: &[&str]| names.iter().any(|name| call.method == name);
        if call.args.is_empty() && is_one_of(NEXT) {
            self.taken |= self.in_loop && self.in_await;
        }
        if call.args.len() == 1 && is_one_of(METHODS) {
            let name = call.method.to_string();
            self.made.push((call.method.to_token_stream(), name));
        }
        visit::visit_expr_method_call(self, call);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let mut names = path.segments.iter().map(|segment| &segment.ident);
        let held = names.find(|name| TYPES.iter().any(|ty| *name == ty));
        let first = path.segments.first().map(|first| first.ident.to_string());
        let is_own = first.is_some_and(|first| self.own.has_item(&first));
        if let Some(name) = held.filter(|_| !is_own) {
            self.made.push((name.to_token_stream(), name.to_string()));
        }
        visit::visit_path(self, path);
    }

    // `let all: FuturesUnordered<_> = FuturesUnordered::new();` makes one.
    fn visit_local(&mut self, local: &'ast Local) {
        let before = self.made.len();
        visit::visit_local(self, local);
        self.made.truncate(self.made.len().min(before + 1));
    }

    fn visit_macro(&mut self, mac: &'ast Macro) {
        let (stmts, races) = (self.code_in)(mac);
        self.within((races, races), |this| {
            stmts.iter().for_each(|stmt| this.visit_stmt(stmt));
        });
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
