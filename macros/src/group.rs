//! `task_group!`: a builder chain around an async closure.

use crate::args::{Seen, parse_crate};
use crate::diag::{Diag, Mistake};
use crate::path::{Crate, mixed};
use crate::rewrite::{Kind, Rewriter, Scope};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::visit_mut::VisitMut;
use syn::{Block, Expr, Stmt, Token, Type};

/// The expression that builds and runs the group, beside the errors found in it.
pub(crate) fn task_group(tokens: TokenStream) -> TokenStream {
    let mut diag = Diag::default();
    let mut group = Group::default();
    if let Err(error) = (|input: ParseStream| group.parse(input, &mut diag)).parse2(tokens) {
        diag.push(error);
    }
    let expr = group.expand(&mut diag);
    let errors = diag.into_tokens();
    if errors.is_empty() {
        expr
    } else {
        quote_spanned!(mixed_site()=> { #errors #expr })
    }
}

const OPTIONS: &[&str] = &[
    "name",
    "limit",
    "timeout",
    "deadline",
    "grace",
    "on_failure",
    "error",
    "local",
    "crate",
];

#[derive(Default)]
struct Group {
    krate: Option<syn::Path>,
    error: Option<Type>,
    local: bool,
    /// What the builder's methods of these names are called with.
    settings: Vec<(Ident, Expr)>,
    body: Option<Body>,
}

/// `|g| { … }`
struct Body {
    capture: Option<Token![move]>,
    inputs: TokenStream,
    block: Block,
}

impl Group {
    fn parse(&mut self, input: ParseStream, diag: &mut Diag) -> syn::Result<()> {
        let mut seen = Seen::default();
        while !is_closure(input) {
            if input.is_empty() {
                return Err(no_body(input.span()));
            }
            let name = input.call(Ident::parse_any)?;
            if seen.admit(&name, OPTIONS, diag) {
                self.option(name, input)?;
            } else if input.parse::<Option<Token![=]>>()?.is_some() {
                input.parse::<Expr>()?;
            }
            if !is_closure(input) || input.peek(Token![,]) {
                input.parse::<Token![,]>()?;
            }
        }
        self.body = Some(Body::parse(input, diag)?);
        Ok(())
    }

    fn option(&mut self, name: Ident, input: ParseStream) -> syn::Result<()> {
        if name == "local" {
            self.local = true;
        } else if name == "crate" {
            self.krate = Some(parse_crate(input)?);
        } else {
            input.parse::<Token![=]>()?;
            if name == "error" {
                self.error = Some(input.parse()?);
            } else {
                self.settings.push((name, input.parse()?));
            }
        }
        Ok(())
    }

    fn expand(mut self, diag: &mut Diag) -> TokenStream {
        let krate = Crate::new(self.krate.take());
        let span = mixed_site();
        let path = krate.at(span);
        let error = match &self.error {
            Some(error) => error.to_token_stream(),
            None => quote_spanned!(span=> #path::BoxError),
        };
        let settings = self.settings(&krate, diag);
        let run = Ident::new(if self.local { "run_local" } else { "run" }, span);
        let body = self
            .body
            .map_or_else(TokenStream::new, |body| body.expand(&krate, &error, diag));
        quote_spanned!(span=> #path::TaskGroup::<#error>::new() #settings.#run(#body))
    }

    fn settings(&mut self, krate: &Crate, diag: &mut Diag) -> TokenStream {
        let scope = Scope::new(Kind::Async, None);
        let mut rewriter = Rewriter::new(krate, diag, false, scope);
        let mut tokens = TokenStream::new();
        for (name, value) in &mut self.settings {
            rewriter.visit_expr_mut(value);
            tokens.extend(quote_spanned!(mixed(name.span())=> .#name(#value)));
        }
        tokens
    }
}

impl Body {
    fn parse(input: ParseStream, diag: &mut Diag) -> syn::Result<Self> {
        let closure: syn::ExprClosure = input.parse()?;
        input.parse::<Option<Token![,]>>()?;
        if let Some(asyncness) = &closure.asyncness {
            diag.mistake(
                asyncness.span,
                &Mistake {
                    what: "`async` in front of the body of a `task_group!`",
                    why: "the body is async as it is",
                    help: "write `|g| { … }`",
                },
            );
        }
        let (begin, inputs, end) = (closure.inputs_begin, &closure.inputs, closure.inputs_end);
        let output = &closure.output;
        let inputs = quote::quote!(#begin #inputs #end #output);
        let span = mixed(closure.body.span());
        let block = match *closure.body {
            Expr::Block(body) if body.label.is_none() && body.attrs.is_empty() => body.block,
            Expr::Async(body) => body.block,
            expr => Block {
                brace_token: Brace(span),
                stmts: vec![Stmt::Expr(expr, None)],
            },
        };
        Ok(Self {
            capture: closure.capture,
            inputs,
            block,
        })
    }

    fn expand(mut self, krate: &Crate, error: &TokenStream, diag: &mut Diag) -> TokenStream {
        let span = mixed_site();
        let output = quote_spanned!(span=> ::core::result::Result<_, #error>);
        let scope = Scope::new(Kind::Async, syn::parse2(output).ok());
        Rewriter::new(krate, diag, false, scope).visit_top_block(&mut self.block);
        let Self {
            capture,
            inputs,
            block,
        } = self;
        quote_spanned!(span=> async #capture #inputs #block)
    }
}

fn is_closure(input: ParseStream) -> bool {
    input.peek(Token![|])
        || input.peek(Token![||])
        || input.peek(Token![move])
        || input.peek(Token![async])
        || input.peek(Token![#])
}

fn no_body(span: Span) -> syn::Error {
    Mistake {
        what: "`task_group!` without a body",
        why: "a group lives as long as its body and what the body spawned",
        help: "end with the body: `|g| { … }`",
    }
    .at(span)
}

fn mixed_site() -> Span {
    Span::mixed_site()
}
