//! `race!`.

use crate::syntax::race::RaceInput;
use crate::syntax::witness;
use crate::syntax::written::restore_groups;
use proc_macro2::TokenStream;

/// The expression that runs the race, or what is wrong with it.
pub(crate) fn race(tokens: TokenStream) -> TokenStream {
    if let Some(rest) = witness::accept("race", &tokens) {
        return rest;
    }
    match syn::parse2::<RaceInput>(tokens.clone()) {
        Ok(race) => restore_groups(tokens, race.expand()),
        Err(error) => error.into_compile_error(),
    }
}
