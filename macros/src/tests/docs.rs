//! The options in the documentation of a macro are those that it takes.

use super::{attribute, group, tokens};
use crate::entry::{self, EntryKind};
use std::collections::BTreeSet;

/// The options that an error about an unknown one lists.
fn taken(expansion: &str) -> BTreeSet<String> {
    let (_, list) = expansion
        .split_once("the options here are ")
        .unwrap_or_else(|| panic!("no list of options in {expansion}"));
    let list = list.split(['\n', '\\']).next().unwrap_or_default();
    names(list)
}

/// The names in backticks, without their values.
fn names(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let names = quoted.filter_map(|code| code.split([' ', '(']).next());
    names
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_') && *name != "_")
        .map(str::to_owned)
        .collect()
}

/// The section `# Options` of the documentation of a macro.
fn section(of: &str) -> Vec<&'static str> {
    let source = include_str!("../lib.rs");
    let (before, _) = source
        .split_once(&format!("\npub fn {of}("))
        .unwrap_or_else(|| panic!("there is no `{of}`"));
    let (_, section) = before.rsplit_once("/// # Options\n").unwrap();
    let lines = section
        .lines()
        .map(|line| line.trim_start_matches("///").trim_start());
    lines
        .take_while(|line| !line.starts_with("# ") && !line.starts_with("```"))
        .collect()
}

/// The options that stand before the colon of a list's items.
fn listed(of: &str) -> BTreeSet<String> {
    let items = section(of)
        .into_iter()
        .filter_map(|line| line.strip_prefix("- "));
    items
        .flat_map(|item| names(item.split(": ").next().unwrap_or_default()))
        .collect()
}

#[test]
fn of_cancellable() {
    let expansion = attribute("nonsense", "async fn f() {}");
    assert_eq!(listed("cancellable"), taken(&expansion));
}

#[test]
fn of_main_and_test() {
    for (kind, name) in [(EntryKind::Main, "main"), (EntryKind::Test, "test")] {
        let item = format!("async fn {name}() {{}}");
        let expansion = entry::entry(kind, tokens("nonsense = 1"), tokens(&item)).to_string();
        assert_eq!(listed(name), taken(&expansion), "{name}");
    }
}

#[test]
fn of_task_group() {
    let text = section("task_group").join(" ");
    let mut documented = names(&text);
    // What the text explains the options with, and the checks.
    for other in ["detached", "blocking", "hard_drop"] {
        documented.remove(other);
    }
    assert_eq!(documented, taken(&group("nonsense = 1, |g| { Ok(()) }")));
}
