//! What is written in a `join!` or `try_join!`, behind the `crate = path;` of the runtime's own macro.

use crate::syntax::race::parse_header;
use proc_macro2::{TokenStream, TokenTree};
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream};
use syn::{Expr, Path, Token};

pub(crate) struct JoinInput {
    pub(crate) krate: Option<Path>,
    pub(crate) branches: Vec<Expr>,
}

impl Parse for JoinInput {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let krate = parse_header(input)?;
        let mut branches = Vec::new();
        while !input.is_empty() {
            branches.push(parse_branch(input)?);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(Self { krate, branches })
    }
}

// An expression. What is still being typed is left to rustc, up to the next comma. It needs no repair: the expansion
// has each branch as it is written, so an editor finds the cursor in it.
fn parse_branch(input: ParseStream) -> syn::Result<Expr> {
    let fork = input.fork();
    if let Ok(expr) = fork.parse() {
        input.advance_to(&fork);
        return Ok(expr);
    }
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![,]) {
        tokens.extend([input.parse::<TokenTree>()?]);
    }
    Ok(Expr::Verbatim(tokens))
}
