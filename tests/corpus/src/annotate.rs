//! The async fns of a crate, and text put into them; the rest of the sources stays
//! as it is, down to the line numbers.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{AttrStyle, Attribute, Block, ImplItemFn, ItemFn, Signature, TraitItemFn};

use crate::sources::{read, rust_files, write};

/// An async fn with a body.
pub(crate) struct Function {
    pub(crate) file: PathBuf,
    pub(crate) name: String,
    lines: RangeInclusive<usize>,
    /// Before its attributes.
    head: usize,
    /// At the begin of its body.
    body: usize,
}

/// Finds every async fn outside of macros.
pub(crate) fn functions(root: &Path) -> Vec<Function> {
    let mut functions = Vec::new();
    for directory in ["src", "tests"] {
        for file in rust_files(root, directory) {
            match syn::parse_file(&read(&root.join(&file))) {
                Ok(syntax) => {
                    let mut finder = Finder {
                        file: &file,
                        found: &mut functions,
                    };
                    finder.visit_file(&syntax);
                }
                Err(error) => println!("{}: left out: {error}", file.display()),
            }
        }
    }
    functions
}

struct Finder<'a> {
    file: &'a Path,
    found: &'a mut Vec<Function>,
}

impl Finder<'_> {
    fn find(&mut self, attrs: &[Attribute], head: Span, sig: &Signature, block: &Block) {
        if sig.asyncness.is_none() {
            return;
        }
        let (outer, inner): (Vec<_>, Vec<_>) = attrs
            .iter()
            .partition(|attr| matches!(attr.style, AttrStyle::Outer));
        let head = outer.first().map_or(head, |attr| attr.span());
        let body = inner.last().map(|attr| attr.span().byte_range().end);
        let braces = block.brace_token.span;
        self.found.push(Function {
            file: self.file.to_owned(),
            name: sig.ident.to_string(),
            lines: head.start().line..=braces.close().end().line,
            head: head.byte_range().start,
            body: body.unwrap_or(braces.open().byte_range().end),
        });
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_fn(&mut self, f: &'ast ItemFn) {
        self.find(&f.attrs, f.span(), &f.sig, &f.block);
        visit::visit_item_fn(self, f);
    }

    fn visit_impl_item_fn(&mut self, f: &'ast ImplItemFn) {
        self.find(&f.attrs, f.span(), &f.sig, &f.block);
        visit::visit_impl_item_fn(self, f);
    }

    fn visit_trait_item_fn(&mut self, f: &'ast TraitItemFn) {
        if let Some(block) = &f.default {
            self.find(&f.attrs, f.span(), &f.sig, block);
        }
        visit::visit_trait_item_fn(self, f);
    }
}

/// Where text is put.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    BeforeHead,
    InBody,
}

/// Puts text into some functions of the crate at `from`, for the copy at `to`.
pub(crate) fn insert(
    from: &Path,
    to: &Path,
    functions: &[Function],
    place: Place,
    text: impl Fn(usize) -> Option<String>,
) {
    let mut files: BTreeMap<&Path, Vec<(usize, String)>> = BTreeMap::new();
    for (index, function) in functions.iter().enumerate() {
        let insertions = files.entry(&function.file).or_default();
        let at = match place {
            Place::BeforeHead => function.head,
            Place::InBody => function.body,
        };
        insertions.extend(text(index).map(|text| (at, text)));
    }
    for (file, mut insertions) in files {
        let mut source = read(&from.join(file));
        insertions.sort();
        for (at, text) in insertions.iter().rev() {
            source.insert_str(*at, text);
        }
        write(&to.join(file), &source);
    }
}

/// The innermost function at a line.
pub(crate) fn at_line(functions: &[Function], file: &str, line: usize) -> Option<usize> {
    let around =
        |function: &Function| function.file == Path::new(file) && function.lines.contains(&line);
    let around = functions
        .iter()
        .enumerate()
        .filter(|(_, function)| around(function));
    around
        .max_by_key(|(_, function)| *function.lines.start())
        .map(|(index, _)| index)
}
