//! Code for editors. rust-analyzer runs macros in a program of its own, by whose name a macro knows it: what only
//! an editor needs costs rustc nothing.
//!
//! The names of options are offered as those of items: `__private::options` has one for each option, with its
//! documentation, and the expansion imports what the user wrote.
//!
//! ```text
//! #[cancellable(loops, al)]    ->    use ::taskscope::__private::options::cancellable::{loops, al};
//! ```
//!
//! Without a name, the list is there and empty: the editor looks for the cursor at the same offset, once with
//! a name at it and once without.

use crate::diag::Diag;
use crate::syntax::options::OptionsOf;
use crate::syntax::path::{Crate, mixed};
use crate::syntax::unread::is_sign;
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{quote, quote_spanned};
use std::env;
use std::ffi::OsStr;
use std::sync::LazyLock;
use syn::{Expr, Stmt};

/// Whether rust-analyzer runs the macro.
pub(crate) fn is_in_editor() -> bool {
    static IN_EDITOR: LazyLock<bool> = LazyLock::new(|| {
        let program = env::current_exe().unwrap_or_default();
        program.file_stem() == Some(OsStr::new("rust-analyzer-proc-macro-srv"))
    });
    *IN_EDITOR
}

/// Reports what rustc says once it has seen the expansion. An editor does not.
pub(crate) fn report_in_editor(error: syn::Error, diag: &mut Diag) {
    if is_in_editor() {
        diag.push(error);
    }
}

/// An expression, and behind it the errors. In an editor, whose cursor must not move with an error, they
/// have their place in any case.
pub(crate) fn beside_errors(expr: TokenStream, diag: Diag) -> TokenStream {
    let errors = diag.into_tokens();
    if errors.is_empty() && !is_in_editor() {
        return expr;
    }
    quote_spanned! {Span::mixed_site()=> {
        let __taskscope_value = #expr;
        #errors
        __taskscope_value
    }}
}

/// A statement that only an editor sees.
pub(crate) fn only_statement(editor: &TokenStream) -> Option<Stmt> {
    is_in_editor().then(|| Stmt::Expr(Expr::Verbatim(quote!({ #editor };)), None))
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

    /// The expression, behind the statement that imports them.
    pub(crate) fn offer(&self, krate: &Crate, expr: TokenStream) -> TokenStream {
        match self.import(krate) {
            Some(import) => quote!({ #import #expr }),
            None => expr,
        }
    }

    /// The statement that imports them.
    pub(crate) fn import(&self, krate: &Crate) -> Option<Stmt> {
        let Self { of, names } = self;
        let span = mixed(Span::call_site());
        let (private, of) = (krate.private(span), Ident::new(of.name(), span));
        let import = quote_spanned!(span=> use #private::options::#of::{#(#names),*};);
        only_statement(&import)
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
