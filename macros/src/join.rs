//! `join!` and `try_join!`.

use crate::syntax::join::JoinInput;
use crate::syntax::written::restore_groups;
use proc_macro2::TokenStream;

/// The expression that runs the branches until each has a value.
pub(crate) fn join(tokens: TokenStream) -> TokenStream {
    expand(tokens, JoinInput::expand_join)
}

/// The expression that runs the branches until one fails.
pub(crate) fn try_join(tokens: TokenStream) -> TokenStream {
    expand(tokens, JoinInput::expand_try_join)
}

fn expand(tokens: TokenStream, expand: fn(JoinInput) -> TokenStream) -> TokenStream {
    match syn::parse2(tokens.clone()) {
        Ok(join) => restore_groups(tokens, expand(join)),
        Err(error) => error.into_compile_error(),
    }
}
