//! `race!`.

use crate::syntax::race::RaceInput;
use crate::syntax::witness;
use crate::syntax::written::restore_groups;
use proc_macro2::TokenStream;
use quote::ToTokens;

/// The expression that runs the race, or what is wrong with it.
pub(crate) fn race(tokens: TokenStream) -> TokenStream {
    if let Some(rest) = witness::accept("race", &tokens) {
        return rest;
    }
    match RaceInput::read(&tokens) {
        Ok(race) => restore_groups(tokens, race.expand(None).into_token_stream()),
        Err(error) => error.into_compile_error(),
    }
}
