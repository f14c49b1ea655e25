//! Items that mean something else, or nothing, in front of the statements above them.
//!
//! ```text
//! macro_rules! ten { () => { 10 } }
//! fn base() -> u32 { ten!() }         // calls the macro
//! fn twice() -> u32 { base() * 2 }    // names what does
//! ```
//!
//! What a macro declares cannot be seen, so that every item after one may depend on it.

use crate::syntax::item::has_marker;
use crate::syntax::known::{calls_macro, mentions};
use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::{ForeignItem, Item, Stmt, TraitItem, UseTree};

/// The items of a block that stay where they are.
#[derive(Default)]
pub(crate) struct Bound {
    /// What they declare.
    names: Vec<Ident>,
    /// The `macro_rules!` among them.
    macros: Vec<Ident>,
    /// Whether they may declare any name.
    any_name: bool,
}

impl Bound {
    /// Tells of each statement whether it stays. `may_declare` tells of one whether it is a macro
    /// that may expand to items.
    pub(crate) fn find(stmts: &[Stmt], may_declare: impl Fn(&Stmt) -> bool) -> Vec<bool> {
        let mut bound = Self::default();
        let mut opaque = false;
        let mut stays: Vec<_> = stmts
            .iter()
            .map(|stmt| match stmt {
                Stmt::Item(item) => {
                    let stays = opaque || bound.depends_on_macros(item);
                    opaque |= exports_macros(item);
                    if stays {
                        bound.add(item);
                    }
                    stays
                }
                Stmt::Macro(macro_stmt) if may_declare(stmt) => {
                    opaque = true;
                    bound.names.extend(declared_by(&macro_stmt.mac.tokens));
                    true
                }
                _ => true,
            })
            .collect();
        while bound.add_dependents(stmts, &mut stays) {}
        stays
    }

    // Those that name one that stays, which may be below them; whether there are any.
    fn add_dependents(&mut self, stmts: &[Stmt], stays: &mut [bool]) -> bool {
        let mut added = false;
        for (stmt, stays) in stmts.iter().zip(stays) {
            let Stmt::Item(item) = stmt else { continue };
            if !*stays && self.is_named_in(&item.to_token_stream()) {
                self.add(item);
                (*stays, added) = (true, true);
            }
        }
        added
    }

    fn depends_on_macros(&self, item: &Item) -> bool {
        if matches!(item, Item::Macro(_)) || exports_macros(item) {
            return true;
        }
        let tokens = item.to_token_stream();
        let imports_one = || {
            let is_import = matches!(item, Item::Use(_));
            is_import && self.macros.iter().any(|name| mentions(&tokens, name))
        };
        !self.macros.is_empty() && (calls_macro(&tokens) || imports_one())
    }

    fn is_named_in(&self, tokens: &TokenStream) -> bool {
        self.any_name || self.names.iter().any(|name| mentions(tokens, name))
    }

    fn add(&mut self, item: &Item) {
        match item {
            Item::Macro(item) => self.macros.extend(item.ident.clone()),
            _ => self.visit_item(item),
        }
    }
}

/// Takes the names that an item declares.
impl<'ast> Visit<'ast> for Bound {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Const(item) => &item.ident,
            Item::Enum(item) => &item.ident,
            Item::Fn(item) => &item.sig.ident,
            Item::Mod(item) => &item.ident,
            Item::Static(item) => &item.ident,
            Item::Struct(item) => &item.ident,
            Item::Trait(item) => {
                // Its methods are known where it is.
                item.items
                    .iter()
                    .for_each(|item| self.visit_trait_item(item));
                &item.ident
            }
            Item::TraitAlias(item) => &item.ident,
            Item::Type(item) => &item.ident,
            Item::Union(item) => &item.ident,
            Item::ForeignMod(item) => {
                return item
                    .items
                    .iter()
                    .for_each(|item| self.visit_foreign_item(item));
            }
            Item::Use(item) => return self.visit_use_tree(&item.tree),
            // An `impl` holds wherever it stands.
            _ => return,
        };
        self.names.push(name.clone());
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        if let TraitItem::Fn(item) = item {
            self.names.push(item.sig.ident.clone());
        }
    }

    fn visit_foreign_item(&mut self, item: &'ast ForeignItem) {
        match item {
            ForeignItem::Fn(item) => self.names.push(item.sig.ident.clone()),
            ForeignItem::Static(item) => self.names.push(item.ident.clone()),
            _ => {}
        }
    }

    fn visit_use_tree(&mut self, tree: &'ast UseTree) {
        match tree {
            UseTree::Name(name) => self.names.push(name.ident.clone()),
            UseTree::Rename(name) => self.names.push(name.rename.clone()),
            UseTree::Glob(_) => self.any_name = true,
            _ => visit::visit_use_tree(self, tree),
        }
    }
}

// Whether macros are known after a module that were not known before.
fn exports_macros(item: &Item) -> bool {
    matches!(item, Item::Mod(module) if has_marker(&module.attrs, "macro_use"))
}

/// The words before a name that is declared.
const KEYWORDS: &[&str] = &[
    "const", "enum", "fn", "mod", "ref", "static", "struct", "trait", "type", "union", "mut",
];

// The names that the input of a macro shows to be declared: `make_fn!(base, …)`,
// `thread_local! { static DEPTH: …; }`.
fn declared_by(input: &TokenStream) -> Vec<Ident> {
    let mut declares = true;
    let mut names = Vec::new();
    for tree in input.clone() {
        let TokenTree::Ident(word) = tree else {
            declares = false;
            continue;
        };
        let is_keyword = KEYWORDS.iter().any(|keyword| word == keyword);
        if declares && !is_keyword {
            names.push(word);
        }
        declares = is_keyword;
    }
    names
}
