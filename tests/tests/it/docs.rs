//! The documentation names what exists, and all of it: features, guide pages, public items.
//!
//! The options of the macros are compared with their documentation in the tests of `macros`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::{Attribute, Item, UseTree};

/// Where the repository is.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The names of the pages of the guide, by their files.
fn pages() -> BTreeSet<String> {
    let files = fs::read_dir(root().join("runtime/src/guide")).unwrap();
    files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

/// What a reader of the guide and the front page reads.
fn prose() -> Vec<(String, String)> {
    let pages = pages()
        .into_iter()
        .map(|page| format!("runtime/src/guide/{page}.md"));
    let paths = pages.chain(["README.md".to_owned()]);
    paths
        .map(|path| (read(&path), path))
        .map(|(text, path)| (path, text))
        .collect()
}

/// The part of a text after one line and before another.
fn section<'a>(text: &'a str, first: &str, next: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("{first}\n"))
        .unwrap_or_else(|| panic!("no line `{first}`"));
    rest.split_once(&format!("\n{next}"))
        .map_or(rest, |(section, _)| section)
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

/// The names in backticks or brackets that the rows of a table begin with.
fn first_column(table: &str) -> BTreeSet<String> {
    let cells = table
        .lines()
        .filter_map(|line| line.trim_start_matches("//! ").strip_prefix("| "))
        .filter_map(|row| row.split(" |").next());
    let names = cells.map(|cell| cell.trim_matches(['`', '[', ']']));
    names
        .filter(|name| is_name(name) && !["feature", "page", "---"].contains(name))
        .map(str::to_owned)
        .collect()
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn the_front_page_lists_every_feature() {
    let manifest = read("runtime/Cargo.toml");
    let features = section(&manifest, "[features]", "[");
    let features = features
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .filter(|name| is_name(name) && *name != "default");
    let readme = read("README.md");
    let listed = first_column(section(&readme, "## Features", "## "));
    assert_eq!(listed, set(features));
}

#[test]
fn the_front_page_says_which_features_are_default() {
    let manifest = read("runtime/Cargo.toml");
    let default = manifest
        .lines()
        .find_map(|line| line.strip_prefix("default = "))
        .unwrap();
    let readme = read("README.md");
    let rows = section(&readme, "## Features", "## ").lines();
    let marked: Vec<_> = rows
        .filter(|row| row.contains("| yes |"))
        .map(|row| row.split('`').nth(1).unwrap())
        .collect();
    assert_eq!(format!("{marked:?}"), default);
}

#[test]
fn the_guide_lists_every_page() {
    let module = read("runtime/src/guide/mod.rs");
    assert_eq!(first_column(&module), pages());
    let modules = module
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(" {}"));
    assert_eq!(set(modules), pages());
}

/// On the front page of the documentation, the links of the README stay in the documentation.
#[test]
fn links_of_the_readme_to_the_guide_are_links_within_the_documentation() {
    const GUIDE: &str = "https://docs.rs/taskscope/latest/taskscope/guide/";
    let readme = read("README.md");
    let outside = readme.lines().filter_map(|line| {
        let (name, page) = line.strip_prefix('[')?.split_once(&format!("]: {GUIDE}"))?;
        Some((name, page.trim_end_matches('/')))
    });
    let outside: BTreeSet<_> = outside.collect();
    let lib = read("runtime/src/lib.rs");
    let inside = lib.lines().filter_map(|line| {
        let (name, page) = line.strip_prefix("//! [")?.split_once("]: guide")?;
        Some((name, page.trim_start_matches("::")))
    });
    assert_eq!(inside.collect::<BTreeSet<_>>(), outside);
    assert_eq!(readme.matches(GUIDE).count(), outside.len());
}

/// The names that `taskscope::…` can begin with.
fn public_names() -> BTreeSet<String> {
    let lib = read("runtime/src/lib.rs");
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut names = BTreeSet::new();
    for item in lib.split(';').filter_map(|item| item.split_once("pub ")) {
        names.extend(words(item.1).into_iter().skip(1));
    }
    let joins = read("runtime/src/branch/join.rs");
    let macros = joins
        .lines()
        .filter_map(|line| line.strip_prefix("macro_rules! "));
    names.extend(macros.map(|name| name.trim_end_matches(" {").to_owned()));
    names
}

