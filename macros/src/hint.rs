//! Names the error type of an async block that is spawned into a group.
//!
//! `g.spawn(async { x?; Ok(v) })` leaves open which error the block has. Where the
//! macro sees that `g` is a group, it can say: the group's own. It is one by its macro,
//! or by the type of a parameter; that may be of the same name only, so the hint goes
//! by the type, and says nothing where it is another.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::parse::ParseStream;
use syn::token::Brace;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Arm, Block, Expr, ExprClosure, ExprForLoop, ExprIf, ExprMethodCall, ExprWhile, FnArg, Local,
    Macro, Pat, PatIdent, Signature, Token, Type, braced, parenthesized,
};

mod open;

pub(crate) use self::open::tail;
use self::open::{is_open, is_open_work};
use crate::arguments::mentions;
use crate::check::Own;
use crate::group;
use crate::path::{Crate, mixed};

/// The methods of a group and of its permits that make a task of their last argument, a
/// future, and give its handle.
const SPAWNS: &[&str] = &[
    "spawn",
    "spawn_named",
    "spawn_scoped",
    "spawn_local",
    "spawn_shielded",
    "service",
];

/// Whether a method of a group makes a task of a future, and gives its handle.
pub(crate) fn spawns(method: &Ident) -> bool {
    SPAWNS.iter().any(|name| method == name)
}

/// What a parameter is declared as where it is a group or a permit.
const GROUPS: &[&str] = &["Group", "LocalGroup", "Permit"];

/// Puts the hints into code where groups are known by name.
pub(crate) struct Hints<'a> {
    /// Groups, their clones and permits, the latest last; with nothing, a name that
    /// means something else by now.
    names: Vec<(Ident, Option<Known>)>,
    krate: &'a Crate,
    own: &'a Own,
}

/// What is known of a group.
#[derive(Clone)]
enum Known {
    Error(Type),
    /// Its own type, as a signature has it: only rustc knows whether that is ours.
    Group(Type),
}

impl<'a> Hints<'a> {
    /// The hints for a function; nothing to do where it is given no group.
    pub(crate) fn in_function(sig: &Signature, krate: &'a Crate, own: &'a Own) -> Option<Self> {
        let names: Vec<_> = sig.inputs.iter().filter_map(group_argument).collect();
        (!names.is_empty()).then_some(Self { names, krate, own })
    }

    /// The hints for a group's body, in which the groups around it are known, too.
    pub(crate) fn in_group(
        outer: Outer,
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
            hints.names.push((name.clone(), known.map(Known::Error)));
        }
        hints
    }

    fn known(&self, name: &Ident) -> Option<&Known> {
        let latest = self.names.iter().rev().find(|(known, _)| known == name);
        latest.and_then(|(_, known)| known.as_ref())
    }

    // `g`, what was made of it under another name, or that itself: `g.clone()`, and
    // `g.reserve().await`.
    fn group(&self, expr: &Expr) -> Option<&Known> {
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
    fn bound(&self, pat: &Pat, value: &Expr, bound: &mut Vec<(Ident, Option<Known>)>) {
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
            Known::Error(error) => {
                quote_spanned!(span=> #private::#free::<#error, _, _>(#argument))
            }
            Known::Group(group) => {
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

/// The groups around another one's body, as `hand_on` has written them.
#[derive(Default)]
pub(crate) struct Outer(Vec<(Ident, Option<Known>)>);

impl Outer {
    pub(crate) fn parse_handed_on(input: ParseStream) -> syn::Result<Self> {
        if !(input.peek(Token![@]) && input.peek2(Brace)) {
            return Ok(Self::default());
        }
        input.parse::<Token![@]>()?;
        let known;
        braced!(known in input);
        let mut names = Vec::new();
        while !known.is_empty() {
            let name = known.parse()?;
            known.parse::<Token![:]>()?;
            names.push((name, Some(Known::parse(&known)?)));
            known.parse::<Option<Token![,]>>()?;
        }
        Ok(Self(names))
    }
}

impl Known {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let kind: Ident = input.parse()?;
        let ty;
        parenthesized!(ty in input);
        let ty = ty.parse()?;
        Ok(if kind == "Error" {
            Self::Error(ty)
        } else {
            Self::Group(ty)
        })
    }
}

impl ToTokens for Known {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Error(ty) => quote!(Error(#ty)),
            Self::Group(ty) => quote!(Group(#ty)),
        });
    }
}

/// The name of a parameter that is declared as a group, or a permit of one, whose tasks are `Send`.
pub(crate) fn sending_group(input: &FnArg) -> Option<Ident> {
    let local = Ident::new("LocalGroup", Span::call_site());
    let (name, _) = group_argument(input)?;
    (!mentions(&input.to_token_stream(), &local)).then_some(name)
}

// `g: &Group<'_, E>`
fn group_argument(input: &FnArg) -> Option<(Ident, Option<Known>)> {
    let FnArg::Typed(input) = input else {
        return None;
    };
    let group = group_type(&input.ty)?;
    Some((
        name_of(&input.pat)?.clone(),
        Some(Known::Group(group.clone())),
    ))
}

fn group_type(ty: &Type) -> Option<&Type> {
    match ty {
        Type::Reference(ty) => group_type(&ty.elem),
        Type::Paren(ty) => group_type(&ty.elem),
        Type::Group(ty) => group_type(&ty.elem),
        Type::Path(path) => {
            let last = &path.path.segments.last()?.ident;
            // What is written `impl` cannot be named in the body.
            let nameable = !mentions(
                &ty.to_token_stream(),
                &Ident::new("impl", Span::call_site()),
            );
            let is_group = GROUPS.iter().any(|name| last == name);
            (is_group && nameable).then_some(ty)
        }
        _ => None,
    }
}

pub(crate) fn name_of(pat: &Pat) -> Option<&Ident> {
    match pat {
        Pat::Ident(pat) if pat.subpat.is_none() => Some(&pat.ident),
        Pat::Type(pat) => name_of(&pat.pat),
        _ => None,
    }
}
