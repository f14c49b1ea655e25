//! What `join!`, `try_join!` and `race!` become: a list of pinned branches, which one future runs
//! and from which the values are then taken.
//!
//! ```text
//! match cons(pin!(BRANCH), cons(pin!(BRANCH), ())) {
//!     mut __taskscope_branches => match RUN(&mut __taskscope_branches).await {
//!         Some(0) => … __taskscope_branches.head …,
//!         Some(1) => … __taskscope_branches.rest.head …,
//!         _ => …,
//!     }
//! }
//! ```
//!
//! Not a `let`: temporaries in the futures live until the end of the user's statement.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

/// The branches as a list, the first one first.
pub(crate) fn list(private: &TokenStream, branches: Vec<TokenStream>) -> TokenStream {
    let span = Span::mixed_site();
    branches.into_iter().rev().fold(
        quote!(()),
        |rest, branch| quote_spanned!(span=> #private::cons(::core::pin::pin!(#branch), #rest)),
    )
}

/// The branch at `index` of the list.
pub(crate) fn place(index: usize) -> TokenStream {
    let span = Span::mixed_site();
    let rest = (0..index).map(|_| quote_spanned!(span=> .rest));
    quote_spanned!(span=> __taskscope_branches #(#rest)* .head)
}

/// Runs the branches of a list by the call `RUN(…)`. `decided` has what follows for each branch
/// that may decide, `otherwise` what follows if none has.
pub(crate) fn run(
    list: &TokenStream,
    run: &TokenStream,
    decided: &[TokenStream],
    otherwise: &TokenStream,
) -> TokenStream {
    let indices = 0..decided.len() as u16;
    quote_spanned! {Span::mixed_site()=>
        match #list {
            mut __taskscope_branches => match #run.await {
                #(::core::option::Option::Some(#indices) => #decided,)*
                #[allow(unreachable_code)]
                _ => #otherwise,
            }
        }
    }
}
