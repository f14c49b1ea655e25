//! Which names are groups, and which calls spawn.

use crate::syntax::known::mentions;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::ParseStream;
use syn::token::Brace;
use syn::{Expr, FnArg, Pat, Stmt, Token, Type, braced, parenthesized};

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

/// What is known of a group.
#[derive(Clone)]
pub(crate) enum KnownGroup {
    Error(Type),
    /// Its own type, as a signature has it: only rustc knows whether that is ours.
    Group(Type),
}

/// `async { … }` of `{ let names = names.clone(); async { … } }`.
pub(crate) fn tail(argument: &Expr) -> &Expr {
    match argument {
        Expr::Block(block) if block.label.is_none() => match block.block.stmts.last() {
            Some(Stmt::Expr(last, None)) => tail(last),
            _ => argument,
        },
        _ => argument,
    }
}

/// The groups around another one's body, as `hand_on` has written them.
#[derive(Default)]
pub(crate) struct OuterGroups(pub(crate) Vec<(Ident, Option<KnownGroup>)>);

impl OuterGroups {
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
            names.push((name, Some(KnownGroup::parse(&known)?)));
            known.parse::<Option<Token![,]>>()?;
        }
        Ok(Self(names))
    }
}

impl KnownGroup {
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

impl ToTokens for KnownGroup {
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
pub(crate) fn group_argument(input: &FnArg) -> Option<(Ident, Option<KnownGroup>)> {
    let FnArg::Typed(input) = input else {
        return None;
    };
    let group = group_type(&input.ty)?;
    Some((
        name_of(&input.pat)?.clone(),
        Some(KnownGroup::Group(group.clone())),
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
