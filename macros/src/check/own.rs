//! Names that the user's code declares where the macro sees it: they are the user's own,
//! whatever else goes by them.

use super::CRATES;
use crate::arguments::mentions;
use crate::item::has_marker;
use crate::path::Crate;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use std::collections::{HashMap, HashSet};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::visit::{self, Visit};
use syn::{
    Ident, Item, ItemMod, PatIdent, Path, ReturnType, Signature, Token, Type, UseTree, bracketed,
};

/// What is declared around the code at hand, and in it.
#[derive(Clone, Default)]
pub(crate) struct Own {
    /// Modules, types and macros.
    items: HashSet<String>,
    /// Functions and locals.
    values: HashSet<String>,
    /// Functions that do not return.
    endless: HashSet<String>,
    /// What may be called as a macro, and the crate or module that it is imported from.
    macros: HashMap<String, Option<Ident>>,
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

    /// Whether `path` is taken for this crate's macro `name!`: not where the user's code visibly
    /// declares or imports another one.
    pub(crate) fn is_ours(&self, krate: &Crate, path: &Path, name: &str) -> bool {
        krate.names(path, name) && !(path.get_ident().is_some() && self.has_macro(krate, name))
    }

    /// Whether a macro of this name is declared, not imported.
    pub(crate) fn declares_macro(&self, name: &Ident) -> bool {
        matches!(self.macros.get(&name.to_string()), Some(None))
    }

    fn has_macro(&self, krate: &Crate, name: &str) -> bool {
        let origin = self.macros.get(name);
        origin.is_some_and(|origin| match origin {
            Some(origin) => !krate.may_be_imported_from(origin),
            None => true,
        })
    }

    /// Those of the names that `tokens` mention, for a macro that is expanded later;
    /// nothing if there are none.
    pub(crate) fn handed_on(&self, krate: &Crate, tokens: &TokenStream) -> TokenStream {
        let mentioned = |names: Vec<&String>| {
            let named = names.into_iter().map(|name| format_ident!("{name}"));
            let mut named: Vec<_> = named.filter(|name| mentions(tokens, name)).collect();
            named.sort();
            named
        };
        let macros = self.macros.keys();
        let kinds = [
            self.items.iter().collect(),
            self.values.iter().collect(),
            self.endless.iter().collect(),
            macros.filter(|name| self.has_macro(krate, name)).collect(),
        ]
        .map(mentioned);
        if kinds.iter().all(Vec::is_empty) {
            return TokenStream::new();
        }
        let [items, values, endless, macros] = kinds;
        quote!(@[#(#items)*; #(#values)*; #(#endless)*; #(#macros)*])
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
        own.items.extend(parse_names(&names)?);
        own.values.extend(parse_names(&names)?);
        own.endless.extend(parse_names(&names)?);
        let macros = parse_names(&names)?.into_iter();
        own.macros.extend(macros.map(|name| (name, None)));
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
            UseTree::Path(path) => {
                self.add_macros(&path.tree, &path.ident);
                self.add_names(tree);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.add_import(tree)),
            _ => {}
        }
    }

    fn add_macros(&mut self, tree: &UseTree, origin: &Ident) {
        let name = match tree {
            UseTree::Path(path) => return self.add_macros(&path.tree, origin),
            UseTree::Group(group) => {
                let trees = group.items.iter();
                return trees.for_each(|tree| self.add_macros(tree, origin));
            }
            UseTree::Glob(_) => return,
            UseTree::Name(name) => &name.ident,
            UseTree::Rename(name) => &name.rename,
        };
        self.macros.insert(name.to_string(), Some(origin.clone()));
    }

    // `#[macro_use] mod`, whose `macro_rules!` are known behind it.
    fn add_macros_of(&mut self, module: &ItemMod) {
        if !has_marker(&module.attrs, "macro_use") {
            return;
        }
        for item in module.content.iter().flat_map(|(_, items)| items) {
            match item {
                Item::Macro(item) => self.add_macro(item.ident.as_ref()),
                Item::Mod(module) => self.add_macros_of(module),
                _ => {}
            }
        }
    }

    fn add_macro(&mut self, name: Option<&Ident>) {
        let name = name.map(Ident::to_string);
        self.macros.extend(name.map(|name| (name, None)));
    }

    fn add_names(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) if CRATES.iter().any(|name| path.ident == name) => {}
            UseTree::Path(path) => self.add_leaves(&path.tree, &path.ident),
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
            Item::Mod(item) => {
                self.add_macros_of(item);
                &item.ident
            }
            Item::Struct(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Trait(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Macro(item) => {
                self.add_macro(item.ident.as_ref());
                match &item.ident {
                    Some(name) => name,
                    None => return,
                }
            }
            _ => return,
        };
        self.items.insert(name.to_string());
    }

    fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
        self.values.insert(pat.ident.to_string());
        visit::visit_pat_ident(self, pat);
    }
}

// Names up to a `;`.
fn parse_names(input: ParseStream) -> syn::Result<Vec<String>> {
    let mut names = Vec::new();
    while input.peek(Ident::peek_any) {
        names.push(input.call(Ident::parse_any)?.to_string());
    }
    input.parse::<Option<Token![;]>>()?;
    Ok(names)
}
