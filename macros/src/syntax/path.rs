//! The path by which an expansion names the runtime crate.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, TokenStreamExt, quote_spanned};
use syn::{Path, Token};

/// `::taskscope`, or what the option `crate = path` says.
pub(crate) struct Crate(Option<Path>);

impl Crate {
    pub(crate) fn new(path: Option<Path>) -> Self {
        Self(path)
    }

    /// What the option says.
    pub(crate) fn option(&self) -> Option<&Path> {
        self.0.as_ref()
    }

    /// The path, located at `span`: `Location::caller()` of a call is where its
    /// tokens are, and an error about it is shown there.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        match &self.0 {
            None => quote_spanned!(span=> ::taskscope),
            Some(path) => relocate(path.to_token_stream(), span),
        }
    }

    /// The door for expansions, `::taskscope::__private`.
    pub(crate) fn private(&self, span: Span) -> TokenStream {
        // In one go where that can be: it is in every await, and a stream in a stream is
        // a call of rustc.
        if self.0.is_none() {
            return quote_spanned!(span=> ::taskscope::__private);
        }
        let krate = self.at(span);
        quote_spanned!(span=> #krate::__private)
    }

    /// A function behind that door.
    pub(crate) fn private_fn(&self, name: &str, span: Span) -> TokenStream {
        let mut path = self.private(span);
        Token![::](span).to_tokens(&mut path);
        path.append(Ident::new(name, span));
        path
    }

    /// Whether `path` may be this crate's `name`: written bare, or with the crate, which may be
    /// imported from elsewhere, so that its last name tells. Of the module that a `macro_rules!` calls
    /// `$crate::…`, nothing more can be known.
    pub(crate) fn has_path(&self, path: &Path, name: &str) -> bool {
        let mut names = path.segments.iter().map(|segment| &segment.ident).rev();
        if names.next().is_none_or(|last| last != name) {
            return false;
        }
        let Some(krate) = names.next() else {
            return path.leading_colon.is_none();
        };
        let first = &path.segments[0].ident;
        let is_option = |own: &Path| own.segments.last().is_some_and(|own| own.ident == *krate);
        krate == "taskscope"
            || first == "taskscope"
            || *first == "$crate"
            || self.0.as_ref().is_some_and(is_option)
    }

    /// Whether an import that begins with `name` may be from this crate: with it, or from
    /// the user's own crate, which may re-export it.
    pub(crate) fn may_be_imported_from(&self, name: &Ident) -> bool {
        let is_option = |own: &Path| own.segments.first().is_some_and(|own| own.ident == *name);
        ["taskscope", "crate", "self", "super", "$crate"]
            .iter()
            .any(|known| name == known)
            || self.0.as_ref().is_some_and(is_option)
    }

    /// Whether `path` begins with the same word or colons as the crate's own path.
    pub(crate) fn begins_like(&self, path: &Path) -> bool {
        let first = |path: &Path| match path.leading_colon {
            Some(_) => None,
            None => path.segments.first().map(|first| first.ident.clone()),
        };
        first(path) == self.0.as_ref().and_then(first)
    }
}

/// The location of `span` with the names of the macro's definition: what the
/// expansion declares is invisible to the user, and lints leave it alone.
pub(crate) fn mixed(span: Span) -> Span {
    span.resolved_at(Span::mixed_site())
}

// Moves tokens to `span`; what their names refer to does not change.
fn relocate(tokens: TokenStream, span: Span) -> TokenStream {
    let moved = tokens.into_iter().map(|tree| {
        let mut tree = match tree {
            TokenTree::Group(group) => TokenTree::Group(Group::new(
                group.delimiter(),
                relocate(group.stream(), span),
            )),
            other => other,
        };
        tree.set_span(tree.span().located_at(span));
        tree
    });
    moved.collect()
}
