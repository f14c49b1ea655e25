//! Code for editors: rust-analyzer sets the cfg `rust_analyzer`, and rustc removes what stands under it.

use proc_macro2::TokenStream;
use quote::quote;

/// A statement that rustc sees as `rustc`, and an editor as `editor`.
pub(crate) fn statement(rustc: &TokenStream, editor: &TokenStream) -> TokenStream {
    // The cfg is known to no user's crate, and only what stands around it can allow that.
    quote! {
        #[allow(unexpected_cfgs)]
        {
            #[cfg(not(rust_analyzer))]
            { #rustc }
            #[cfg(rust_analyzer)]
            { #editor }
        };
    }
}
