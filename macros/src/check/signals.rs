//! [signals]: signals that `#[taskscope::main]` handles, in its body.
//!
//! ```text
//! race! {
//!     result = serve() => result?,
//!     _ = tokio::signal::ctrl_c() => flush().await,   // `main` is cancelled at the same moment
//! }
//! ```
//!
//! Both are told of the signal, so the code after the wait races with the cancellation of `main`.
//! `stopping()` comes first, and what listens to it gets the time of `drain`.
//!
//! The body is read as it was written or as `#[cancellable]` has left it, with the bodies of its
//! groups. Other functions are not read, the usual `shutdown_signal()` among them.

use super::{Check, Finding, Own, function_names};
use crate::syntax::known::strs;
use crate::syntax::text::text;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{Expr, ExprCall, ExprPath, Macro, Stmt};

/// Reads a body for waits for signals.
pub(super) struct SignalCheck<'a> {
    own: Own,
    /// The code in a macro.
    code_in: &'a dyn Fn(&Macro) -> Vec<Stmt>,
    /// Where a signal is waited for, and which one.
    found: Vec<(TokenStream, &'static str)>,
}

impl<'a> SignalCheck<'a> {
    pub(super) fn new(own: &Own, code_in: &'a dyn Fn(&Macro) -> Vec<Stmt>) -> Self {
        Self {
            own: own.clone(),
            code_in,
            found: Vec::new(),
        }
    }

    /// What is wrong, and where.
    pub(super) fn findings(self, krate: &str) -> Vec<(TokenStream, Finding)> {
        let found = self.found.into_iter();
        found
            .map(|(at, signal)| {
                let finding = finding(&text(&at), signal, krate);
                (at, finding)
            })
            .collect()
    }

    // `tokio::signal::ctrl_c`
    fn is_ctrl_c(&self, path: &ExprPath) -> bool {
        let names = function_names(path, &self.own);
        let names = strs(&names);
        let is_ctrl_c = matches!(
            names[..],
            ["tokio", "signal", "ctrl_c"]
                | ["signal", "ctrl_c"]
                | ["tokio", "signal", "windows", "ctrl_c"]
                | ["signal", "windows", "ctrl_c"]
                | ["windows", "ctrl_c"]
        );
        is_ctrl_c && !self.is_own(&names)
    }

    // The signal that `signal(SignalKind::terminate())` waits for.
    fn listens_to(&self, call: &ExprCall) -> Option<&'static str> {
        let names = function_names(path(&call.func)?, &self.own);
        let names = strs(&names);
        let is_own_function = names == ["signal"] && self.own.has_value("signal");
        let is_signal = names.last() == Some(&"signal") && !self.is_own(&names) && !is_own_function;
        let [Expr::Call(kind)] = call.args.iter().collect::<Vec<_>>()[..] else {
            return None;
        };
        let kind = function_names(path(&kind.func)?, &self.own);
        match strs(&kind)[..] {
            [.., "SignalKind", "interrupt"] if is_signal => Some("SIGINT"),
            [.., "SignalKind", "terminate"] if is_signal => Some("SIGTERM"),
            _ => None,
        }
    }

    fn is_own(&self, path: &[&str]) -> bool {
        path.first().is_some_and(|first| self.own.has_item(first))
    }
}

fn path(func: &Expr) -> Option<&ExprPath> {
    match func {
        Expr::Path(path) => Some(path),
        _ => None,
    }
}

fn finding(name: &str, signal: &str, krate: &str) -> Finding {
    Finding {
        check: Check::Signals,
        what: format!("`{name}` in `#[{krate}::main]`, which handles {signal} itself"),
        why: "the signal also stops and then cancels `main`, so the code after this may not run",
        help: format!(
            "wait for `{krate}::stopping()` instead: the code after it has the time of \
             `#[{krate}::main(drain = …)]`"
        ),
    }
}

impl<'ast> Visit<'ast> for SignalCheck<'_> {
    fn visit_expr_path(&mut self, path: &'ast ExprPath) {
        if self.is_ctrl_c(path) {
            self.found.push((path.to_token_stream(), "SIGINT"));
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Some(signal) = self.listens_to(call) {
            self.found.push((call.to_token_stream(), signal));
        }
        visit::visit_expr_call(self, call);
    }

    // What is declared in there is known in there.
    fn visit_macro(&mut self, mac: &'ast Macro) {
        let outer = self.own.clone();
        let stmts = (self.code_in)(mac);
        stmts.iter().for_each(|stmt| self.own.visit_stmt(stmt));
        stmts.iter().for_each(|stmt| self.visit_stmt(stmt));
        self.own = outer;
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
