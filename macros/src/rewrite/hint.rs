//! Names the error type of an async block that is spawned into a group.
//!
//! `g.spawn(async { x?; Ok(v) })` leaves open which error the block has. Where the
//! macro sees that `g` is a group, it can say: the group's own. It is one by its macro,
//! or by the type of a parameter; that may be of the same name only, so the hint goes
//! by the type, and says nothing where it is another.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::visit_mut::{self, VisitMut};
use syn::{
    Arm, Block, Expr, ExprClosure, ExprForLoop, ExprIf, ExprMethodCall, ExprWhile, Local, Macro,
    Pat, PatIdent, Signature, Type,
};

mod open;

use self::open::{is_open, is_open_work};
use crate::syntax::group;
use crate::syntax::groups::{KnownGroup, OuterGroups, group_argument, name_of, spawns, tail};
use crate::syntax::known::mentions;
use crate::syntax::own::Own;
use crate::syntax::path::{Crate, mixed};

/// Puts the hints into code where groups are known by name.
pub(crate) struct Hints<'a> {
    /// Groups, their clones and permits, the latest last; with nothing, a name that
    /// means something else by now.
    names: Vec<(Ident, Option<KnownGroup>)>,
    krate: &'a Crate,
    own: &'a Own,
}

impl<'a> Hints<'a> {
    /// The hints for a function; nothing to do where it is given no group.
    pub(crate) fn in_function(sig: &Signature, krate: &'a Crate, own: &'a Own) -> Option<Self> {
        let names: Vec<_> = sig.inputs.iter().filter_map(group_argument).collect();
        (!names.is_empty()).then_some(Self { names, krate, own })
    }

    /// The hints for a group's body, in which the groups around it are known, too.
    pub(crate) fn in_group(
        outer: OuterGroups,
        group: Option<&Pat>,
        krate: &'a Crate,
        own: &'a Own,
        error: &TokenStream,
    ) -> Self {
        let mut hints = Self {
            names: outer.0,
            krate,
            own,
        };
        if let Some(name) = group.and_then(name_of) {
            let error = syn::parse2(error.clone()).ok();
            let known = error.filter(|error| !matches!(error, Type::Infer(_)));
            hints
                .names
                .push((name.clone(), known.map(KnownGroup::Error)));
        }
        hints
    }

    fn known(&self, name: &Ident) -> Option<&KnownGroup> {
        let latest = self.names.iter().rev().find(|(known, _)| known == name);
        latest.and_then(|(_, known)| known.as_ref())
    }

    // `g`, what was made of it under another name, or that itself: `g.clone()`, and
    // `g.reserve().await`.
    fn group(&self, expr: &Expr) -> Option<&KnownGroup> {
        match expr {
            Expr::Path(path) => self.known(path.path.get_ident()?),
            Expr::MethodCall(call) if call.method == "clone" || call.method == "reserve" => {
                self.group(&call.receiver)
            }
            Expr::Await(expr) => self.group(&expr.base),
            Expr::Paren(expr) => self.group(&expr.expr),
            Expr::Reference(expr) => self.group(&expr.expr),
            _ => None,
        }
    }

    // What is bound by `let name = group`, or by tuples of such.
    fn bound(&self, pat: &Pat, value: &Expr, bound: &mut Vec<(Ident, Option<KnownGroup>)>) {
        match (pat, value) {
            (Pat::Tuple(pats), Expr::Tuple(values)) if pats.elems.len() == values.elems.len() => {
                let pairs = pats.elems.iter().zip(&values.elems);
                pairs.for_each(|(pat, value)| self.bound(pat, value, bound));
            }
            _ => {
                if let (Some(name), Some(known)) = (name_of(pat), self.group(value)) {
                    bound.push((name.clone(), Some(known.clone())));
                }
            }
        }
    }

    /// Runs `visit`, behind which the names mean what they did before.
    fn within(&mut self, visit: impl FnOnce(&mut Self)) {
        let outer = self.names.len();
        visit(self);
        self.names.truncate(outer);
    }

