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

use crate::syntax::editor::is_in_editor;
use crate::syntax::path::{Crate, mixed};
use crate::syntax::span::{end_of, start_of};
use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::{Macro, Path};

/// Makes the parts of one such expansion.
pub(crate) struct BranchMaker {
    /// Where the user's code calls the macro: the beginning, all of the input, and the end. rustc takes words that
    /// are located there for the user's own.
    pub(crate) call: [Span; 3],
    /// The location of the rest: all of the input. Where a pattern has the wrong type, rustc adds the type of the
    /// matched value, unless the value is located around the pattern. Without it, the errors about the two copies
    /// of the pattern are equal, and rustc reports one.
    pub(crate) span: Span,
    /// The path of the functions that the expansion calls.
    pub(crate) private: TokenStream,
    /// The same path, for functions whose `Location::caller()` is the beginning of the call.
    pub(crate) caller: TokenStream,
}

impl BranchMaker {
    /// `call` is the call of the macro, in code that is being rewritten. A macro that expands itself sees only its
    /// input, and the compiler knows where it is called.
    pub(crate) fn new(krate: Option<Path>, call: Option<&Macro>) -> Self {
        let (krate, here) = (Crate::new(krate), [Span::mixed_site(); 3]);
        let call @ [start, input, _] = call.map_or(here, |mac| {
            let (start, braces) = (start_of(mac.path.span()), mac.delimiter.span());
            // An editor shows all words that cover the one under the cursor: none of ours may.
            let input = if is_in_editor() { start } else { braces.join() };
            [start, input, end_of(braces.close())]
        });
        Self {
            call,
            span: mixed(input),
            private: krate.private(mixed(input)),
            caller: krate.private(start),
        }
    }

    /// The branches as a list, the first one first.
    pub(crate) fn list(
        &self,
        branches: impl DoubleEndedIterator<Item = TokenStream>,
    ) -> TokenStream {
        let (span, private) = (self.span, &self.private);
        branches.rfold(
            quote_spanned!(span=> ()),
            |rest, branch| quote_spanned!(span=> #private::cons(::core::pin::pin!(#branch), #rest)),
        )
    }

    /// The branch at `index` of the list.
    pub(crate) fn branch(&self, index: usize) -> TokenStream {
        let rest = (0..index).map(|_| quote_spanned!(self.span=> .rest));
        quote_spanned!(self.span=> __taskscope_branches #(#rest)* .head)
    }

    /// Runs the branches of a list by the call `RUN(…)`. `decided` has what follows for each branch
    /// that may decide, `otherwise` what follows if none has.
    pub(crate) fn run(
        &self,
        list: &TokenStream,
        run: &TokenStream,
        decided: &[TokenStream],
        otherwise: &TokenStream,
    ) -> TokenStream {
        let indices = 0..decided.len() as u16;
        let run = quote_spanned!(self.call[1]=> #run.await);
        quote_spanned! {self.span=>
            match #list {
                mut __taskscope_branches => match #run {
                    #(::core::option::Option::Some(#indices) => #decided,)*
                    #[allow(unreachable_code)]
                    _ => #otherwise,
                }
            }
        }
    }
}
