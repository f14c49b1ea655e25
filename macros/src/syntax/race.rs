//! What is written in a `race!`.

use crate::diag::Mistake;
use crate::syntax::options::parse_crate;
use crate::syntax::repair::{Holes, Listed, read_repaired};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::discouraged::Speculative;
use syn::parse::{Parse, ParseStream};
use syn::token::Brace;
use syn::{Block, Expr, ExprBlock, Macro, Pat, Path, Token};

/// The expressions in a `race!`, or in a `select!` that reads like one.
pub(crate) fn expressions(mac: &Macro) -> Option<Vec<Expr>> {
    let mut race: RaceInput = mac.parse_body().ok()?;
    Some(race.expressions_mut().map(|expr| expr.clone()).collect())
}

/// The futures of the branches in a `select!` that reads like a `race!`.
pub(crate) fn futures(mac: &Macro) -> Vec<Expr> {
    let race = mac.parse_body::<RaceInput>();
    let branches = race.map(|race| race.branches).unwrap_or_default();
    branches.into_iter().map(|branch| branch.future).collect()
}

pub(crate) struct RaceInput {
    pub(crate) krate: Option<Path>,
    pub(crate) is_biased: bool,
    pub(crate) branches: Vec<RaceBranch>,
    /// `else => handler`
    pub(crate) fallback: Option<(Token![else], Expr)>,
    /// Those in the expressions.
    pub(crate) holes: Holes,
}

/// `pattern = future, if guard => handler`
pub(crate) struct RaceBranch {
    pub(crate) pattern: Pat,
    pub(crate) future: Expr,
    pub(crate) guard: Option<Expr>,
    pub(crate) handler: Expr,
}

impl RaceInput {
    /// Reads the input of a `race!`, which may still be being typed.
    pub(crate) fn read(tokens: &TokenStream) -> syn::Result<Self> {
        let is_read = |race: &syn::Result<Self>| race.as_ref().is_ok_and(Self::is_complete);
        let (race, holes) = read_repaired(tokens, Listed::Arguments, syn::parse2, is_read);
        race.map(|race| Self { holes, ..race })
    }

    // Whether all handlers were read: none is left to rustc.
    fn is_complete(&self) -> bool {
        let handlers = self.branches.iter().map(|branch| &branch.handler);
        let mut handlers = handlers.chain(self.fallback.iter().map(|(_, handler)| handler));
        handlers.all(|handler| !matches!(handler, Expr::Verbatim(_)))
    }

    /// All its expressions, in the order in which they stand there.
    pub(crate) fn expressions_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let fallback = self.fallback.as_mut().map(|(_, handler)| handler);
        let branches = self.branches.iter_mut().flat_map(|branch| {
            let future = [&mut branch.future].into_iter();
            future.chain(&mut branch.guard).chain([&mut branch.handler])
        });
        branches.chain(fallback)
    }
}

impl Parse for RaceInput {
    fn parse(input: ParseStream) -> syn::Result<Self> {
        let mut race = Self {
            krate: parse_header(input)?,
            is_biased: parse_biased(input)?,
            branches: Vec::new(),
            fallback: None,
            holes: Holes::None,
        };
        while !input.is_empty() {
            if let Some((keyword, _)) = &race.fallback {
                return Err(AFTER_ELSE.at(keyword.span));
            }
            if input.peek(Token![else]) {
                race.fallback = Some((input.parse()?, parse_handler(input)?));
            } else {
                race.branches.push(input.parse()?);
            }
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
            future: parse_future(input)?,
            guard: parse_guard(input)?,
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

fn parse_biased(input: ParseStream) -> syn::Result<bool> {
    let fork = input.fork();
    let Ok(word) = fork.parse::<Ident>() else {
        return Ok(false);
    };
    if word != "biased" || fork.peek(Token![=]) {
        return Ok(false);
    }
    if !fork.peek(Token![;]) {
        return Err(BIASED_OPEN.at(word.span()));
    }
    input.advance_to(&fork);
    input.parse::<Token![;]>()?;
    Ok(true)
}

fn parse_guard(input: ParseStream) -> syn::Result<Option<Expr>> {
    if input.peek(Token![if]) {
        return Err(GUARD_WITHOUT_COMMA.at(input.span()));
    }
    if !(input.peek(Token![,]) && input.peek2(Token![if])) {
        return Ok(None);
    }
    input.parse::<Token![,]>()?;
    input.parse::<Token![if]>()?;
    input.parse().map(Some)
}

// `= future`. With nothing at all after it, it is the future that lacks a handler.
fn parse_future(input: ParseStream) -> syn::Result<Expr> {
    input.parse::<Token![=]>()?;
    let future: Expr = input.parse()?;
    if input.is_empty() {
        return Err(syn::Error::new_spanned(future, NO_HANDLER.text()));
    }
    Ok(future)
}

// `=> handler`, and the comma after it.
fn parse_handler(input: ParseStream) -> syn::Result<Expr> {
    expect_handler(input)?;
    input.parse::<Token![=>]>()?;
    expect_handler(input)?;
    let handler = match input.peek(Brace) {
        true => parse_block(input)?,
        false => input.parse()?,
    };
    let is_block = matches!(handler, Expr::Block(_) | Expr::Verbatim(_));
    let comma = input.parse::<Option<Token![,]>>()?;
    if comma.is_some() || is_block || input.is_empty() {
        Ok(handler)
    } else {
        Err(NO_COMMA.at(input.span()))
    }
}

fn expect_handler(input: ParseStream) -> syn::Result<()> {
    if input.is_empty() || input.peek(Token![,]) {
        return Err(NO_HANDLER.at(input.span()));
    }
    Ok(())
}

// A block that cannot be read is left to rustc.
fn parse_block(input: ParseStream) -> syn::Result<Expr> {
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
