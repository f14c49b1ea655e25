//! `task_group!`: a builder chain around an async closure.
//!
//! ```text
//! task_group!(limit = 3, |g| { work(&g).await })
//!
//! ::taskscope::TaskGroup::<::taskscope::BoxError>::new()
//!     .limit(3)
//!     .run(async |g| { task_group! { … } after(gate().await, work(&g)).await })
//! ```
//!
//! A group in code that is being rewritten is expanded in place, as a part of that code: it has the
//! options of the function, and knows what is declared around it. Any other is expanded by its own macro, with
//! the same code. In place, the name may still lead to somebody else's `task_group!`, so the body begins with a
//! witness of it (see `syntax/witness.rs`).

use crate::check::ending::without_value;
use crate::check::{Checker, Site};
use crate::diag::{Diag, Mistake};
use crate::rewrite::{CodeKind, CodeScope, Rewriter, output, output_hint};
use crate::syntax::editor::OptionNames;
use crate::syntax::group::{RawBody, TaskGroupBody, TaskGroupInput, has_argument};
use crate::syntax::known::mentions;
use crate::syntax::options::{Options, OptionsOf};
use crate::syntax::own::Own;
use crate::syntax::path::{Crate, mixed};
use crate::syntax::span::parenthesized;
use crate::syntax::unread::with_stream;
use crate::syntax::witness;
use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use std::mem;
use syn::spanned::Spanned;
use syn::token::{Brace, Paren};
use syn::visit_mut::VisitMut;
use syn::{
    Block, Expr, ExprClosure, Macro, MacroDelimiter, Pat, PatWild, ReturnType, Stmt, Token, Type,
};

/// A `task_group!` to be expanded.
pub(crate) struct GroupCall {
    input: TaskGroupInput,
    option_names: OptionNames,
    /// Where the expansion begins and ends: an error about its value is shown there, and
    /// `Location::caller()` of the group is where it begins.
    start: Span,
    end: Span,
    /// The use of the user's own path, in code that is being rewritten.
    witness: Option<Stmt>,
}

impl GroupCall {
    /// The call that its own macro is given, with its options.
    pub(crate) fn parse(tokens: TokenStream, diag: &mut Diag) -> Self {
        let mac = Macro {
            path: Ident::new("task_group", Span::call_site()).into(),
            bang_token: Token![!](Span::call_site()),
            delimiter: MacroDelimiter::Paren(Paren::default()),
            tokens,
        };
        let here = Span::mixed_site();
        Self {
            input: TaskGroupInput::of(&mac, &Options::default(), diag),
            option_names: OptionNames::read(OptionsOf::Group, &mac.tokens),
            start: here,
            end: here,
            witness: None,
        }
    }

    pub(crate) fn krate(&self) -> Crate {
        Crate::new(self.input.options.krate.clone())
    }
}

