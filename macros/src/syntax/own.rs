//! Names that the user's code declares where the macro sees it: they are the user's own,
//! whatever else goes by them.

use crate::rules::CRATES;
use crate::syntax::item::has_marker;
use crate::syntax::known::names;
use crate::syntax::path::Crate;
use std::collections::{HashMap, HashSet};
use syn::visit::{self, Visit};
use syn::{Ident, Item, ItemMod, PatIdent, Path, ReturnType, Signature, Type, UseTree};

/// What is declared around the code at hand, and in it.
#[derive(Clone, Default)]
pub(crate) struct Own {
    /// Modules, types and macros.
    items: HashSet<String>,
    /// Functions and locals.
    values: HashSet<String>,
    /// Functions that do not return.
    endless: HashSet<String>,
    /// Macros that are declared.
    macros: HashSet<String>,
    /// `shield` and `TaskGroup`, where the user's code declares a function or a type of that name.
    ungated: HashSet<String>,
    /// What is imported from other than the whole of a module, and the crates or modules that each
    /// name is imported from: a macro may have the name of a function.
    imports: HashMap<String, Vec<Ident>>,
    /// What is imported from a crate that the checks know: `go` is `tokio::spawn` after
    /// `use tokio::spawn as go;`. `None` for a name with more than one meaning.
    aliases: HashMap<String, Option<Vec<String>>>,
}

impl Own {
    /// Whether a path that begins with `name` leads into the user's own code.
    pub(crate) fn has_item(&self, name: &str) -> bool {
        self.items.contains(name)
    }

    /// Whether a bare `name` is called from the user's own code.
    pub(crate) fn has_value(&self, name: &str) -> bool {
        self.values.contains(name)
    }

    /// Whether a bare `name` is declared or imported at all.
    pub(crate) fn declares(&self, name: &str) -> bool {
        self.has_value(name) || self.has_item(name) || self.aliases.contains_key(name)
    }

    /// The names in the path of a function or type, from the crate on where an import tells it.
    pub(crate) fn full_names(&self, path: &Path) -> Vec<String> {
        let hidden = path
            .get_ident()
            .is_some_and(|name| self.has_value(&name.to_string()));
        self.resolved(path, hidden)
    }

    /// The names in the path of a macro, from the crate on where an import tells it.
    pub(crate) fn full_macro_names(&self, path: &Path) -> Vec<String> {
        let hidden = path
            .get_ident()
            .is_some_and(|name| self.declares_macro(name));
        self.resolved(path, hidden)
    }

    /// Whether a name alone may be that of a known function or type.
    pub(crate) fn has_aliases(&self) -> bool {
        !self.aliases.is_empty()
    }

    fn resolved(&self, path: &Path, hidden: bool) -> Vec<String> {
        let mut names = names(path);
        let is_own = |first: &String| hidden || self.items.contains(first);
        if let Some(first) = names.first().filter(|first| !is_own(first))
            && path.leading_colon.is_none()
            && let Some(Some(full)) = self.aliases.get(first)
        {
            names.splice(..1, full.iter().cloned());
        }
        names
    }

    /// Whether a bare `name` is a function that does not return.
    pub(crate) fn is_endless(&self, name: &Ident) -> bool {
        !self.endless.is_empty() && self.endless.contains(&name.to_string())
    }

    /// Whether `path` is taken for this crate's macro `name!`: not where the user's code visibly
    /// declares or imports another one.
    pub(crate) fn is_ours(&self, krate: &Crate, path: &Path, name: &str) -> bool {
        krate.has_path(path, name) && !(path.get_ident().is_some() && self.has_macro(krate, name))
    }

    /// Whether a macro of this name is declared, not imported.
    pub(crate) fn declares_macro(&self, name: &Ident) -> bool {
        self.macros.contains(&name.to_string())
    }

    /// Whether the bare `shield` or `TaskGroup` is the user's own.
    pub(crate) fn has_ungated(&self, krate: &Crate, name: &str) -> bool {
        let is_foreign = self.imports.contains_key(name) && !self.may_import(krate, name);
        self.ungated.contains(name) || is_foreign
    }

