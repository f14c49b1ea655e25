//! `#[cancellable(blocking)]`: loops of a plain function that return when cancelled.

use crate::syntax::path::{Crate, mixed};
use crate::syntax::span::{ends, parenthesized};
use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ReturnType;

/// How a loop is left: located at the function's return type, so that an error about
/// that type is shown there.
pub(crate) struct Refusal {
    start: Span,
    end: Span,
}

impl Refusal {
    pub(crate) fn new(output: &ReturnType) -> Self {
        let (start, end) = match output {
            ReturnType::Type(_, ty) => ends(&ty.to_token_stream()),
            ReturnType::Default => (Span::call_site(), Span::call_site()),
        };
        Self { start, end }
    }

    // From the start of an iteration into a look at the flag, and a `return`.
    pub(crate) fn unless_refused(&self, krate: &Crate, keyword: Span) -> TokenStream {
        let private = krate.private(keyword);
        let refused = quote_spanned!(keyword=> #private::refused());
        let mixed = mixed(keyword);
        let cancelled = quote_spanned!(mixed=> __taskscope_cancelled);
        let (start, end) = (self.start, self.end);
        let private = krate.private(start);
        let argument = parenthesized(cancelled.clone(), end);
        let refuse = quote_spanned!(start=> #private::refuse #argument);
        quote_spanned! {mixed=>
            if let ::core::option::Option::Some(#cancelled) = #refused {
                return #refuse;
            }
        }
    }
}
