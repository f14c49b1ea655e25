//! Code for editors: rust-analyzer sets the cfg `rust_analyzer`, and rustc removes what stands
//! under it.
//!
//! The names of options are offered as those of items: `__private::options` has one for each option, with its
//! documentation, and the expansion imports what the user wrote.
//!
//! ```text
//! #[cancellable(loops, al)]    ->    use ::taskscope::__private::options::cancellable::{loops, al};
//! ```

use crate::syntax::options::OptionsOf;
use crate::syntax::path::{Crate, mixed};
use crate::syntax::unread::is_sign;
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use syn::{Expr, Stmt};

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

/// A statement that only an editor sees.
pub(crate) fn only_statement(editor: &TokenStream) -> Stmt {
    let statement = quote! {
        #[allow(unexpected_cfgs)]
        {
            #[cfg(rust_analyzer)]
            { #editor }
        };
    };
    Stmt::Expr(Expr::Verbatim(statement), None)
}

/// The options in the input of a macro: the first name of each part.
pub(crate) struct OptionNames {
    of: OptionsOf,
    names: Vec<Ident>,
}

impl OptionNames {
    pub(crate) fn read(of: OptionsOf, input: &TokenStream) -> Self {
        let is_body = |tree: &TokenTree| is_sign(tree, '|');
        let options = input.clone().into_iter().take_while(|tree| !is_body(tree));
        let options: Vec<TokenTree> = options.collect();
        let parts = options.split(|tree| is_sign(tree, ','));
        let names = parts.filter_map(|part| match part.first() {
            Some(TokenTree::Ident(name)) => syn::parse2(quote!(#name)).ok(),
            _ => None,
        });
        Self {
            of,
            names: names.collect(),
        }
    }

    /// The statement that imports them; nothing if there are none.
    pub(crate) fn import(&self, krate: &Crate) -> Option<Stmt> {
        let Self { of, names } = self;
        let span = mixed(Span::call_site());
        let (private, of) = (krate.private(span), Ident::new(of.name(), span));
        let import = quote_spanned!(span=> use #private::options::#of::{#(#names),*};);
        (!names.is_empty()).then(|| only_statement(&import))
    }
}

/// The modules of `__private::options`.
pub(crate) fn option_items() -> TokenStream {
    let modules = OptionsOf::ALL.map(|of| {
        let module = Ident::new(of.name(), Span::call_site());
        let items = of.docs().filter_map(|(name, doc)| {
            let name: Ident = syn::parse_str(name).ok()?;
            Some(quote!(#[doc = #doc] pub const #name: () = ();))
        });
        quote!(pub mod #module { #(#items)* })
    });
    modules.into_iter().collect()
}
