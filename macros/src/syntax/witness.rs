//! Names resolve as everywhere in Rust.
//!
//! The attribute sees that a macro is called `defer!`, but not whether that is this crate's
//! `defer!`: `scopeguard` has one of that name, and so has many a project. Where the rewriter takes such
//! a call for ours, it leaves a *witness* in its place, one use of the user's own path:
//!
//! ```text
//! defer! { close().await; }   ->   defer! { ::core::compile_error!("this `defer!` is not …") }
//! ```
//!
//! What the path leads to is noticed, unless it is a macro that ignores its input:
//!
//! 1. This crate's macro accepts exactly these tokens, and expands them to nothing.
//! 2. Any other macro either pastes its input, and rustc prints the text, or refuses it.
//! 3. A path that leads nowhere is reported by rustc, with the import that is missing.
//!
//! An import is used by its witness, so that it never counts as unused.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote_spanned;
use syn::token::Brace;
use syn::{Macro, MacroDelimiter, Path, Stmt, StmtMacro, Token};

/// How many token trees a witness consists of: `::core::compile_error!(…)`.
const TREES: usize = 8;

/// The statement that uses the macro at `path` as a witness.
pub(crate) fn statement(path: &Path) -> Stmt {
    let span = span_of(path);
    Stmt::Macro(StmtMacro {
        attrs: Vec::new(),
        mac: Macro {
            path: path.clone(),
            bang_token: Token![!](span),
            delimiter: MacroDelimiter::Brace(Brace(span)),
            tokens: input(path),
        },
        semi_token: None,
    })
}

/// What the macro at `path` is given as a witness.
pub(crate) fn input(path: &Path) -> TokenStream {
    let name = path.segments.last().map(|last| last.ident.to_string());
    expected(&name.unwrap_or_default(), span_of(path))
}

/// What follows the witness that the input of `name!` begins with; `None` without one.
pub(crate) fn accept(name: &str, input: &TokenStream) -> Option<TokenStream> {
    let mut trees: Vec<TokenTree> = input.clone().into_iter().take(TREES).collect();
    // Asked of every call: most do not begin with `::core`.
    let begins_alike = matches!(trees.get(2), Some(TokenTree::Ident(word)) if word == "core");
    if !begins_alike || trees.len() < TREES {
        return None;
    }
    let rest = input.clone().into_iter().skip(TREES).collect();
    let witness = dense(trees.drain(..).collect());
    (witness == dense(expected(name, Span::call_site()))).then_some(rest)
}

fn expected(name: &str, span: Span) -> TokenStream {
    let text = format!(
        "this `{name}!` is not taskscope's, and would never run here: write `taskscope::{name}!`, \
         or the other one by its path"
    );
    quote_spanned!(span=> ::core::compile_error!(#text))
}

// The location of the name, which is what an error is about.
fn span_of(path: &Path) -> Span {
    let last = path.segments.last();
    last.map_or_else(Span::call_site, |last| last.ident.span())
}

// As text, without the spaces that compilers and editors print differently.
fn dense(tokens: TokenStream) -> String {
    tokens.to_string().split_whitespace().collect()
}
