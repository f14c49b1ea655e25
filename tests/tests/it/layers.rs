//! A folder of a crate is a layer, and imports go one way through the layers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemUse, UseTree};

/// The layers of the runtime, the lowest first. What lies beside them in `src` is the surface
/// of the crate, and may import all of them.
const RUNTIME: &[&str] = &[
    "base", "notes", "tree", "poll", "unwind", "scope", "task", "branch", "blocking", "group",
    "observe", "process", "testing", "tower",
];

/// The layers of the macros; beside them lie the entry points, one for each macro.
const MACROS: &[&str] = &["diag", "rules", "syntax", "check", "rewrite"];

/// One `crate::module` in the code of a file, without its tests.
struct Imports {
    modules: Vec<String>,
}

fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        let list = attr.meta.require_list();
        attr.path().is_ident("cfg") && list.is_ok_and(|cfg| cfg.tokens.to_string().contains("test"))
    })
}

impl Imports {
    fn of(file: &Path) -> Vec<String> {
        let text = fs::read_to_string(file).unwrap();
        let code = syn::parse_file(&text).unwrap();
        let mut imports = Imports {
            modules: Vec::new(),
        };
        if !is_test(&code.attrs) {
            imports.visit_file(&code);
        }
        imports.modules
    }

    fn note_tree(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) if path.ident == "crate" => self.note_first(&path.tree),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_tree(tree)),
            _ => {}
        }
    }

    fn note_first(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => self.modules.push(path.ident.to_string()),
            UseTree::Name(name) => self.modules.push(name.ident.to_string()),
            UseTree::Rename(name) => self.modules.push(name.ident.to_string()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_first(tree)),
            UseTree::Glob(_) => self.modules.push("*".to_owned()),
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item(&mut self, item: &'ast Item) {
        let attrs = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attrs) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.note_tree(&item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate") {
            self.modules
                .extend(segments.next().map(|module| module.ident.to_string()));
        }
        visit::visit_path(self, path);
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Checks the imports of all files below `layers`; returns how many there are.
fn check(source: &str, layers: &[&str]) -> usize {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let mut count = 0;
    for (height, layer) in layers.iter().enumerate() {
        let mut found = Vec::new();
        let folder = source.join(layer);
        if folder.exists() {
            files(&folder, &mut found);
        }
        let file = source.join(layer).with_extension("rs");
        found.extend(file.exists().then_some(file));
        assert!(!found.is_empty(), "no file in the layer `{layer}`");
        for file in found {
            for module in Imports::of(&file) {
                let file = file.strip_prefix(&source).unwrap().display();
                let imported = layers.iter().position(|layer| *layer == module);
                let Some(imported) = imported else {
                    panic!("{file} imports `crate::{module}`, which lies in no layer");
                };
                assert!(
                    imported <= height,
                    "{file} imports `crate::{module}`, which lies above `{layer}`"
                );
                count += 1;
            }
        }
    }
    count
}

#[test]
fn imports_of_the_runtime_go_one_way() {
    let imports = check("../runtime/src", RUNTIME);
    assert!(imports > 200, "only {imports} imports were read");
}

#[test]
fn imports_of_the_macros_go_one_way() {
    let imports = check("../macros/src", MACROS);
    assert!(imports > 60, "only {imports} imports were read");
}

/// The names of types and traits, and the files that define them.
#[derive(Default)]
struct Definitions {
    file: PathBuf,
    files: BTreeMap<String, BTreeSet<PathBuf>>,
}

impl<'ast> Visit<'ast> for Definitions {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Struct(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            // `pin_project!` and the like.
            Item::Macro(item) => {
                let tokens = item.mac.tokens.clone();
                if let Ok(file) = syn::parse2(tokens) {
                    self.visit_file(&file);
                }
                None
            }
            _ => None,
        };
        if let Some(name) = name {
            let files = self.files.entry(name.to_string()).or_default();
            files.insert(self.file.clone());
        }
        visit::visit_item(self, item);
    }
}

/// A search for a name finds one type. Two of one name in one file are for two
/// configurations.
#[test]
fn types_have_names_of_their_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    files(&root.join("../runtime/src"), &mut found);
    files(&root.join("../macros/src"), &mut found);
    let mut definitions = Definitions::default();
    for file in found {
        let text = fs::read_to_string(&file).unwrap();
        definitions.file = file;
        definitions.visit_file(&syn::parse_file(&text).unwrap());
    }
    let all = definitions.files;
    assert!(all.len() > 200, "only {} types were read", all.len());
    let twice: Vec<_> = all.iter().filter(|(_, files)| files.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:#?}");
}

/// The reader itself.
#[test]
fn all_forms_of_imports_are_read() {
    let code = "
        use crate::a::B;
        use crate::{b, c::{D, E}, d as e};
        pub(crate) use {crate::f::G, std::fmt};
        #[cfg(test)] use crate::not_1::A;
        fn f() -> crate::g::H { crate::h::i::<crate::j::K>() }
        mod inner { use crate::k::*; }
        #[cfg(all(test, unix))] mod tests { use crate::not_2::A; }
    ";
    let mut imports = Imports {
        modules: Vec::new(),
    };
    imports.visit_file(&syn::parse_str(code).unwrap());
    assert_eq!(
        imports.modules,
        ["a", "b", "c", "d", "f", "g", "h", "j", "k"]
    );
}
