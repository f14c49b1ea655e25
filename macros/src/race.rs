//! `race!`.

use crate::diag::Diag;
use crate::syntax::editor::beside_errors;
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
        Ok(race) => {
            let mut diag = Diag::default();
            let race = race.expand(None, &mut diag).into_token_stream();
            beside_errors(restore_groups(tokens, race), diag)
        }
        Err(error) => error.into_compile_error(),
    }
}
