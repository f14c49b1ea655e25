//! `task_group!`: a builder chain around an async closure.

use crate::args::{
    Options, Seen, check_flag, parse_comma, parse_crate, parse_equals, parse_name, parse_value,
    skip_value,
};
use crate::arguments::mentions;
use crate::check::{Checker, Own, Site};
use crate::diag::{Diag, Mistake};
use crate::ending::without_value;
use crate::hint::{Hints, Outer};
use crate::path::{Crate, mixed};
use crate::rewrite::{Kind, Rewriter, Scope, output, output_hint};
use crate::unread::unread_body;
use crate::witness::{self, Witnessed};
use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use std::mem;
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::token::Brace;
use syn::visit_mut::VisitMut;
use syn::{Block, Expr, ExprClosure, Macro, Pat, PatWild, ReturnType, Stmt, Token, Type};

/// The expression that builds and runs the group, beside the errors found in it.
pub(crate) fn task_group(tokens: TokenStream) -> TokenStream {
    if let Some(rest) = witness::accept("task_group", &tokens) {
        return rest;
    }
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

/// Whether a macro has a `|` for the group, as ours has. A `task_group!` without one may be
/// somebody else's; ours says what is missing.
pub(crate) fn has_argument(mac: &Macro) -> bool {
    let mut trees = mac.tokens.clone().into_iter();
    trees.any(|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '|'))
}

/// The expressions in a `task_group!`: the values of its options, and its body.
pub(crate) fn expressions(mac: &Macro) -> Option<Vec<Expr>> {
    let group = Group::read(mac)?;
    let body = group.closure().map(|body| Expr::clone(&body.body));
    let settings = group.settings.into_iter().map(|(_, value)| value);
    Some(settings.chain(body).collect())
}

/// What the body of a `task_group!` calls the group, unless that is `local`.
pub(crate) fn sending_argument(mac: &Macro) -> Option<Pat> {
    let group = Group::read(mac).filter(|group| !group.local)?;
    group.closure()?.inputs.first().cloned()
}

const OPTIONS: &[&str] = &[
    "name",
    "limit",
    "timeout",
    "deadline",
    "grace",
    "drain",
    "on_failure",
    "error",
    "local",
    "allow",
    "deny",
    "crate",
];

#[derive(Default)]
struct Group {
    /// Statements in its body of which rustc warns.
    warnings: Vec<Stmt>,
    witnessed: Witnessed,
    /// Those of the function around it, and its own `crate` and `allow(…)`.
    options: Options,
    /// What is declared around it.
    own: Own,
    /// The groups around it.
    outer: Outer,
    error: Option<Type>,
    local: bool,
    /// What the builder's methods of these names are called with.
    settings: Vec<(Ident, Expr)>,
    body: Option<Body>,
}

/// `|g| { … }`
enum Body {
    Closure(Box<ExprClosure>),
    /// Still being typed: rustc and editors see it as it is.
    Raw(TokenStream),
}

impl Group {
    // Without reports: its own macro makes them.
    fn read(mac: &Macro) -> Option<Self> {
        let (mut group, mut diag) = (Self::default(), Diag::default());
        let parser = |input: ParseStream| group.parse(input, &mut diag);
        mac.parse_body_with(parser).ok()?;
        Some(group)
    }

    fn closure(&self) -> Option<&ExprClosure> {
        match &self.body {
            Some(Body::Closure(body)) => Some(body),
            _ => None,
        }
    }

    fn parse(&mut self, input: ParseStream, diag: &mut Diag) -> syn::Result<()> {
        self.witnessed = Witnessed::parse(input)?;
        self.options = Options::parse_handed_on(input, diag)?;
        self.own = Own::parse_handed_on(input)?;
        self.outer = Outer::parse_handed_on(input)?;
        let mut seen = Seen::default();
        while !is_closure(input) {
            if input.is_empty() {
                return Err(self.missing(input.span()));
            }
            if input.peek(Brace) || is_sole_name(input) {
                return Err(no_body(input.span()));
            }
            let name = parse_name(input, OPTIONS)?;
            if seen.admit(&name, OPTIONS, diag) {
                self.option(name, input, diag)?;
            } else {
                skip_value(input)?;
            }
            parse_comma(input)?;
        }
        self.body = Some(Body::parse(input)?);
        Ok(())
    }

