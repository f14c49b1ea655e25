//! `race!`: emit. Inside a `#[cancellable]` function its expressions
//! have been rewritten by then, together with the function's.

use crate::rewrite::{Rewriter, unwrap_operand};
use crate::syntax::path::{Crate, mixed};
use crate::syntax::race::{RaceBranch, RaceInput};
use crate::syntax::span::ends;
use crate::syntax::witness::Witnessed;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::visit_mut::VisitMut;
use syn::{Expr, Macro, Pat};

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
        let racers = (0..).zip(&*branches).map(|branch| racer(branch, private));
        let racers: TokenStream = racers.collect();
        let list = (0..branches.len()).rev().fold(quote!(()), |rest, index| {
            let racer = local("racer", index, span);
            quote_spanned!(span=> #private::field(#racer, #rest))
        });
        let biased = self.biased.is_some();
        let arms = self.arms(private);
        let witness = self.witnessed.statement();
        quote_spanned! {span=> {
            #witness
            #[allow(unused_mut)]
            let mut __taskscope_won = {
                #private::gate().await;
                #(#guards)*
                #(#futures)*
                #racers
                let __taskscope_won = #private::race(#list, #biased).await;
                __taskscope_won
            };
            match __taskscope_won { #arms }
        }}
    }

    fn arms(&self, private: &TokenStream) -> TokenStream {
        let span = Span::mixed_site();
        let mut tokens = TokenStream::new();
        for (index, branch) in self.branches.iter().enumerate() {
            let pattern = branch.quiet_pattern();
            let this = quote_spanned!(span=> #private::Won::This(#pattern));
            let place = (0..index).fold(
                this,
                |inner, _| quote_spanned!(span=> #private::Won::Later(#inner)),
            );
            let handler = &branch.handler;
            tokens.extend(quote_spanned! {span=>
                ::core::option::Option::Some(#place) => #handler,
            });
        }
        let fallback = self.fallback.as_ref().map_or_else(
            || quote_spanned!(span=> #private::all_disabled()),
            |fallback| fallback.handler.to_token_stream(),
        );
        quote_spanned! {span=>
            #tokens
            ::core::option::Option::None => #fallback,
            #[allow(unreachable_patterns)]
            _ => ::core::unreachable!(),
        }
    }
}

impl RaceBranch {
    // Evaluated once, before any future is made.
    fn guard((index, branch): (usize, &mut Self)) -> TokenStream {
        let Some((keyword, guard)) = &mut branch.guard else {
            return TokenStream::new();
        };
        unwrap_operand(guard);
        let local = local("guard", index, guard_span(guard, keyword.span));
        let span = Span::mixed_site();
        quote_spanned!(span=> let #local: bool = #guard;)
    }

    // In a `let` of its own, so that `&mut` of a temporary lives as long as the
    // race, and other temporaries, such as a lock's guard, do not.
    fn future((index, branch): (usize, &mut Self)) -> TokenStream {
        unwrap_operand(&mut branch.future);
        let future = &branch.future;
        let local = local("future", index, ends(&future.to_token_stream()).0);
        quote_spanned!(Span::mixed_site()=> let #local = #future;)
    }

    // A bare `_` is no pattern that a lint should look at.
    fn quiet_pattern(&self) -> TokenStream {
        match &self.pattern {
            Pat::Wild(wild) => quote_spanned!(mixed(wild.underscore_token.span)=> _),
            pattern => pattern.to_token_stream(),
        }
    }
}

fn guard_span(guard: &Expr, keyword: Span) -> Span {
    guard
        .to_token_stream()
        .into_iter()
        .next()
        .map_or(keyword, |tree| tree.span())
}

// From a pattern into a test that moves nothing: the guard ends the function before
// anything would be bound.
fn racer((index, branch): (usize, &RaceBranch), private: &TokenStream) -> TokenStream {
    let span = Span::mixed_site();
    let racer = local("racer", index, span);
    let future = local("future", index, ends(&branch.future.to_token_stream()).0);
    let enabled = branch.guard.as_ref().map_or_else(
        || quote_spanned!(span=> true),
        |_| local("guard", index, span).into_token_stream(),
    );
    let pattern = branch.quiet_pattern();
    quote_spanned! {span=>
        let #racer = ::core::pin::pin!(#private::racer(#future, #enabled, |__taskscope_value| {
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
        }));
    }
}

fn local(what: &str, index: usize, span: Span) -> Ident {
    format_ident!("__taskscope_{what}_{index}", span = mixed(span))
}
