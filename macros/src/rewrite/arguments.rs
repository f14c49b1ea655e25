//! The arguments of macros that evaluate them in place, and the `join!` of other crates.
//!
//! ```text
//! println!("{}", f().await)        println!("{}", after(gate().await, f()).await)
//! tokio::join!(f(), g())           ::taskscope::join!(f(), g())
//! tokio::try_join!(f(), g())       tokio::try_join!(solo(f()), solo(g()))
//! ```

use crate::rewrite::Rewriter;
use crate::syntax::known::{joins_foreign_futures, repaired_arguments};
use crate::syntax::path::mixed;
use crate::syntax::span::{ends, parenthesized};
use proc_macro2::{TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::VisitMut;
use syn::{Expr, Macro, Path};

impl Rewriter<'_> {
    // From the tokens of a macro into the same tokens with their awaits gated, where
    // they read as expressions.
    pub(super) fn visit_arguments(&mut self, mac: &mut Macro) {
        let Some(((mut parts, rest), holes)) = repaired_arguments(mac) else {
            return;
        };
        let joins = joins_foreign_futures(&mac.path);
        let own = joins && rest.is_empty() && own_join_fits(&mac.path, &parts);
        let mut tokens = TokenStream::new();
        for (expr, separator) in &mut parts {
            self.visit_expr_mut(expr);
            // `biased;` is no branch.
            if joins && !own && !is_semicolon(separator.as_ref()) {
                tokens.extend(self.as_branch(expr));
            } else {
                expr.to_tokens(&mut tokens);
            }
            separator.to_tokens(&mut tokens);
        }
        tokens.extend(rest);
        mac.tokens = holes.take_out(tokens, self.diag);
        if own {
            self.use_own(&mut mac.path);
        }
    }

    // From `tokio::join` into `::taskscope::join`.
    pub(super) fn use_own(&self, path: &mut Path) {
        let krate = self.krate.at(path.span());
        let name = path.segments.last().map(|last| &last.ident);
        if let Ok(own) = syn::parse2(quote!(#krate::#name)) {
            *path = own;
        }
    }

    // From an argument of another crate's `join!` into a branch, which leaves in
    // order for itself.
    fn as_branch(&self, expr: &Expr) -> TokenStream {
        let (start, end) = ends(&expr.to_token_stream());
        let private = self.krate.private(mixed(start));
        let argument = parenthesized(expr.to_token_stream(), mixed(end));
        quote_spanned!(mixed(start)=> #private::solo #argument)
    }
}

// Another crate's `join!` gives what our own does, which also leaves the others in
// order when a branch panics. `try_join!` differs: its error comes at once.
fn own_join_fits(path: &Path, parts: &[(Expr, Option<TokenTree>)]) -> bool {
    let name_fits = path
        .segments
        .last()
        .is_some_and(|last| last.ident == "join");
    let branches_alone = !parts
        .iter()
        .any(|(_, separator)| is_semicolon(separator.as_ref()));
    name_fits && branches_alone
}

fn is_semicolon(separator: Option<&TokenTree>) -> bool {
    matches!(separator, Some(TokenTree::Punct(punct)) if punct.as_char() == ';')
}

/// The words that make the arguments of a macro worth reading.
const TELLING: &[&str] = &[
    "await",
    "break",
    "continue",
    "return",
    "loop",
    "while",
    "for",
    "defer",
    "on_cancel",
    "race",
    "task_group",
];

/// Whether the arguments of a macro may hold code to be rewritten.
pub(super) fn is_telling(tokens: &TokenStream) -> bool {
    tokens.clone().into_iter().any(|tree| match tree {
        TokenTree::Ident(word) => TELLING.contains(&&*word.to_string()),
        TokenTree::Group(group) => is_telling(&group.stream()),
        TokenTree::Punct(punct) => punct.as_char() == '?',
        TokenTree::Literal(_) => false,
    })
}
