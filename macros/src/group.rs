//! `task_group!`: a builder chain around an async closure.

use crate::check::ending::without_value;
use crate::check::{Checker, Site};
use crate::diag::{Diag, Mistake};
use crate::rewrite::hint::Hints;
use crate::rewrite::{CodeKind, CodeScope, Rewriter, output, output_hint};
use crate::syntax::group::{TaskGroupBody, TaskGroupInput};
use crate::syntax::groups::OuterGroups;
use crate::syntax::known::mentions;
use crate::syntax::options::Options;
use crate::syntax::own::Own;
use crate::syntax::path::{Crate, mixed};
use crate::syntax::witness::{self};
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use std::mem;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::visit_mut::VisitMut;
use syn::{Block, Expr, ExprClosure, Pat, PatWild, ReturnType, Stmt, Token, Type};

/// The expression that builds and runs the group, beside the errors found in it.
pub(crate) fn task_group(tokens: TokenStream) -> TokenStream {
    if let Some(rest) = witness::accept("task_group", &tokens) {
        return rest;
    }
    let mut diag = Diag::default();
    let mut group = TaskGroupInput::default();
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

impl TaskGroupInput {
    fn expand(mut self, diag: &mut Diag) -> TokenStream {
        let krate = Crate::new(self.options.krate.clone());
        self.check(&krate, diag);
        let span = mixed_site();
        let path = krate.at(span);
        let error = self.error.as_ref().map_or_else(
            || quote_spanned!(span=> #path::BoxError),
            ToTokens::to_token_stream,
        );
        let settings = self.settings(&krate, diag);
        let run = Ident::new(if self.local { "run_local" } else { "run" }, span);
        let body = match self.body {
            Some(TaskGroupBody::Closure(body)) => {
                let mut closure = Closure {
                    first: self
                        .witnessed
                        .statement()
                        .into_iter()
                        .chain(self.warnings)
                        .collect(),
                    options: &self.options,
                    own: self.own,
                    outer: self.outer,
                    krate: &krate,
                    error: &error,
                    diag,
                };
                closure.make_async(*body)
            }
            Some(TaskGroupBody::Raw(tokens)) => quote_spanned!(span=> async #tokens),
            None => missing_body(&error),
        };
        let describe = self
            .error
            .as_ref()
            .and_then(|error| describe(&krate, error));
        quote_spanned!(span=> #path::TaskGroup::<#error>::new() #describe #settings.#run(#body))
    }

    fn check(&mut self, krate: &Crate, diag: &mut Diag) {
        let mut checker = Checker::new(krate, diag, &self.options, Site::Group);
        checker.own = mem::take(&mut self.own);
        for (_, value) in &self.settings {
            checker.expr(value, None);
        }
        if let Some(TaskGroupBody::Closure(body)) = &self.body {
            checker.expr(&body.body, body.inputs.first());
        }
        self.own = checker.own;
        self.warnings = checker.warnings;
    }

    fn settings(&mut self, krate: &Crate, diag: &mut Diag) -> TokenStream {
        let scope = CodeScope::new(CodeKind::Async, None);
        let mut rewriter = Rewriter::new(krate, diag, self.options.loops, scope)
            .handing_on(self.options.handed_on(), self.own.clone());
        let mut tokens = TokenStream::new();
        for (name, value) in &mut self.settings {
            rewriter.visit_expr_mut(value);
            tokens.extend(quote_spanned!(mixed(name.span())=> .#name(#value)));
        }
        tokens
    }
}

/// Reports name an error by its `Display`, if it has one: for a type that is written out.
fn describe(krate: &Crate, error: &Type) -> Option<TokenStream> {
    let span = mixed_site();
    let private = krate.private(span);
    let text = quote_spanned!(span=> .described(#private::Described::<#error>::new().how()));
    let inferred = mentions(&error.to_token_stream(), &Ident::new("_", span));
    (!inferred).then_some(text)
}

/// What a group's body is made with.
struct Closure<'a> {
    /// What its block begins with.
    first: Vec<Stmt>,
    options: &'a Options,
    own: Own,
    outer: OuterGroups,
    krate: &'a Crate,
    error: &'a TokenStream,
    diag: &'a mut Diag,
}

impl Closure<'_> {
    // From `|g| { … }` into `async |g| { … }`, cancellable.
    fn make_async(&mut self, mut closure: ExprClosure) -> TokenStream {
        let span = mixed_site();
        if let Some(asyncness) = closure.asyncness.take() {
            self.diag.mistake(asyncness.span, &ALREADY_ASYNC);
        }
        if closure.inputs.len() != 1 {
            self.take_one_argument(&mut closure);
        }
        if let Expr::Async(body) = &*closure.body {
            closure.capture = closure.capture.or(body.capture);
        }
        let output = self.output(&closure.output);
        let hint = output.as_ref().map(|output| output_hint(output, span));
        let scope = CodeScope::new(CodeKind::Group, output);
        let mut block = into_block(mem::replace(&mut *closure.body, Expr::PLACEHOLDER));
        if matches!(closure.output, ReturnType::Default) {
            self.end_with_value(&mut block, closure.inputs.first());
        }
        let (outer, group) = (mem::take(&mut self.outer), closure.inputs.first());
        Hints::in_group(outer, group, self.krate, &self.own, self.error)
            .visit_block_mut(&mut block);
        Rewriter::new(self.krate, self.diag, self.options.loops, scope)
            .handing_on(self.options.handed_on(), mem::take(&mut self.own))
            .visit_top_block(&mut block);
        let hint = hint.map(|hint| Stmt::Expr(Expr::Verbatim(hint), None));
        block
            .stmts
            .splice(..0, hint.into_iter().chain(mem::take(&mut self.first)));
        *closure.body = Expr::Verbatim(block.into_token_stream());
        closure.asyncness = Some(Token![async](span));
        closure.into_token_stream()
    }

    // So that rustc does not miss it once more.
    fn end_with_value(&mut self, block: &mut Block, group: Option<&Pat>) {
        let Some((span, mistake)) = without_value(block, group) else {
            return;
        };
        self.diag.mistake(span, mistake);
        if let Some(Stmt::Expr(_, semi @ None)) = block.stmts.last_mut() {
            *semi = Some(Token![;](mixed_site()));
        }
        let value = quote_spanned!(mixed_site()=> ::core::result::Result::Ok(()));
        block.stmts.push(Stmt::Expr(Expr::Verbatim(value), None));
    }

    // So that rustc does not count them once more.
    fn take_one_argument(&mut self, closure: &mut ExprClosure) {
        let (begin, inputs, end) = (&closure.inputs_begin, &closure.inputs, &closure.inputs_end);
        self.diag
            .mistake_over(quote!(#begin #inputs #end), &ONE_ARGUMENT);
        let first = mem::take(&mut closure.inputs).into_iter().next();
        let none = Pat::Wild(PatWild {
            attrs: Vec::new(),
            underscore_token: Token![_](closure.inputs_begin.span()),
        });
        closure.inputs.push(first.unwrap_or(none));
    }

    // The type of the body: as written, else a result of the group's error type.
    fn output(&self, written: &ReturnType) -> Option<Type> {
        let written = output(written).filter(|_| matches!(written, ReturnType::Type(..)));
        let error = self.error;
        let result = quote_spanned!(mixed_site()=> ::core::result::Result<_, #error>);
        written.or_else(|| syn::parse2(result).ok())
    }
}

fn into_block(body: Expr) -> Block {
    let span = mixed(body.span());
    match body {
        Expr::Block(body) if body.label.is_none() && body.attrs.is_empty() => body.block,
        Expr::Async(body) => body.block,
        expr => Block {
            brace_token: Brace(span),
            stmts: vec![Stmt::Expr(expr, None)],
        },
    }
}

const ONE_ARGUMENT: Mistake = Mistake {
    what: "the body of a `task_group!` takes one argument",
    why: "it is given the group, and nothing else",
    help: "write `|g| { … }`, or `|_| { … }` where the group is not needed",
};

const ALREADY_ASYNC: Mistake = Mistake {
    what: "`async` in front of the body of a `task_group!`",
    why: "the body is async as it is",
    help: "write `|g| { … }`",
};

// Of the type that a body has, so that the error about it remains the only one.
fn missing_body(error: &TokenStream) -> TokenStream {
    quote_spanned! {mixed_site()=>
        async |_| ::core::result::Result::<(), #error>::Ok(())
    }
}

fn mixed_site() -> Span {
    Span::mixed_site()
}
