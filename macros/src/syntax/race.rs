//! What is written in a `race!`.

use crate::diag::Mistake;
use crate::syntax::options::parse_crate;
use crate::syntax::witness::Witnessed;
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream};
use syn::token::Brace;
use syn::{Block, Expr, ExprBlock, Macro, Pat, Path, Token};

/// The expressions in a `race!`, or in a `select!` that reads like one.
pub(crate) fn expressions(mac: &Macro) -> Option<Vec<Expr>> {
    let race: RaceInput = mac.parse_body().ok()?;
    let mut exprs = Vec::new();
    for branch in race.branches {
        exprs.push(branch.future);
        exprs.extend(branch.guard.map(|(_, guard)| guard));
        exprs.push(branch.handler);
    }
    exprs.extend(race.fallback.map(|fallback| fallback.handler));
    Some(exprs)
}

/// The futures of the branches in a `select!` that reads like a `race!`.
pub(crate) fn futures(mac: &Macro) -> Vec<Expr> {
    let race = mac.parse_body::<RaceInput>();
    let branches = race.map(|race| race.branches).unwrap_or_default();
    branches.into_iter().map(|branch| branch.future).collect()
}

pub(crate) struct RaceInput {
    pub(crate) witnessed: Witnessed,
    pub(crate) krate: Option<Path>,
    pub(crate) biased: Option<Ident>,
    pub(crate) branches: Vec<RaceBranch>,
    pub(crate) fallback: Option<Fallback>,
}

/// `pattern = future, if guard => handler`
pub(crate) struct RaceBranch {
    pub(crate) pattern: Pat,
    pub(crate) eq: Token![=],
    pub(crate) future: Expr,
    pub(crate) guard: Option<(Token![if], Expr)>,
    pub(crate) arrow: Token![=>],
    pub(crate) handler: Expr,
}

/// `else => handler`
pub(crate) struct Fallback {
    pub(crate) keyword: Token![else],
    pub(crate) arrow: Token![=>],
    pub(crate) handler: Expr,
}

impl Parse for RaceInput {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut race = Self {
            witnessed: Witnessed::parse(input)?,
            krate: parse_header(input)?,
            biased: parse_biased(input)?,
            branches: Vec::new(),
            fallback: None,
        };
        while !input.is_empty() {
            if let Some(fallback) = &race.fallback {
                return Err(AFTER_ELSE.at(fallback.keyword.span));
            }
            let closed = if input.peek(Token![else]) {
                is_block(&race.fallback.insert(input.parse()?).handler)
            } else {
                race.branches.push(input.parse()?);
                race.branches
                    .last()
                    .is_some_and(|branch| is_block(&branch.handler))
            };
            parse_separator(input, closed)?;
        }
        if race.branches.is_empty() && race.fallback.is_none() {
            return Err(NO_BRANCHES.at(Span::call_site()));
        }
        Ok(race)
    }
}

impl Parse for RaceBranch {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let (start, fork) = (input.span(), input.fork());
        let pattern = fork.call(Pat::parse_multi_with_leading_vert);
        let assigned = fork.peek(Token![=]) && !fork.peek(Token![=>]) && !fork.peek(Token![==]);
        if pattern.is_ok() && fork.peek(Token![if]) {
            return Err(GUARD_IN_FRONT.at(fork.span()));
        }
        if !assigned {
            return Err(no_branch(input, &fork).at(start));
        }
        input.advance_to(&fork);
        Ok(Self {
            pattern: pattern?,
            eq: input.parse()?,
            future: parse_future(input)?,
            guard: parse_guard(input)?,
            arrow: parse_arrow(input)?,
            handler: parse_handler(input)?,
        })
    }
}

impl Parse for Fallback {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        Ok(Self {
            keyword: input.parse()?,
            arrow: parse_arrow(input)?,
            handler: parse_handler(input)?,
        })
    }
}

/// `crate = path;`, for renamed dependencies.
pub(crate) fn parse_header(input: ParseStream) -> syn::Result<Option<Path>> {
    if !(input.peek(Token![crate]) && input.peek2(Token![=])) {
        return Ok(None);
    }
    let name = input.call(Ident::parse_any)?;
    let path = parse_crate(&name, input)?;
    input.parse::<Token![;]>()?;
    Ok(Some(path))
}

fn parse_biased(input: ParseStream) -> syn::Result<Option<Ident>> {
    let fork = input.fork();
    let Ok(word) = fork.parse::<Ident>() else {
        return Ok(None);
    };
    if word != "biased" || fork.peek(Token![=]) {
        return Ok(None);
    }
    if !fork.peek(Token![;]) {
        return Err(BIASED_OPEN.at(word.span()));
    }
    input.advance_to(&fork);
    input.parse::<Token![;]>()?;
    Ok(Some(word))
}

fn parse_guard(input: ParseStream) -> syn::Result<Option<(Token![if], Expr)>> {
    if input.peek(Token![if]) {
        return Err(GUARD_WITHOUT_COMMA.at(input.span()));
    }
    if !(input.peek(Token![,]) && input.peek2(Token![if])) {
        return Ok(None);
    }
    input.parse::<Token![,]>()?;
    Ok(Some((input.parse()?, input.parse()?)))
}

