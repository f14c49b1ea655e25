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
use syn::{Block, Expr, ExprMethodCall, Local, Pat, PatIdent, Signature};

/// The names of groups, their clones and permits in some code, with the type of the group. A name
/// that is bound to anything else in that code has no type: scopes are not told apart. Bindings in
/// the input of a macro, such as the patterns of a `race!`, are not seen.
#[derive(Clone, Default)]
pub(crate) struct KnownGroups(HashMap<Ident, Option<TokenStream>>);

impl KnownGroups {
    /// Enters a function, which may take groups as parameters.
    pub(crate) fn enter_function(&mut self, sig: &Signature, body: &Block) {
        let groups = sig.inputs.iter().filter_map(group_argument);
        self.0.extend(groups.map(|(name, ty)| (name, Some(ty))));
        self.enter(body);
    }

    /// Enters the body of a group, which is called `group` in there.
    pub(crate) fn enter_group(
        &mut self,
        group: Option<&Pat>,
        ty: Option<TokenStream>,
        body: &Block,
    ) {
        self.0
            .extend(group.and_then(name_of).map(|name| (name.clone(), ty)));
        self.enter(body);
    }

    fn enter(&mut self, body: &Block) {
        if !self.0.is_empty() {
            self.visit_block(body);
        }
    }

    fn bind(&mut self, name: &Ident, ty: Option<TokenStream>) {
        let text = |ty: &Option<TokenStream>| ty.as_ref().map(ToString::to_string);
        let known = self.0.entry(name.clone()).or_insert_with(|| ty.clone());
        if text(known) != text(&ty) {
            *known = None;
        }
    }

    // The type of the group that `g`, `g.clone()` or `g.reserve().await` spawns into.
    fn group_type(&self, spawner: &Expr) -> Option<&TokenStream> {
        match spawner {
            Expr::Path(path) => self.0.get(path.path.get_ident()?)?.as_ref(),
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
    fn visit_local(&mut self, local: &'ast Local) {
        let value = local.init.as_ref().map(|init| &*init.expr);
        let group = value.and_then(|value| self.group_type(value)).cloned();
        match (name_of(&local.pat), group) {
            (Some(name), group @ Some(_)) => self.bind(name, group),
            _ => visit::visit_local(self, local),
        }
    }

    fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
        self.bind(&pat.ident, None);
        visit::visit_pat_ident(self, pat);
    }

    fn visit_item(&mut self, _: &'ast syn::Item) {}
}
