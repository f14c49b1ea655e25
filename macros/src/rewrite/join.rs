//! `join!` and `try_join!`: emit.

use crate::rewrite::branches::{list, place, run};
use crate::rewrite::unwrap_operand;
use crate::syntax::join::JoinInput;
use crate::syntax::path::{Crate, mixed};
use crate::syntax::span::ends;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::Expr;

impl JoinInput {
    // From the futures into the tuple of their values.
    pub(crate) fn expand_join(self) -> TokenStream {
        let private = self.private();
        let values = self.values(&private, "value");
        self.run("join", "branch", &[], &values)
    }

    // From the futures into `Ok` of the tuple of their values, or the error of the one that
    // failed. It is located at its branch, and so is what rustc says about its type.
    pub(crate) fn expand_try_join(self) -> TokenStream {
        let (span, private) = (Span::mixed_site(), self.private());
        let values = self.values(&private, "success");
        let values = quote_spanned!(span=> ::core::result::Result::Ok(#values));
        let errors = self.branches.iter().enumerate().map(|(index, future)| {
            let (at, branch) = (ends(&future.to_token_stream()).0, place(index));
            quote_spanned!(mixed(at)=> ::core::result::Result::Err(#private::error(#branch)))
        });
        let errors: Vec<_> = errors.collect();
        self.run("try_join", "try_branch", &errors, &values)
    }

    fn private(&self) -> TokenStream {
        Crate::new(self.krate.clone()).private(Span::mixed_site())
    }

    // The values that the function `take` takes out of the branches. In a closure: a value of
    // type `!` must not make the code after the macro unreachable.
    fn values(&self, private: &TokenStream, take: &str) -> TokenStream {
        let span = Span::mixed_site();
        let take = Ident::new(take, span);
        let places = (0..self.branches.len()).map(place);
        quote_spanned!(span=> #private::values(move || (#(#private::#take(#places),)*)))
    }

    // One expression also with the gate, so that temporaries in the futures live until the end
    // of the user's statement.
    fn run(
        self,
        join: &str,
        branch: &str,
        decided: &[TokenStream],
        otherwise: &TokenStream,
    ) -> TokenStream {
        let (span, private) = (Span::mixed_site(), self.private());
        let (join, branch) = (Ident::new(join, span), Ident::new(branch, span));
        let futures = self.branches.into_iter().map(argument);
        let branches = futures.map(|future| quote_spanned!(span=> #private::#branch #future));
        let list = list(&private, branches.collect());
        let list = quote_spanned!(span=> #private::after(#private::gate().await, #list));
        let join = quote_spanned!(span=> #private::#join(&mut __taskscope_branches));
        run(&list, &join, decided, otherwise)
    }
}

// `(FUTURE)`, which ends where the user's code does: there rustc sees what is missing.
fn argument(mut future: Expr) -> TokenStream {
    unwrap_operand(&mut future);
    let end = mixed(ends(&future.to_token_stream()).1);
    quote_spanned!(end=> (#future))
}