    fn hint(&self, call: &ExprMethodCall) -> Option<Expr> {
        let known = self.group(&call.receiver)?;
        let argument = call.args.last()?;
        let (free, method) = match tail(argument) {
            Expr::Async(future)
                if (spawns(&call.method) || call.method == "defer") && is_open(&future.block) =>
            {
                ("hint", "task")
            }
            Expr::Closure(work) if call.method == "spawn_blocking" && is_open_work(work) => {
                ("hint_blocking", "work")
            }
            _ => return None,
        };
        let span = mixed(call.method.span());
        let private = self.krate.private(span);
        let (free, method) = (Ident::new(free, span), Ident::new(method, span));
        let hinted = match known {
            KnownGroup::Error(error) => {
                quote_spanned!(span=> #private::#free::<#error, _, _>(#argument))
            }
            KnownGroup::Group(group) => {
                quote_spanned!(span=> #private::HintOf::<#group>::here().#method(#argument))
            }
        };
        syn::parse2(hinted).ok()
    }

    // From `task_group!(…)` into `task_group!(@{ g: Error(E) } …)`: its macro comes
    // later, and knows these groups then.
    fn hand_on(&self, mac: &mut Macro) {
        let known = self.names.iter().enumerate().filter(|(index, (name, _))| {
            let is_latest = self.names[index + 1..]
                .iter()
                .all(|(later, _)| later != name);
            is_latest && mentions(&mac.tokens, name)
        });
        let known: Vec<_> = known
            .filter_map(|(_, (name, known))| known.as_ref().map(|known| quote!(#name: #known)))
            .collect();
        if !known.is_empty() {
            let rest = &mac.tokens;
            mac.tokens = quote!(@{ #(#known),* } #rest);
        }
    }
}

impl VisitMut for Hints<'_> {
    fn visit_local_mut(&mut self, local: &mut Local) {
        let mut bound = Vec::new();
        if let Some(init) = &mut local.init {
            self.visit_local_init_mut(init);
            self.bound(&local.pat, &init.expr, &mut bound);
        }
        self.visit_pat_mut(&mut local.pat);
        self.names.extend(bound);
    }

    // From `g.spawn(async { … })` into `g.spawn(hint::<E, _, _>(async { … }))`.
    fn visit_expr_method_call_mut(&mut self, call: &mut ExprMethodCall) {
        visit_mut::visit_expr_method_call_mut(self, call);
        if let Some(hinted) = self.hint(call)
            && let Some(argument) = call.args.last_mut()
        {
            *argument = hinted;
        }
    }

    fn visit_macro_mut(&mut self, mac: &mut Macro) {
        if self.own.is_ours(self.krate, &mac.path, "task_group") && group::has_argument(mac) {
            self.hand_on(mac);
        }
    }

    fn visit_pat_ident_mut(&mut self, pat: &mut PatIdent) {
        if self.known(&pat.ident).is_some() {
            self.names.push((pat.ident.clone(), None));
        }
        visit_mut::visit_pat_ident_mut(self, pat);
    }

    fn visit_block_mut(&mut self, block: &mut Block) {
        self.within(|this| visit_mut::visit_block_mut(this, block));
    }

    fn visit_arm_mut(&mut self, arm: &mut Arm) {
        self.within(|this| visit_mut::visit_arm_mut(this, arm));
    }

    fn visit_expr_closure_mut(&mut self, closure: &mut ExprClosure) {
        self.within(|this| visit_mut::visit_expr_closure_mut(this, closure));
    }

    fn visit_expr_for_loop_mut(&mut self, expr: &mut ExprForLoop) {
        self.within(|this| visit_mut::visit_expr_for_loop_mut(this, expr));
    }

    fn visit_expr_if_mut(&mut self, expr: &mut ExprIf) {
        self.within(|this| visit_mut::visit_expr_if_mut(this, expr));
    }

    fn visit_expr_while_mut(&mut self, expr: &mut ExprWhile) {
        self.within(|this| visit_mut::visit_expr_while_mut(this, expr));
    }

    fn visit_item_mut(&mut self, _: &mut syn::Item) {}
}