// With nothing at all behind it, it is the future that lacks a handler.
fn parse_future(input: ParseStream) -> syn::Result<Expr> {
    let future: Expr = input.parse()?;
    if input.is_empty() {
        return Err(syn::Error::new_spanned(future, NO_HANDLER.text()));
    }
    Ok(future)
}

fn parse_arrow(input: ParseStream) -> syn::Result<Token![=>]> {
    if input.is_empty() || input.peek(Token![,]) {
        return Err(NO_HANDLER.at(input.span()));
    }
    input.parse()
}

// An expression, or a block; one that is still being typed is left to rustc.
fn parse_handler(input: ParseStream) -> syn::Result<Expr> {
    if input.is_empty() || input.peek(Token![,]) {
        return Err(NO_HANDLER.at(input.span()));
    }
    if !input.peek(Brace) {
        return input.parse();
    }
    let fork = input.fork();
    let Ok(block) = fork.parse::<Block>() else {
        return Ok(Expr::Verbatim(input.parse::<TokenTree>()?.into()));
    };
    input.advance_to(&fork);
    Ok(Expr::Block(ExprBlock {
        attrs: Vec::new(),
        label: None,
        block,
    }))
}

fn parse_separator(input: ParseStream, closed: bool) -> syn::Result<()> {
    let comma = input.parse::<Option<Token![,]>>()?;
    if comma.is_some() || closed || input.is_empty() {
        return Ok(());
    }
    Err(NO_COMMA.at(input.span()))
}

fn is_block(handler: &Expr) -> bool {
    matches!(handler, Expr::Block(_) | Expr::Verbatim(_))
}

impl ToTokens for RaceInput {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let (krate, biased) = (self.krate.iter(), self.biased.iter());
        let (branches, fallback) = (&self.branches, &self.fallback);
        self.witnessed.to_tokens(tokens);
        tokens.extend(quote!(#(crate = #krate;)* #(#biased;)* #(#branches)* #fallback));
    }
}

impl ToTokens for RaceBranch {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            pattern,
            eq,
            future,
            guard,
            arrow,
            handler,
        } = self;
        let guard = guard
            .iter()
            .map(|(keyword, guard)| quote!(, #keyword #guard));
        tokens.extend(quote!(#pattern #eq #future #(#guard)* #arrow #handler,));
    }
}

impl ToTokens for Fallback {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self {
            keyword,
            arrow,
            handler,
        } = self;
        tokens.extend(quote!(#keyword #arrow #handler,));
    }
}

const AFTER_ELSE: Mistake = Mistake {
    what: "a branch behind the `else` of a `race!`",
    why: "`else` is for when all branches are disabled, and there is one",
    help: "move it to the end",
};

const NO_BRANCHES: Mistake = Mistake {
    what: "`race!` without branches",
    why: "nobody could win it",
    help: "write `pattern = future => handler`",
};

const NO_PATTERN: Mistake = Mistake {
    what: "expected `pattern = future => handler`",
    why: "a branch says what to do with the value of its future",
    help: "write `_ = future => handler` if the value does not matter",
};

const NO_HANDLER: Mistake = Mistake {
    what: "a branch without a handler",
    why: "it says what to do when the branch wins",
    help: "write `=> handler` behind the future, `=> {}` to do nothing",
};

const NO_COMMA: Mistake = Mistake {
    what: "expected `,` between two branches",
    why: "it can be left out behind a block alone",
    help: "write `,`, or put the handler before it in braces",
};

const GUARD_IN_FRONT: Mistake = Mistake {
    what: "the condition of a branch comes after its future",
    why: "it is evaluated before the future is polled, so it cannot see the value",
    help: "write `pattern = future, if condition => handler`",
};

const GUARD_WITHOUT_COMMA: Mistake = Mistake {
    what: "expected `,` before the condition of a branch",
    why: "without it the condition would be part of the future's expression",
    help: "write `pattern = future, if condition => handler`",
};

const BIASED_OPEN: Mistake = Mistake {
    what: "`biased` without `;`",
    why: "it is no branch, but about all of them",
    help: "write `biased;`",
};

const BIASED_INSIDE: Mistake = Mistake {
    what: "`biased;` between the branches",
    why: "it is about all of them",
    help: "move it to the beginning",
};

const COMPLETE: Mistake = Mistake {
    what: "`complete =>` belongs to the `select!` of futures",
    why: "a `race!` is over when all its branches are disabled, by their conditions or patterns",
    help: "write `else => handler`",
};

const DEFAULT: Mistake = Mistake {
    what: "`default =>` belongs to the `select!` of futures",
    why: "a `race!` waits until a branch wins",
    help: "to poll each branch once, write `biased;` and, as the last branch, \
           `() = std::future::ready(()) => handler`",
};

// What stands where a branch should. `futures::select!` has branches without a future.
fn no_branch(input: ParseStream, behind: ParseStream) -> &'static Mistake<'static> {
    if behind.peek(Token![;]) {
        return &BIASED_INSIDE;
    }
    match input.fork().parse::<Ident>() {
        Ok(word) if word == "complete" && behind.peek(Token![=>]) => &COMPLETE,
        Ok(word) if word == "default" && behind.peek(Token![=>]) => &DEFAULT,
        _ => &NO_PATTERN,
    }
}
