//! `#[cancellable(send)]`: the future stands in the signature, with `Send`.

use crate::rewrite::{output, output_hint};
use crate::syntax::path::{Crate, mixed};
use crate::syntax::span::ends;
use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::{Block, Expr, FnArg, Pat, PatIdent, PatType, ReturnType, Signature, Stmt, Type};

/// From `async fn f(x: A) -> T` into `fn f(x: A) -> impl Future<Output = T> + Send`, its
/// body, already rewritten, into an async block. In a trait there may be none.
pub(crate) fn send(sig: &mut Signature, block: Option<&mut Block>, krate: &Crate) {
    if sig.asyncness.take().is_none() {
        return;
    }
    let written = sig.output.clone();
    sig.output = future(sig, krate);
    if let Some(block) = block {
        let arguments: Vec<_> = sig.inputs.iter_mut().enumerate().map(argument).collect();
        *block = async_block(&arguments, &written, block);
    }
}

// `-> impl Future<Output = T> + Send`. By the edition of this crate it captures all that
// an async function does, also in crates of an earlier one.
fn future(sig: &Signature, krate: &Crate) -> ReturnType {
    let (start, end, output) = match &sig.output {
        ReturnType::Default => {
            let span = mixed(sig.ident.span());
            (span, span, quote_spanned!(span=> ()))
        }
        ReturnType::Type(_, ty) => {
            let (start, end) = ends(&ty.to_token_stream());
            (mixed(start), mixed(end), named(ty, krate))
        }
    };
    let send = quote_spanned!(end=> ::core::marker::Send);
    let future = quote_spanned! {start=>
        impl ::core::future::Future<Output = #output> + #send
    };
    let arrow = match &sig.output {
        ReturnType::Default => syn::Token![->](start),
        ReturnType::Type(arrow, _) => *arrow,
    };
    ReturnType::Type(arrow, Box::new(Type::Verbatim(future)))
}

// `!` cannot yet be written there.
fn named(ty: &Type, krate: &Crate) -> TokenStream {
    match ty {
        Type::Never(never) => {
            let private = krate.private(mixed(never.bang_token.span));
            quote_spanned!(mixed(never.bang_token.span)=> #private::Never)
        }
        _ => ty.to_token_stream(),
    }
}

// From an argument into a plain name for it, and what binds its pattern in the async
// block. All are moved in, the first one first, so that they are dropped when and in the
// order in which an async function drops them.
fn argument((index, argument): (usize, &mut FnArg)) -> TokenStream {
    let PatType { attrs, pat, .. } = match argument {
        FnArg::Receiver(receiver) => {
            // Without this, a block that uses one field would take that field alone.
            let this = receiver.self_token;
            return quote_spanned!(mixed(this.span)=> let _ = &#this;);
        }
        FnArg::Typed(argument) => argument,
    };
    let span = mixed(pat.span());
    if let Pat::Ident(PatIdent {
        by_ref: None,
        mutability,
        ident,
        subpat: None,
        ..
    }) = &mut **pat
    {
        let mutability = mutability.take();
        return quote_spanned!(span=> #(#attrs)* let #mutability #ident = #ident;);
    }
    let name = Ident::new(&format!("__taskscope_argument_{index}"), span);
    let written = std::mem::replace(&mut **pat, Pat::Verbatim(name.to_token_stream()));
    quote_spanned! {span=>
        #(#attrs)* let #name = #name;
        #(#attrs)* let #written = #name;
    }
}

// The value is bound, so that temporaries of the last expression are gone before the
// arguments are dropped, in every edition.
fn async_block(arguments: &[TokenStream], written: &ReturnType, block: &Block) -> Block {
    let span = mixed(block.brace_token.span.join());
    let known = output(written);
    let hint = known.as_ref().map(|ty| output_hint(ty, mixed(ty.span())));
    let ty = known.map(|ty| quote_spanned!(span=> : #ty));
    let tokens = quote_spanned! {span=>
        async move {
            #hint
            #(#arguments)*
            #[allow(clippy::diverging_sub_expression)]
            let __taskscope_output #ty = #block;
            #[allow(unreachable_code)]
            { __taskscope_output }
        }
    };
    Block {
        brace_token: Brace(span),
        stmts: vec![Stmt::Expr(Expr::Verbatim(tokens), None)],
    }
}