    fn option(&mut self, name: Ident, input: ParseStream, diag: &mut Diag) -> syn::Result<()> {
        if name == "local" {
            self.local = true;
            return check_flag(&name, input, diag);
        }
        if name == "crate" {
            self.options.krate = Some(parse_crate(&name, input)?);
            return Ok(());
        }
        if name == "allow" || name == "deny" {
            return self.options.levels.parse(&name, input, diag);
        }
        if name == "error" {
            parse_equals(&name, input)?;
            let span = input.span();
            self.error = Some(input.parse().map_err(|_| NO_TYPE.at(span))?);
        } else {
            let value = parse_value(&name, input)?;
            self.settings.push((name, value));
        }
        Ok(())
    }

    // What is said where the body should be: `timeout = limit |g| …` reads as an
    // operator between three values.
    fn missing(&mut self, end: Span) -> syn::Error {
        let joined = self
            .settings
            .pop_if(|(_, value)| first_bar(value).is_some());
        match joined.and_then(|(_, value)| first_bar(&value)) {
            Some(bar) => NO_COMMA.at(bar),
            None => no_body(end),
        }
    }

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
            Some(Body::Closure(body)) => {
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
            Some(Body::Raw(tokens)) => quote_spanned!(span=> async #tokens),
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
        if let Some(Body::Closure(body)) = &self.body {
            checker.expr(&body.body, body.inputs.first());
        }
        self.own = checker.own;
        self.warnings = checker.warnings;
    }

    fn settings(&mut self, krate: &Crate, diag: &mut Diag) -> TokenStream {
        let scope = Scope::new(Kind::Async, None);
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

impl Body {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let fork = input.fork();
        match complete_closure(&fork) {
            Ok(closure) => {
                input.advance_to(&fork);
                Ok(Self::Closure(Box::new(closure)))
            }
            Err(error) => {
                let tokens: TokenStream = input.parse()?;
                let mut trees: Vec<TokenTree> = tokens.into_iter().collect();
                match trees.pop() {
                    Some(TokenTree::Group(braces)) if braces.delimiter() == Delimiter::Brace => {
                        trees.push(unread_body(&braces).into());
                        Ok(Self::Raw(trees.into_iter().collect()))
                    }
                    _ => Err(error),
                }
            }
        }
    }
}

fn complete_closure(input: ParseStream) -> syn::Result<ExprClosure> {
    let closure = input.parse()?;
    input.parse::<Option<Token![,]>>()?;
    if input.is_empty() {
        Ok(closure)
    } else {
        Err(BEHIND_BODY.at(input.span()))
    }
}

/// What a group's body is made with.
struct Closure<'a> {
    /// What its block begins with.
    first: Vec<Stmt>,
    options: &'a Options,
    own: Own,
    outer: Outer,
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
        let scope = Scope::new(Kind::Group, output);
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

// The first `|` of `value | g | body`.
fn first_bar(value: &Expr) -> Option<Span> {
    let (left, _) = operands_of_bar(value)?;
    operands_of_bar(left).map(|(_, bar)| bar)
}

fn operands_of_bar(expr: &Expr) -> Option<(&Expr, Span)> {
    match expr {
        Expr::Binary(expr) => match expr.op {
            syn::BinOp::BitOr(bar) => Some((&expr.left, bar.spans[0])),
            _ => None,
        },
        _ => None,
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

const BEHIND_BODY: Mistake = Mistake {
    what: "something behind the body of a `task_group!`",
    why: "the body is the last argument, and options stand in front of it",
    help: "move it in front of the `|g| { … }`, with a comma between",
};

const NO_COMMA: Mistake = Mistake {
    what: "expected `,` between an option and the body of a `task_group!`",
    why: "without it, the `|` of the body is taken for an operator",
    help: "write `,` in front of the `|`",
};

const NO_TYPE: Mistake = Mistake {
    what: "option `error` takes a type",
    why: "it is what the tasks of the group fail with",
    help: "write `error = io::Error`, say, or `error = _` to infer it",
};

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

fn is_closure(input: ParseStream) -> bool {
    input.peek(Token![|])
        || input.peek(Token![||])
        || input.peek(Token![move])
        || input.peek(Token![async])
        || input.peek(Token![#])
}

// A word that is no option, with nothing behind it that belongs to the group: it stands
// where the body should, as in `task_group!(body)` and `task_group!(g => { … })`.
fn is_sole_name(input: ParseStream) -> bool {
    let fork = input.fork();
    let known = |name: Ident| OPTIONS.iter().any(|option| name == option);
    let is_option = fork.call(Ident::parse_any).map_or(true, known);
    let assigned = fork.peek(Token![=]) && !fork.peek(Token![=>]);
    !is_option && !assigned && skip_value(&fork).is_ok() && fork.is_empty()
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
