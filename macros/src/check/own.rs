//! Names that the user's code declares where the macro sees it: they are the user's own,
//! whatever else goes by them.

use super::CRATES;
use std::collections::HashSet;
use syn::visit::{self, Visit};
use syn::{Ident, Item, PatIdent, UseTree};

/// What is declared around the code at hand, and in it.
#[derive(Clone, Default)]
pub(crate) struct Own {
    /// Modules, types and macros.
    items: HashSet<String>,
    /// Functions and locals.
    values: HashSet<String>,
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
            Item::Fn(item) => {
                self.values.insert(item.sig.ident.to_string());
                return;
            }
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
