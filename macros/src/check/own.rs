//! Names that the user's code declares where the macro sees it: they are the user's own,
//! whatever else goes by them.

use super::CRATES;
use crate::arguments::mentions;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use std::collections::HashSet;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::visit::{self, Visit};
use syn::{Ident, Item, PatIdent, ReturnType, Signature, Token, Type, UseTree, bracketed};

/// What is declared around the code at hand, and in it.
#[derive(Clone, Default)]
pub(crate) struct Own {
    /// Modules, types and macros.
    items: HashSet<String>,
    /// Functions and locals.
    values: HashSet<String>,
    /// Functions that do not return.
    endless: HashSet<String>,
}

impl Own {
    /// Whether a path that begins with `name` leads into the user's own code.
    pub(super) fn has_item(&self, name: &str) -> bool {
        self.items.contains(name)
    }

    /// Whether a bare `name` is called from the user's own code.
    pub(super) fn has_value(&self, name: &str) -> bool {
        self.values.contains(name)
    }

    /// Whether a bare `name` is a function that does not return.
    pub(super) fn is_endless(&self, name: &Ident) -> bool {
        !self.endless.is_empty() && self.endless.contains(&name.to_string())
    }

    /// Those of the names that `tokens` mention, for a macro that is expanded later;
    /// nothing if there are none.
    pub(crate) fn handed_on(&self, tokens: &TokenStream) -> TokenStream {
        let kinds = [&self.items, &self.values, &self.endless].map(|names| {
            let named = names.iter().map(|name| format_ident!("{name}"));
            let mut named: Vec<_> = named.filter(|name| mentions(tokens, name)).collect();
            named.sort();
            named
        });
        if kinds.iter().all(Vec::is_empty) {
            return TokenStream::new();
        }
        let [items, values, endless] = kinds;
        quote!(@[#(#items)*; #(#values)*; #(#endless)*])
    }

    /// What `handed_on` has written.
    pub(crate) fn parse_handed_on(input: ParseStream) -> syn::Result<Self> {
        let mut own = Self::default();
        if !(input.peek(Token![@]) && input.peek2(syn::token::Bracket)) {
            return Ok(own);
        }
        input.parse::<Token![@]>()?;
        let names;
        bracketed!(names in input);
        for kind in [&mut own.items, &mut own.values, &mut own.endless] {
            while names.peek(Ident::peek_any) {
                kind.insert(names.call(Ident::parse_any)?.to_string());
            }
            names.parse::<Option<Token![;]>>()?;
        }
        Ok(own)
    }

    fn add_function(&mut self, sig: &Signature) {
        let name = sig.ident.to_string();
        if matches!(&sig.output, ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_))) {
            self.endless.insert(name.clone());
        }
        self.values.insert(name);
    }

    fn add_import(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) if CRATES.iter().any(|name| path.ident == name) => {}
            UseTree::Path(path) => self.add_leaves(&path.tree, &path.ident),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_import(tree)),
            _ => {}
        }
    }

    fn add_leaves(&mut self, tree: &UseTree, parent: &Ident) {
        match tree {
            UseTree::Path(path) => self.add_leaves(&path.tree, &path.ident),
            UseTree::Name(name) if name.ident == "self" => self.add_both(parent),
            UseTree::Name(name) => self.add_both(&name.ident),
            UseTree::Rename(name) => self.add_both(&name.rename),
            UseTree::Group(group) => {
                let trees = group.items.iter();
                trees.for_each(|tree| self.add_leaves(tree, parent));
            }
            UseTree::Glob(_) => {}
        }
    }

    fn add_both(&mut self, name: &Ident) {
        self.items.insert(name.to_string());
        self.values.insert(name.to_string());
    }
}

impl<'ast> Visit<'ast> for Own {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Fn(item) => return self.add_function(&item.sig),
            Item::Use(item) => return self.add_import(&item.tree),
            Item::Mod(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Macro(item) => match &item.ident {
                Some(name) => name,
                None => return,
            },
            _ => return,
        };
        self.items.insert(name.to_string());
    }

    fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
        self.values.insert(pat.ident.to_string());
        visit::visit_pat_ident(self, pat);
    }
}
