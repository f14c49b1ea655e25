//! Names the error type of an async block that is spawned into a group.
//!
//! ```text
//! g.spawn(async { step().await?; Ok(()) })
//! g.spawn(HintOf::<Group<'_, E>>::here().task(async { step().await?; Ok(()) }))
//! ```
//!
//! The block leaves its error type open: any that converts into the group's would do. The hint says
//! that it is the group's own. The macro knows a group as the parameter of its `task_group!`, or
//! as a parameter of the function that is declared as one. The latter may be another type of that
//! name, so the hint goes by the type, and says nothing where it is no group of this crate.

mod open;

use self::open::{is_open, is_open_work};
use crate::syntax::groups::{group_argument, name_of, spawns, tail};
use crate::syntax::path::{Crate, mixed};
use crate::syntax::span::end_of;
use proc_macro2::{Ident, TokenStream};
use quote::quote_spanned;
use std::collections::HashMap;
use syn::visit::{self, Visit};
use syn::{Expr, ExprMethodCall, Local, Pat, PatIdent, Signature};

/// The names of groups, their clones and permits where the rewriter stands, with the type of the
/// group. Bindings in the input of a macro, such as the patterns of a `race!`, are not seen.
#[derive(Clone, Default)]
pub(crate) struct KnownGroups(HashMap<Ident, TokenStream>);

impl KnownGroups {
    /// Enters a function, which may take groups as parameters.
    pub(crate) fn enter_function(&mut self, sig: &Signature) {
        let groups = sig.inputs.iter().filter_map(group_argument);
        self.0.extend(groups);
    }

    /// Enters the body of a group, which is called `group` in there.
    pub(crate) fn enter_group(&mut self, group: Option<&Pat>, ty: Option<TokenStream>) {
        if let Some(group) = group {
            self.bind(group, ty);
        }
    }

    /// Goes on where the names of `pat` mean something else: a group of this type, if there is one.
    pub(crate) fn bind(&mut self, pat: &Pat, ty: Option<TokenStream>) {
        self.visit_pat(pat);
        self.0.extend(name_of(pat).cloned().zip(ty));
    }

    /// The type of the group that the value of a `let` is, or spawns into.
    pub(crate) fn type_of_local(&self, local: &Local) -> Option<TokenStream> {
        let init = local.init.as_ref()?;
        self.group_type(&init.expr).cloned()
    }

    // The type of the group that `g`, `g.clone()` or `g.reserve().await` spawns into.
    fn group_type(&self, spawner: &Expr) -> Option<&TokenStream> {
        match spawner {
            Expr::Path(path) => self.0.get(path.path.get_ident()?),
            Expr::Reference(expr) => self.group_type(&expr.expr),
            Expr::Paren(expr) => self.group_type(&expr.expr),
            Expr::MethodCall(call) if call.method == "clone" || call.method == "reserve" => {
                self.group_type(&call.receiver)
            }
            Expr::Await(expr) => self.group_type(&expr.base),
            _ => None,
        }
    }

    /// The function to wrap around what `call` spawns into a known group, if that leaves its
    /// error type open.
    pub(crate) fn hint(&self, krate: &Crate, call: &ExprMethodCall) -> Option<TokenStream> {
        let group = self.group_type(&call.receiver)?;
        let spawns = spawns(&call.method) || call.method == "defer";
        let method = match tail(call.args.last()?) {
            Expr::Async(task) if spawns && is_open(&task.block) => "task",
            Expr::Closure(work) if call.method == "spawn_blocking" && is_open_work(work) => "work",
            _ => return None,
        };
        let span = mixed(end_of(call.method.span()));
        let (private, method) = (krate.private(span), Ident::new(method, span));
        Some(quote_spanned!(span=> #private::HintOf::<#group>::here().#method))
    }
}

impl<'ast> Visit<'ast> for KnownGroups {
    fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
        self.0.remove(&pat.ident);
        visit::visit_pat_ident(self, pat);
    }
}
