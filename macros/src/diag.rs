//! Errors, collected so that several mistakes are reported in one go.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// The errors found in one macro input.
#[derive(Default)]
pub(crate) struct Diag {
    errors: Vec<syn::Error>,
}

/// One mistake in rustc's form: what is wrong, why, what to write instead.
pub(crate) struct Mistake<'a> {
    pub(crate) what: &'a str,
    pub(crate) why: &'a str,
    pub(crate) help: &'a str,
}

impl Mistake<'_> {
    // Stable procedural macros have no notes of their own, so they go into the text.
    pub(crate) fn text(&self) -> String {
        let Self { what, why, help } = self;
        format!("{what}\n\n  = note: {why}\n  = help: {help}")
    }

    pub(crate) fn at(&self, span: Span) -> syn::Error {
        syn::Error::new(span, self.text())
    }
}

impl Diag {
    /// Reports a mistake at one token.
    pub(crate) fn report(&mut self, span: Span, mistake: &Mistake) {
        self.push(mistake.at(span));
    }

    /// Reports a mistake that several tokens show.
    pub(crate) fn report_over(&mut self, tokens: impl ToTokens, mistake: &Mistake) {
        self.push(syn::Error::new_spanned(tokens, mistake.text()));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        self.errors.push(error);
    }

    /// Reports what another one has collected.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.errors.append(&mut other.errors);
    }

    /// All errors as `compile_error!` calls; nothing if there are none.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.errors
            .iter()
            .map(syn::Error::to_compile_error)
            .collect()
    }
}
