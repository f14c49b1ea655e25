//! `join!` and `try_join!`: emit.

use crate::rewrite::branches::BranchMaker;
use crate::rewrite::unwrap_operand;
use crate::syntax::join::JoinInput;
use crate::syntax::path::mixed;
use crate::syntax::span::ends;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::Expr;

impl JoinInput {
    // From the futures into the tuple of their values.
    pub(crate) fn expand_join(self) -> TokenStream {
        let maker = BranchMaker::new(self.krate.clone(), None);
        let values = self.values(&maker, "value");
        self.run(&maker, "join", "branch", &[], &values)
    }

    // From the futures into `Ok` of the tuple of their values, or the error of the one that
    // failed. It is located at its branch, and so is what rustc says about its type.
    pub(crate) fn expand_try_join(self) -> TokenStream {
        let maker = BranchMaker::new(self.krate.clone(), None);
        let (span, private) = (maker.span, &maker.private);
        let values = self.values(&maker, "success");
        let values = quote_spanned!(span=> ::core::result::Result::Ok(#values));
        let errors = self.branches.iter().enumerate().map(|(index, future)| {
            let (at, branch) = (ends(&future.to_token_stream()).0, maker.branch(index));
            quote_spanned!(mixed(at)=> ::core::result::Result::Err(#private::error(#branch)))
        });
        let errors: Vec<_> = errors.collect();
        self.run(&maker, "try_join", "try_branch", &errors, &values)
    }

    // The values that the function `take` takes out of the branches. In a closure: a value of
    // type `!` must not make the code after the macro unreachable.
    fn values(&self, maker: &BranchMaker, take: &str) -> TokenStream {
        let (span, private) = (maker.span, &maker.private);
        let take = Ident::new(take, span);
        let branches = (0..self.branches.len()).map(|index| maker.branch(index));
        quote_spanned!(span=> #private::values(move || (#(#private::#take(#branches),)*)))
    }

    // One expression also with the gate, so that temporaries in the futures live until the end
    // of the user's statement.
    fn run(
        self,
        maker: &BranchMaker,
        join: &str,
        branch: &str,
        decided: &[TokenStream],
        otherwise: &TokenStream,
    ) -> TokenStream {
        let (span, private) = (maker.span, &maker.private);
        let (join, branch) = (Ident::new(join, span), Ident::new(branch, span));
        let futures = self.branches.into_iter().map(argument);
        let branches = futures.map(|future| quote_spanned!(span=> #private::#branch #future));
        let branches = maker.list(branches);
        let branches = quote_spanned!(span=> #private::after(#private::gate().await, #branches));
        let join = quote_spanned!(span=> #private::#join(&mut __taskscope_branches));
        maker.run(&branches, &join, decided, otherwise)
    }
}

// `(FUTURE)`, which ends where the user's code does: there rustc sees what is missing.
fn argument(mut future: Expr) -> TokenStream {
    unwrap_operand(&mut future);
    let end = mixed(ends(&future.to_token_stream()).1);
    quote_spanned!(end=> (#future))
}
