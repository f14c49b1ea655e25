//! Which names are groups, and which calls spawn.

use crate::syntax::known::mentions;
use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;
use syn::{Expr, FnArg, Pat, Stmt, Type};

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

/// The name of a parameter that is declared as a group, or a permit of one, whose tasks are `Send`.
pub(crate) fn sending_group(input: &FnArg) -> Option<Ident> {
    let local = Ident::new("LocalGroup", Span::call_site());
    let (name, _) = group_argument(input)?;
    (!mentions(&input.to_token_stream(), &local)).then_some(name)
}

/// The name and the type of a parameter that is declared as a group: `g: &Group<'_, E>`.
pub(crate) fn group_argument(input: &FnArg) -> Option<(Ident, TokenStream)> {
    let FnArg::Typed(input) = input else {
        return None;
    };
    let group = group_type(&input.ty)?;
    Some((name_of(&input.pat)?.clone(), group.to_token_stream()))
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