fn is_hidden(attrs: &[Attribute]) -> bool {
    let hidden = |attr: &Attribute| {
        let list = attr.meta.require_list();
        attr.path().is_ident("doc") && list.is_ok_and(|doc| doc.tokens.to_string() == "hidden")
    };
    attrs.iter().any(hidden)
}

fn add_imported(tree: &UseTree, names: &mut BTreeSet<String>) {
    match tree {
        UseTree::Path(path) => add_imported(&path.tree, names),
        UseTree::Group(group) => group
            .items
            .iter()
            .for_each(|tree| add_imported(tree, names)),
        UseTree::Name(name) => drop(names.insert(name.ident.to_string())),
        UseTree::Rename(name) => drop(names.insert(name.rename.to_string())),
        UseTree::Glob(_) => panic!("a glob in the crate root"),
    }
}

/// The names that the documentation of the crate root shows, without its modules.
fn names_in_the_root() -> BTreeSet<String> {
    let parse = |path: &str| syn::parse_file(&read(path)).unwrap().items;
    let mut names = BTreeSet::new();
    for item in parse("runtime/src/lib.rs") {
        match item {
            Item::Use(item) if !is_hidden(&item.attrs) => add_imported(&item.tree, &mut names),
            _ => {}
        }
    }
    for item in parse("runtime/src/branch/join.rs") {
        let Item::Macro(item) = item else { continue };
        let exported = item
            .attrs
            .iter()
            .any(|attr| attr.path().is_ident("macro_export"));
        if exported && !is_hidden(&item.attrs) {
            names.extend(item.ident.map(|name| name.to_string()));
        }
    }
    names
}

/// What few programs name belongs in a module.
#[test]
fn the_root_has_at_most_35_names() {
    let names = names_in_the_root();
    for name in ["Scope", "TaskHandle", "join", "main", "race", "timeout"] {
        assert!(names.contains(name), "`{name}` is not seen");
    }
    assert!(names.len() <= 35, "{} names: {names:?}", names.len());
}

#[test]
fn every_item_that_the_guide_names_exists() {
    let known = public_names();
    for name in ["race", "Group", "join", "tower", "Shutdown", "test"] {
        assert!(known.contains(name), "`{name}` is not seen to be public");
    }
    let mut seen = 0;
    for (path, text) in prose() {
        for (at, _) in text.match_indices("taskscope::") {
            let rest = &text[at + "taskscope::".len()..];
            let name = rest
                .split(|c: char| !(c.is_alphanumeric() || c == '_'))
                .next()
                .unwrap();
            // `taskscope::{…}`, which is compiled.
            if !name.is_empty() {
                assert!(
                    known.contains(name),
                    "{path}: there is no `taskscope::{name}`"
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 20, "only {seen} names were found");
}

/// A link to a section, `crate::guide::page#section`, which rustdoc does not check.
#[test]
fn every_section_that_is_linked_to_exists() {
    let mut paths = vec![root().join("runtime/src")];
    let mut seen = 0;
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for (at, link) in text.match_indices("crate::guide::") {
            let target = text[at + link.len()..]
                .split([')', '`', ' ', '\n'])
                .next()
                .unwrap();
            let Some((page, section)) = target.split_once('#') else {
                continue;
            };
            let page = read(&format!("runtime/src/guide/{page}.md"));
            let sections = page.lines().filter_map(|line| line.strip_prefix("# "));
            let is_there = sections.map(anchor).any(|anchor| anchor == section);
            assert!(is_there, "{}: no section `{target}`", path.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "only {seen} links were found");
}

/// What rustdoc makes of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ if c.is_alphanumeric() => Some(c.to_ascii_lowercase()),
        _ => None,
    });
    kept.collect()
}
