//! `race!`: a list of branches in a block of its own, and a `match` for the handlers.
//!
//! A race in code that is being rewritten is expanded in place, as a `task_group!` is: see `group`. Any other is
//! expanded by its own macro, which makes no checkpoint of the awaits in it.

use crate::diag::Diag;
use crate::rewrite::branches::BranchMaker;
use crate::rewrite::{Rewriter, unwrap_operand};
use crate::syntax::path::mixed;
use crate::syntax::race::{RaceBranch, RaceInput};
use crate::syntax::span::{ends, parenthesized, start_of};
use crate::syntax::witness;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::token::Brace;
use syn::visit_mut::VisitMut;
use syn::{Block, Expr, ExprBlock, Macro, Pat, Stmt};

impl Rewriter<'_> {
    /// From `race! { … }` in the code at hand into its expansion; nothing where it does not read as ours.
    pub(crate) fn race_of(&mut self, mac: &Macro) -> Option<Expr> {
        let mut race = RaceInput::read(&mac.tokens).ok()?;
        for expr in race.expressions_mut() {
            self.visit_expr_mut(expr);
        }
        race.krate = race.krate.or_else(|| self.krate.option().cloned());
        Some(race.expand(Some(mac), self.diag))
    }
}

impl RaceInput {
    /// From the branches into a list of them, run in a block of its own, so that all futures are gone when the
    /// handlers begin. `call` is the call in code that is being rewritten.
    pub(crate) fn expand(mut self, call: Option<&Macro>, diag: &mut Diag) -> Expr {
        let maker = &BranchMaker::new(self.krate.take(), call);
        let ([_, input, _], span, caller) = (maker.call, maker.span, &maker.caller);
        let branches = (0..).zip(&mut self.branches);
        let locals = branches.map(|(index, branch)| branch.locals(index, span));
        let (guards, futures): (TokenStream, TokenStream) = locals.unzip();
        let (run, handle) = (self.run(maker), self.handle(maker));
        let gate = quote_spanned!(input=> #caller::gate().await);
        let witness = call.map(|mac| witness::statement(&mac.path));
        let tokens = quote_spanned! {span=>
            #witness
            #[allow(unused_mut)]
            let mut __taskscope_winner = {
                #gate;
                #guards
                #futures
                let __taskscope_winner = #run;
                __taskscope_winner
            };
            #handle
        };
        let tokens = Expr::Verbatim(self.holes.take_out(tokens, diag));
        Expr::Block(ExprBlock {
            attrs: Vec::new(),
            label: None,
            block: Block {
                brace_token: Brace(span),
                stmts: vec![Stmt::Expr(tokens, None)],
            },
        })
    }

    fn run(&self, maker: &BranchMaker) -> TokenStream {
        let (span, private, caller) = (maker.span, &maker.private, &maker.caller);
        let branches = self.branches.iter().enumerate();
        let list = maker.list(branches.map(|(index, branch)| branch.listed(index, maker)));
        let values = (0..self.branches.len()).map(|index| maker.branch(index));
        let values = values.map(|branch| quote_spanned!(span=> #private::won(#branch)));
        let (winners, nobody) = outcomes(maker, values);
        let is_biased = self.is_biased;
        let race = quote_spanned!(span=> #caller::race(&mut __taskscope_branches, #is_biased));
        maker.run(&list, &race, &winners, &nobody)
    }

    // The `match` begins and ends where the call does: if its value is not used, rustc shows the call.
    fn handle(&self, maker: &BranchMaker) -> TokenStream {
        let (span, private, caller) = (maker.span, &maker.private, &maker.caller);
        let patterns = self.branches.iter().map(RaceBranch::quiet_pattern);
        let patterns =
            patterns.map(|pattern| quote_spanned!(span=> #private::Winner::This(#pattern)));
        let (winners, nobody) = outcomes(maker, patterns);
        let handlers = self.branches.iter().map(|branch| &branch.handler);
        let fallback = self.fallback.as_ref().map_or_else(
            || quote_spanned!(span=> #caller::all_disabled()),
            |(_, handler)| handler.to_token_stream(),
        );
        let arms = quote_spanned! {span=>
            #(#winners => #handlers,)*
            #nobody => #fallback,
            #[allow(unreachable_patterns)]
            _ => ::core::unreachable!(),
        };
        let [start, _, end] = maker.call;
        let keyword = quote_spanned!(start=> match);
        let arms = quote_spanned!(end=> { #arms });
        quote_spanned!(span=> #keyword __taskscope_winner #arms)
    }
}

// What a race ends with, as values or as patterns: `FIRST`, `Later(SECOND)`, `Later(Later(THIRD))`, …, and
// `Later(Later(Later(())))` without a winner.
fn outcomes(
    maker: &BranchMaker,
    winners: impl Iterator<Item = TokenStream>,
) -> (Vec<TokenStream>, TokenStream) {
    let (span, private) = (maker.span, &maker.private);
    let later = |(index, outcome)| {
        let wrap = |inner, _| quote_spanned!(span=> #private::Winner::Later(#inner));
        (0..index).fold(outcome, wrap)
    };
    let winners: Vec<_> = (0..).zip(winners).map(later).collect();
    let nobody = later((winners.len(), quote_spanned!(span=> ())));
    (winners, nobody)
}

impl RaceBranch {
    // The guard is evaluated once, before any future is made. The future is in a `let` of its own, so that `&mut`
    // of a temporary lives as long as the race, and other temporaries, such as a lock's guard, do not.
    fn locals(&mut self, index: usize, span: Span) -> (TokenStream, TokenStream) {
        let guard = self.guard.as_mut().map(|guard| {
            unwrap_operand(guard);
            let local = local("guard", index, span);
            quote_spanned!(span=> let #local: bool = #guard;)
        });
        unwrap_operand(&mut self.future);
        let (future, start) = (&self.future, start_of(self.start()));
        let local = local("future", index, start);
        let future = quote_spanned!(span=> let #local = #future;);
        (guard.unwrap_or_default(), future)
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

    // From a pattern into a test that moves nothing: the guard ends the function before
    // anything would be bound.
    fn listed(&self, index: usize, maker: &BranchMaker) -> TokenStream {
        let (span, caller) = (maker.span, &maker.caller);
        // The parentheses show the error, as an editor would take the name for the user's.
        let start = self.start();
        let future = local("future", index, start_of(start)).into_token_stream();
        let future = parenthesized(future, mixed(start));
        let enabled = self.guard.as_ref().map_or_else(
            || quote_spanned!(span=> true),
            |_| local("guard", index, span).into_token_stream(),
        );
        let pattern = self.quiet_pattern();
        quote_spanned! {span=>
            #caller::race_branch(#future, #enabled, |__taskscope_value| {
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
}

fn local(what: &str, index: usize, span: Span) -> Ident {
    format_ident!("__taskscope_{what}_{index}", span = mixed(span))
}