impl Rewriter<'_> {
    /// Whether a macro is taken for this crate's `task_group!`.
    pub(crate) fn is_group(&self, mac: &Macro) -> bool {
        self.is_ours(&mac.path, "task_group") && has_argument(mac)
    }

    /// From `task_group!(…)` in the code at hand into its expansion.
    pub(crate) fn group_of(&mut self, mac: &Macro) -> Expr {
        let input = TaskGroupInput::of(mac, self.options, self.diag);
        Expr::Verbatim(self.group(GroupCall {
            input,
            option_names: OptionNames::read(OptionsOf::Group, &mac.tokens),
            start: mac.path.span(),
            end: mac.delimiter.span().close(),
            witness: Some(witness::statement(&mac.path)),
        }))
    }

    /// The expression that builds and runs the group.
    pub(crate) fn group(&mut self, call: GroupCall) -> TokenStream {
        let (start, end, span) = (call.start, call.end, mixed(call.start));
        let mut input = call.input;
        let other = input
            .options
            .krate
            .take()
            .map(|path| Crate::new(Some(path)));
        let krate = other.as_ref().unwrap_or(self.krate);
        let (own, warnings) = self.check_group(&input, krate);
        let settings = self.settings(&mut input.settings);
        let describe = input
            .error
            .as_ref()
            .and_then(|error| describe(error, krate, span));
        let path = krate.at(span);
        let (group, run) = if input.local {
            (
                quote_spanned!(span=> group::LocalGroup),
                quote_spanned!(span=> run_local),
            )
        } else {
            (quote_spanned!(span=> Group), quote_spanned!(span=> run))
        };
        let error = input.error.map_or_else(
            || quote_spanned!(span=> #path::BoxError),
            ToTokens::into_token_stream,
        );
        let body = BodyMaker {
            span,
            group: quote_spanned!(span=> #path::#group<'_, #error>),
            error: &error,
            first: call.witness.into_iter().chain(warnings).collect(),
        };
        let body = match input.body {
            Some(TaskGroupBody::Closure(closure)) => {
                let scope = CodeScope::new(CodeKind::Group, body.output(&closure.output));
                let mut rewriter = Rewriter::new(krate, self.diag, &input.options, own, scope);
                rewriter.groups = self.groups.clone();
                body.make_async(*closure, &mut rewriter)
            }
            Some(TaskGroupBody::Raw(raw)) => body.keep_raw(&raw),
            None => body.missing(),
        };
        // Located in the user's code: both ends, and the call that is asked where the group is.
        let path = krate.at(start);
        let new = quote_spanned!(span=> ::TaskGroup::<#error>::new);
        let nothing = parenthesized(TokenStream::new(), start);
        let body = parenthesized(call.option_names.offer(krate, body), end);
        let expr = quote_spanned!(span=> #path #new #nothing #describe #settings.#run #body);
        input.holes.take_out(expr, self.diag)
    }

    // Its code is read here, and not with the function: the group has options of its own.
    fn check_group(&mut self, input: &TaskGroupInput, krate: &Crate) -> (Own, Vec<Stmt>) {
        let mut checker = Checker::new(krate, self.diag, &input.options, Site::Group);
        checker.own = self.own.clone();
        for (_, value) in &input.settings {
            checker.read_expr(value, None);
        }
        if let Some(TaskGroupBody::Closure(body)) = &input.body {
            checker.read_expr(&body.body, body.inputs.first());
        }
        (checker.own, checker.warnings)
    }

    fn settings(&mut self, settings: &mut [(Ident, Expr)]) -> TokenStream {
        let mut tokens = TokenStream::new();
        for (name, value) in settings {
            self.visit_expr_mut(value);
            tokens.extend(quote_spanned!(mixed(name.span())=> .#name(#value)));
        }
        tokens
    }
}

fn is_inferred(ty: &TokenStream) -> bool {
    mentions(ty, &Ident::new("_", Span::call_site()))
}

// Reports name an error by its `Display`, if it has one: for a type that is written out.
fn describe(error: &Type, krate: &Crate, span: Span) -> Option<TokenStream> {
    let private = krate.private(span);
    let text = quote_spanned!(span=> .described(#private::Described::<#error>::new().how()));
    (!is_inferred(&error.to_token_stream())).then_some(text)
}

/// What the body of a group is made with.
struct BodyMaker<'a> {
    span: Span,
    /// The error type of the group, and the type of the group in it.
    error: &'a TokenStream,
    group: TokenStream,
    /// What its block begins with.
    first: Vec<Stmt>,
}

impl BodyMaker<'_> {
    // From `|g| { … }` into `async |g| { … }`, cancellable.
    fn make_async(self, mut closure: ExprClosure, rewriter: &mut Rewriter) -> TokenStream {
        if let Some(asyncness) = closure.asyncness.take() {
            rewriter.diag.report(asyncness.span, &ALREADY_ASYNC);
        }
        if closure.inputs.len() != 1 {
            take_one_argument(&mut closure, rewriter.diag);
        }
        if let Expr::Async(body) = &*closure.body {
            closure.capture = closure.capture.or(body.capture);
        }
        let mut block = into_block(mem::replace(&mut *closure.body, Expr::PLACEHOLDER));
        if matches!(closure.output, ReturnType::Default) {
            self.end_with_value(&mut block, closure.inputs.first(), rewriter.diag);
        }
        let group = (!is_inferred(self.error)).then(|| self.group.clone());
        rewriter.groups.enter_group(closure.inputs.first(), group);
        rewriter.visit_top_block(&mut block);
        let hint = rewriter.scope.output.as_ref();
        let hint =
            hint.map(|output| Stmt::Expr(Expr::Verbatim(output_hint(output, self.span)), None));
        block.stmts.splice(..0, hint.into_iter().chain(self.first));
        *closure.body = Expr::Verbatim(block.into_token_stream());
        closure.asyncness = Some(Token![async](self.span));
        closure.into_token_stream()
    }

    // So that rustc does not miss it once more.
    fn end_with_value(&self, block: &mut Block, group: Option<&Pat>, diag: &mut Diag) {
        let Some((span, mistake)) = without_value(block, group) else {
            return;
        };
        diag.report(span, mistake);
        if let Some(Stmt::Expr(_, semi @ None)) = block.stmts.last_mut() {
            *semi = Some(Token![;](self.span));
        }
        let value = quote_spanned!(self.span=> ::core::result::Result::Ok(()));
        block.stmts.push(Stmt::Expr(Expr::Verbatim(value), None));
    }

    // From `|g| { g. }` into `async |g| { g. }`.
    fn keep_raw(&self, raw: &RawBody) -> TokenStream {
        let (RawBody { head, braces, code }, first) = (raw, &self.first);
        let braces = with_stream(braces, quote!(#(#first)* #code));
        quote_spanned!(self.span=> async #head #braces)
    }

    // Of the type that a body has, so that the error about it remains the only one.
    fn missing(&self) -> TokenStream {
        let (error, first) = (self.error, &self.first);
        let value = quote_spanned!(self.span=> ::core::result::Result::<(), #error>::Ok(()));
        quote_spanned!(self.span=> async |_| { #(#first)* #value })
    }

    // The type of the body: as written, else a result of the group's error type.
    fn output(&self, written: &ReturnType) -> Option<Type> {
        let written = output(written).filter(|_| matches!(written, ReturnType::Type(..)));
        let error = self.error;
        let result = quote_spanned!(self.span=> ::core::result::Result<_, #error>);
        written.or_else(|| syn::parse2(result).ok())
    }
}

// So that rustc does not count them once more.
fn take_one_argument(closure: &mut ExprClosure, diag: &mut Diag) {
    let (begin, inputs, end) = (&closure.inputs_begin, &closure.inputs, &closure.inputs_end);
    diag.report_over(quote!(#begin #inputs #end), &ONE_ARGUMENT);
    let first = mem::take(&mut closure.inputs).into_iter().next();
    let none = Pat::Wild(PatWild {
        attrs: Vec::new(),
        underscore_token: Token![_](closure.inputs_begin.span()),
    });
    closure.inputs.push(first.unwrap_or(none));
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
