//! `race!`: emit. Inside a `#[cancellable]` function its expressions
//! have been rewritten by then, together with the function's.

use crate::rewrite::branches::{list, place, run};
use crate::rewrite::{Rewriter, unwrap_operand};
use crate::syntax::path::{Crate, mixed};
use crate::syntax::race::{RaceBranch, RaceInput};
use crate::syntax::span::{ends, parenthesized, start_of};
use crate::syntax::witness::Witnessed;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::visit_mut::VisitMut;
use syn::{Macro, Pat};

impl Rewriter<'_> {
    // From `race! { … }` into `::taskscope::race! { @use(race) … }` with its expressions visited
    // as what they are, the function's own. What is no race yet is left as it is.
    pub(crate) fn visit_race(&mut self, mac: &mut Macro) {
        let Ok(mut race) = mac.parse_body::<RaceInput>() else {
            return;
        };
        for branch in &mut race.branches {
            self.visit_expr_mut(&mut branch.future);
            if let Some((_, guard)) = &mut branch.guard {
                self.visit_expr_mut(guard);
            }
            self.visit_expr_mut(&mut branch.handler);
        }
        if let Some(fallback) = &mut race.fallback {
            self.visit_expr_mut(&mut fallback.handler);
        }
        race.krate = race.krate.or_else(|| self.krate.option().cloned());
        if !race.witnessed.is_some() {
            race.witnessed = Witnessed::of(&mac.path);
            self.use_own(&mut mac.path);
        }
        mac.tokens = race.into_token_stream();
    }
}

impl RaceInput {
    // From the branches into a list of them, run in a block of its own, so that all
    // futures are gone when the handlers begin.
    pub(crate) fn expand(mut self) -> TokenStream {
        let span = Span::mixed_site();
        let krate = Crate::new(self.krate.take());
        let private = &krate.private(span);
        let branches = &mut self.branches;
        let guards: Vec<_> = (0..).zip(&mut *branches).map(RaceBranch::guard).collect();
        let futures: Vec<_> = (0..).zip(&mut *branches).map(RaceBranch::future).collect();
        let listed = (0..).zip(&*branches).map(|b| race_branch(b, private));
        let list = list(private, listed.collect());
        let places = (0..branches.len()).map(place);
        let values = places.map(|branch| quote_spanned!(span=> #private::won(#branch)));
        let (winners, nobody) = outcomes(private, values);
        let biased = self.biased.is_some();
        let race = quote_spanned!(span=> #private::race(&mut __taskscope_branches, #biased));
        let run = run(&list, &race, &winners, &nobody);
        let arms = self.arms(private);
        let witness = self.witnessed.statement();
        quote_spanned! {span=> {
            #witness
            #[allow(unused_mut)]
            let mut __taskscope_winner = {
                #private::gate().await;
                #(#guards)*
                #(#futures)*
                let __taskscope_winner = #run;
                __taskscope_winner
            };
            match __taskscope_winner { #arms }
        }}
    }

    fn arms(&self, private: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        let patterns = self.branches.iter().map(RaceBranch::quiet_pattern);
        let patterns =
            patterns.map(|pattern| quote_spanned!(span=> #private::Winner::This(#pattern)));
        let (winners, nobody) = outcomes(private, patterns);
        let handlers = self.branches.iter().map(|branch| &branch.handler);
        let fallback = self.fallback.as_ref().map_or_else(
            || quote_spanned!(span=> #private::all_disabled()),
            |fallback| fallback.handler.to_token_stream(),
        );
        quote_spanned! {span=>
            #(#winners => #handlers,)*
            #nobody => #fallback,
            #[allow(unreachable_patterns)]
            _ => ::core::unreachable!(),
        }
    }
}

// What a race ends with, as values or as patterns: `FIRST`, `Later(SECOND)`, `Later(Later(THIRD))`, …, and
// `Later(Later(Later(())))` without a winner.
fn outcomes(
    private: &TokenStream,
    winners: impl Iterator<Item = TokenStream>,
) -> (Vec<TokenStream>, TokenStream) {
    let span = Span::mixed_site();
    let later = |(index, outcome)| {
        let wrap = |inner, _| quote_spanned!(span=> #private::Winner::Later(#inner));
        (0..index).fold(outcome, wrap)
    };
    let winners: Vec<_> = (0..).zip(winners).map(later).collect();
    let nobody = later((winners.len(), quote_spanned!(span=> ())));
    (winners, nobody)
}

impl RaceBranch {
    // Evaluated once, before any future is made.
    fn guard((index, branch): (usize, &mut Self)) -> TokenStream {
        let Some((_, guard)) = &mut branch.guard else {
            return TokenStream::new();
        };
        unwrap_operand(guard);
        let span = Span::mixed_site();
        let local = local("guard", index, span);
        quote_spanned!(span=> let #local: bool = #guard;)
    }

    // In a `let` of its own, so that `&mut` of a temporary lives as long as the
    // race, and other temporaries, such as a lock's guard, do not.
    fn future((index, branch): (usize, &mut Self)) -> TokenStream {
        unwrap_operand(&mut branch.future);
        let future = &branch.future;
        let local = local("future", index, start_of(branch.start()));
        quote_spanned!(Span::mixed_site()=> let #local = #future;)
    }

    // Where an error about the future is shown.
    fn start(&self) -> Span {
        ends(&self.future.to_token_stream()).0
    }

    // A bare `_` is no pattern that a lint should look at.
    fn quiet_pattern(&self) -> TokenStream {
        match &self.pattern {
            Pat::Wild(wild) => quote_spanned!(mixed(wild.underscore_token.span)=> _),
            pattern => pattern.to_token_stream(),
        }
    }
}

// From a pattern into a test that moves nothing: the guard ends the function before
// anything would be bound.
fn race_branch((index, branch): (usize, &RaceBranch), private: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    // The parentheses show the error, as an editor would take the name for the user's.
    let start = branch.start();
    let future = local("future", index, start_of(start)).into_token_stream();
    let future = parenthesized(future, mixed(start));
    let enabled = branch.guard.as_ref().map_or_else(
        || quote_spanned!(span=> true),
        |_| local("guard", index, span).into_token_stream(),
    );
    let pattern = branch.quiet_pattern();
    quote_spanned! {span=>
        #private::race_branch(#future, #enabled, |__taskscope_value| {
            #[allow(
                unreachable_code,
                unreachable_patterns,
                unused_variables,
                unused_mut,
                non_snake_case,
                clippy::all,
                clippy::pedantic,
                clippy::nursery
            )]
            match *__taskscope_value {
                #pattern if { return true } => {}
                _ => {}
            }
            false
        })
    }
}

fn local(what: &str, index: usize, span: Span) -> Ident {
    format_ident!("__taskscope_{what}_{index}", span = mixed(span))
}
