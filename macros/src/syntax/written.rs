//! Groups as the user has written them.
//!
//! `syn` prints a group anew, and the new one has one span for both of its delimiters: all of the group.
//! An editor looks for the parentheses of a call at their own locations, to show its parameters and its
//! signature. So groups that the rewriter has not changed are put back.

use crate::syntax::editor::is_in_editor;
use proc_macro2::{Group, TokenStream, TokenTree};
use std::collections::HashMap;

/// Puts the groups of `written` back into its expansion, where they are unchanged. For an editor
/// alone: to find them takes longer than to expand the rest.
pub(crate) fn restore_groups(written: TokenStream, expansion: TokenStream) -> TokenStream {
    if !is_in_editor() {
        return expansion;
    }
    let mut groups = WrittenGroups::default();
    groups.take(written);
    groups.restore(expansion)
}

/// The groups of some code, by their locations. Spans cannot be compared, but what is printed of them can.
#[derive(Default)]
struct WrittenGroups(HashMap<String, Group>);

impl WrittenGroups {
    fn take(&mut self, tokens: TokenStream) {
        for group in tokens.into_iter().filter_map(into_group) {
            self.take(group.stream());
            self.0.insert(location_of(&group), group);
        }
    }

    fn restore(&self, tokens: TokenStream) -> TokenStream {
        let trees = tokens.into_iter().map(|tree| match tree {
            TokenTree::Group(group) => self.restore_one(group).into(),
            tree => tree,
        });
        trees.collect()
    }

    fn restore_one(&self, group: Group) -> Group {
        let written = self.0.get(&location_of(&group));
        if let Some(written) = written.filter(|written| is_same(written, &group)) {
            return written.clone();
        }
        let mut restored = Group::new(group.delimiter(), self.restore(group.stream()));
        restored.set_span(group.span());
        restored
    }
}

fn into_group(tree: TokenTree) -> Option<Group> {
    match tree {
        TokenTree::Group(group) => Some(group),
        _ => None,
    }
}

fn location_of(group: &Group) -> String {
    format!("{:?}", group.span())
}

fn is_same(a: &Group, b: &Group) -> bool {
    let mut others = b.stream().into_iter();
    a.delimiter() == b.delimiter()
        && a.stream().into_iter().all(|tree| {
            let other = others.next();
            other.is_some_and(|other| is_same_tree(&tree, &other))
        })
        && others.next().is_none()
}

fn is_same_tree(a: &TokenTree, b: &TokenTree) -> bool {
    match (a, b) {
        (TokenTree::Group(a), TokenTree::Group(b)) => is_same(a, b),
        (TokenTree::Ident(a), TokenTree::Ident(b)) => a == b,
        (TokenTree::Punct(a), TokenTree::Punct(b)) => a.as_char() == b.as_char(),
        (TokenTree::Literal(a), TokenTree::Literal(b)) => a.to_string() == b.to_string(),
        _ => false,
    }
}
