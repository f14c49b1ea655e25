//! What is written in a `task_group!`: options, and the body.

use crate::diag::{Diag, Mistake};
use crate::syntax::editor::report_in_editor;
use crate::syntax::options::{
    OptionReader, OptionValue, Options, OptionsOf, parse_comma, skip_value,
};
use crate::syntax::repair::{Holes, Listed, read_repaired};
use crate::syntax::unread::keep_unread_code;
use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::parse::discouraged::Speculative;
use syn::token::Brace;
use syn::{Expr, ExprClosure, Macro, Pat, Token, Type};

/// Whether a macro has a `|` for the group, as ours has. A `task_group!` without one may be
/// somebody else's; ours says what is missing.
pub(crate) fn has_argument(mac: &Macro) -> bool {
    let mut trees = mac.tokens.clone().into_iter();
    trees.any(|tree| matches!(tree, TokenTree::Punct(punct) if punct.as_char() == '|'))
}

/// The expressions in a `task_group!`: the values of its options, and its body.
pub(crate) fn expressions(mac: &Macro) -> Option<Vec<Expr>> {
    let group = TaskGroupInput::read(mac)?;
    let body = group.closure().map(|body| Expr::clone(&body.body));
    let settings = group.settings.into_iter().map(|(_, value)| value);
    Some(settings.chain(body).collect())
}

/// What the body of a `task_group!` calls the group, unless that is `local`.
pub(crate) fn sending_argument(mac: &Macro) -> Option<Pat> {
    let group = TaskGroupInput::read(mac).filter(|group| !group.local)?;
    group.closure()?.inputs.first().cloned()
}

#[derive(Default)]
pub(crate) struct TaskGroupInput {
    /// Those of the code around it, and its own `crate`, `allow(…)` and `deny(…)`.
    pub(crate) options: Options,
    pub(crate) error: Option<Type>,
    pub(crate) local: bool,
    /// What the builder's methods of these names are called with.
    pub(crate) settings: Vec<(Ident, Expr)>,
    pub(crate) body: Option<TaskGroupBody>,
    /// Those in the values and the body.
    pub(crate) holes: Holes,
}

/// `|g| { … }`
pub(crate) enum TaskGroupBody {
    Closure(Box<ExprClosure>),
    /// Still being typed: rustc and editors see it as it is.
    Raw(RawBody),
}

/// A closure that cannot be read.
pub(crate) struct RawBody {
    pub(crate) head: TokenStream,
    pub(crate) braces: Group,
    /// Its statements, which do not run.
    pub(crate) code: TokenStream,
}

/// What one parse of the input has found.
struct Attempt {
    group: TaskGroupInput,
    diag: Diag,
    result: syn::Result<()>,
}

impl TaskGroupInput {
    /// Reads a call in code with these options, and reports what is wrong with it.
    pub(crate) fn of(mac: &Macro, options: &Options, diag: &mut Diag) -> Self {
        let (attempt, holes) = Attempt::repaired(mac, options);
        diag.append(attempt.diag);
        if let Err(error) = attempt.result {
            diag.push(error);
        }
        Self {
            holes,
            ..attempt.group
        }
    }

    /// To be read in code with these options.
    fn inside(options: &Options) -> Self {
        Self {
            options: Options {
                loops: options.loops,
                levels: options.levels,
                ..Options::default()
            },
            ..Self::default()
        }
    }

    // Without reports: those are made when the group is expanded.
    fn read(mac: &Macro) -> Option<Self> {
        let (attempt, _) = Attempt::repaired(mac, &Options::default());
        attempt.result.is_ok().then_some(attempt.group)
    }

    fn closure(&self) -> Option<&ExprClosure> {
        match &self.body {
            Some(TaskGroupBody::Closure(body)) => Some(body),
            _ => None,
        }
    }

    fn parse(&mut self, input: ParseStream, diag: &mut Diag) -> syn::Result<()> {
        let mut reader = OptionReader::new(OptionsOf::Group, diag);
        while !is_closure(input) {
            if input.is_empty() {
                return Err(self.missing(input.span()));
            }
            if input.peek(Brace) || is_sole_name(input) {
                return Err(no_body(input.span()));
            }
            if let Some((name, value)) = reader.read(input)? {
                self.set(name, value);
            }
            parse_comma(input)?;
        }
        self.body = Some(TaskGroupBody::parse(input, diag)?);
        Ok(())
    }

    fn set(&mut self, name: Ident, value: OptionValue) {
        match self.options.set(name, value) {
            Some((_, OptionValue::Flag)) => self.local = true,
            Some((_, OptionValue::Type(ty))) => self.error = Some(ty),
            Some((name, OptionValue::Expr(value))) => self.settings.push((name, value)),
            _ => {}
        }
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
}

impl Attempt {
    fn repaired(mac: &Macro, options: &Options) -> (Self, Holes) {
        let read = |tokens| Self::read(mac, tokens, options);
        read_repaired(&mac.tokens, Listed::Arguments, read, Self::is_read)
    }

    fn read(mac: &Macro, tokens: TokenStream, options: &Options) -> Self {
        let (mut group, mut diag) = (TaskGroupInput::inside(options), Diag::default());
        let mac = Macro {
            tokens,
            ..mac.clone()
        };
        let result = mac.parse_body_with(|input: ParseStream| group.parse(input, &mut diag));
        Self {
            group,
            diag,
            result,
        }
    }

    fn is_read(&self) -> bool {
        self.result.is_ok() && self.group.closure().is_some()
    }
}

impl TaskGroupBody {
    fn parse(input: ParseStream, diag: &mut Diag) -> syn::Result<Self> {
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
                        report_in_editor(error, diag);
                        Ok(Self::Raw(RawBody {
                            head: trees.into_iter().collect(),
                            code: keep_unread_code(braces.stream()),
                            braces,
                        }))
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
    let known = |name: Ident| OptionsOf::Group.names().iter().any(|option| name == option);
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