    // Where both are visible, the witness tells. An import of an unknown crate may be one of ours that the
    // crate re-exports, or a function: a `race!` or `task_group!` that is not taken up would
    // run without checkpoints, and nobody would notice.
    fn has_macro(&self, krate: &Crate, name: &str) -> bool {
        let is_guard = ["defer", "on_cancel"].contains(&name);
        let is_foreign = is_guard && self.imports.contains_key(name);
        (self.macros.contains(name) || is_foreign) && !self.may_import(krate, name)
    }

    // Whether one of the imports of this name may be this crate's.
    fn may_import(&self, krate: &Crate, name: &str) -> bool {
        let origins = self.imports.get(name);
        origins.is_some_and(|origins| {
            let mut origins = origins.iter();
            origins.any(|origin| krate.may_be_imported_from(origin))
        })
    }

    fn add_function(&mut self, sig: &Signature) {
        let name = sig.ident.to_string();
        if matches!(&sig.output, ReturnType::Type(_, ty) if matches!(**ty, Type::Never(_))) {
            self.endless.insert(name.clone());
        }
        self.add_ungated("shield", &sig.ident);
        self.values.insert(name);
    }

    fn add_ungated(&mut self, ungated: &str, name: &Ident) {
        if name == ungated {
            self.ungated.insert(ungated.to_owned());
        }
    }

    fn add_alias(&mut self, name: &Ident, full: Vec<String>) {
        let known = self.aliases.entry(name.to_string());
        let known = known.or_insert_with(|| Some(full.clone()));
        if *known != Some(full) {
            *known = None;
        }
    }

    fn add_import(&mut self, import: Import) {
        let (path, name) = (import.path, import.name);
        let Some(first) = path
            .first()
            .filter(|_| import.is_self || path != [name.clone()])
        else {
            return;
        };
        if path.len() > 1 && !import.is_self {
            let origins = self.imports.entry(name.to_string()).or_default();
            origins.push(first.clone());
        }
        if CRATES.iter().any(|known| first == known) {
            self.add_alias(&name, path.iter().map(Ident::to_string).collect());
        } else {
            self.items.insert(name.to_string());
            self.values.insert(name.to_string());
        }
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
        self.macros.extend(name.map(Ident::to_string));
    }
}

impl<'ast> Visit<'ast> for Own {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Fn(item) => return self.add_function(&item.sig),
            Item::Use(item) => {
                let mut imports = Vec::new();
                Import::collect(&item.tree, &[], &mut imports);
                return imports
                    .into_iter()
                    .for_each(|import| self.add_import(import));
            }
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
        self.add_ungated("TaskGroup", name);
        self.items.insert(name.to_string());
    }

    fn visit_pat_ident(&mut self, pat: &'ast PatIdent) {
        self.values.insert(pat.ident.to_string());
        visit::visit_pat_ident(self, pat);
    }
}

/// One name that is imported.
struct Import {
    /// Where from, to the item itself.
    path: Vec<Ident>,
    name: Ident,
    /// `self`, which is never a macro.
    is_self: bool,
}

impl Import {
    // Collects what `tree` imports from `parents`, other than the whole of a module.
    fn collect(tree: &UseTree, parents: &[Ident], found: &mut Vec<Self>) {
        let below = |name: &Ident| parents.iter().chain([name]).cloned().collect::<Vec<_>>();
        let (item, name) = match tree {
            UseTree::Path(path) => return Self::collect(&path.tree, &below(&path.ident), found),
            UseTree::Group(group) => {
                let trees = group.items.iter();
                return trees.for_each(|tree| Self::collect(tree, parents, found));
            }
            UseTree::Glob(_) => return,
            UseTree::Rename(name) if name.rename == "_" => return,
            UseTree::Rename(name) => (&name.ident, Some(&name.rename)),
            UseTree::Name(name) if name.ident == "self" => (&name.ident, parents.last()),
            UseTree::Name(name) => (&name.ident, Some(&name.ident)),
        };
        let is_self = item == "self";
        found.extend(name.map(|name| Self {
            path: if is_self {
                parents.to_vec()
            } else {
                below(item)
            },
            name: name.clone(),
            is_self,
        }));
    }
}
