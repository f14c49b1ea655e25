//! Options: `name`, `name(list)` and `name = value`, separated by commas.
//!
//! `OPTIONS` declares each of them: its name, how its value is read, and which macros take it.
//! A mistake in one option leaves the others as they are, and names what was most likely meant.
//!
//! `syn::meta::parser` reads such lists, too. But it ends at a literal and at a missing comma with a text of
//! its own, and it reads to the end of its input, while the options of `task_group!` end at its body.

use crate::diag::{Diag, Mistake};
use crate::rules::Check;
use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::token::Paren;
use syn::{Expr, Lit, LitStr, Path, Token, Type, parenthesized};

/// A macro that takes options.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OptionsOf {
    Cancellable,
    Group,
    Main,
    Test,
}

/// What an option says besides its name.
pub(crate) enum OptionValue {
    /// Nothing.
    Flag,
    /// `name(check, …)`
    Checks(Vec<Check>),
    /// `name = path`
    Path(Path),
    /// `name = type`
    Type(Type),
    /// `name = expression`
    Expr(Expr),
}

use OptionsOf::{Cancellable, Group, Main, Test};

type ReadValue = fn(&Ident, ParseStream, &mut OptionReader) -> ValueResult;

type ValueResult = syn::Result<OptionValue>;

/// The name, what an editor shows of it, how its value is read, and the macros that take it.
type OptionRow = (&'static str, &'static str, ReadValue, &'static [OptionsOf]);

const OPTIONS: &[OptionRow] = &[
    (
        "loops",
        "A checkpoint for every loop, except those marked `#[no_checkpoint]`.",
        read_flag,
        &[Cancellable],
    ),
    (
        "blocking",
        "The function is a plain one, and its loops are checkpoints that return `Err`.",
        read_flag,
        &[Cancellable],
    ),
    (
        "send",
        "Says in the signature that the future is `Send`.",
        read_flag,
        &[Cancellable],
    ),
    (
        "name",
        r#"`name = "…"`: what reports call the group."#,
        read_expr,
        &[Group],
    ),
    (
        "limit",
        "`limit = n`: how many tasks run at the same time.",
        read_expr,
        &[Group],
    ),
    (
        "timeout",
        "`timeout = duration`: how long the group may run before it is cancelled.",
        read_expr,
        &[Group],
    ),
    (
        "deadline",
        "`deadline = instant`: when the group is cancelled.",
        read_expr,
        &[Group],
    ),
    (
        "grace",
        "`grace = duration`: the time between being cancelled and being dropped.",
        read_expr,
        &[Group, Main],
    ),
    (
        "drain",
        "`drain = duration`: the time between being asked to stop and being cancelled.",
        read_expr,
        &[Group, Main],
    ),
    (
        "stuck_after",
        "`stuck_after = duration`: how long a task may go without a checkpoint before it is named.",
        read_expr,
        &[Main],
    ),
    (
        "on_failure",
        "`on_failure = …`: what a failed task does to the others.",
        read_expr,
        &[Group],
    ),
    (
        "error",
        "`error = E`: the error type of the group, `BoxError` if left out, `_` to infer it.",
        read_type,
        &[Group],
    ),
    (
        "local",
        "Allows tasks that are not `Send`.",
        read_flag,
        &[Group],
    ),
    (
        "flavor",
        r#"`flavor = "…"`: `"multi_thread"` or `"current_thread"`."#,
        read_expr,
        &[Main, Test],
    ),
    (
        "worker_threads",
        r#"`worker_threads = n`: how many threads `"multi_thread"` has."#,
        read_expr,
        &[Main, Test],
    ),
    (
        "start_paused",
        "`start_paused = true`: begins with the clock of tokio paused.",
        read_expr,
        &[Test],
    ),
    (
        "timeout",
        "`timeout = duration`: how long the test may take.",
        read_expr,
        &[Test],
    ),
    (
        "allow",
        "`allow(check, …)`: switches single checks off.",
        read_checks,
        &[Cancellable, Group, Main],
    ),
    (
        "deny",
        "`deny(check, …)`: makes the warnings of single checks errors.",
        read_checks,
        &[Cancellable, Group],
    ),
    (
        "crate",
        "`crate = path`: where the runtime crate is, if not at `::taskscope`.",
        read_path,
        &[Cancellable, Group, Main, Test],
    ),
];

impl OptionsOf {
    pub(crate) const ALL: [Self; 4] = [Cancellable, Group, Main, Test];

    /// The name of the macro.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Cancellable => "cancellable",
            Group => "task_group",
            Main => "main",
            Test => "test",
        }
    }

    /// The names of the options, and what an editor shows of each.
    pub(crate) fn docs(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.options().map(|(name, doc, ..)| (*name, *doc))
    }

    fn options(self) -> impl Iterator<Item = &'static OptionRow> {
        OPTIONS.iter().filter(move |(.., of)| of.contains(&self))
    }

    /// The names of the options.
    pub(crate) fn names(self) -> Vec<&'static str> {
        self.options().map(|(name, ..)| *name).collect()
    }

    // The checks that `allow(…)` and `deny(…)` switch.
    fn checks(self) -> Vec<&'static str> {
        let checks = Check::ALL.into_iter();
        let checks = checks.filter(|check| (*check == Check::Signals) == (self == Main));
        checks.map(Check::name).collect()
    }
}

/// Names in a list, each of which may be given once.
struct KnownNames {
    known: Vec<&'static str>,
    seen: Vec<Ident>,
}

impl KnownNames {
    fn new(known: Vec<&'static str>) -> Self {
        Self {
            known,
            seen: Vec::new(),
        }
    }

    // Reads a name. `None` if it is reported, and what belongs to it is skipped.
    fn read(&mut self, input: ParseStream, diag: &mut Diag) -> syn::Result<Option<Ident>> {
        let name = parse_name(input, &self.known)?;
        if !self.known.iter().any(|known| name == known) {
            diag.push(unknown(&name, &self.known));
        } else if self.seen.contains(&name) {
            let mistake = Mistake {
                what: &format!("option `{name}` is given twice"),
                why: "one of the two would be ignored",
                help: &format!("keep one `{name}`"),
            };
            diag.report(name.span(), &mistake);
        } else {
            self.seen.push(name.clone());
            return Ok(Some(name));
        }
        skip_value(input)?;
        Ok(None)
    }
}

/// Reads the options of one macro.
pub(crate) struct OptionReader<'a> {
    of: OptionsOf,
    names: KnownNames,
    diag: &'a mut Diag,
}

impl<'a> OptionReader<'a> {
    pub(crate) fn new(of: OptionsOf, diag: &'a mut Diag) -> Self {
        let names = KnownNames::new(of.names());
        Self { of, names, diag }
    }

    /// Reads all of `tokens`, and calls `each` with what is right in them.
    pub(crate) fn read_all(
        mut self,
        tokens: TokenStream,
        mut each: impl FnMut(Ident, OptionValue),
    ) {
        let parser = |input: ParseStream| {
            while !input.is_empty() {
                if let Some((name, value)) = self.read(input)? {
                    each(name, value);
                }
                parse_comma(input)?;
            }
            Ok(())
        };
        if let Err(error) = parser.parse2(tokens) {
            self.diag.push(error);
        }
    }

    /// Reads one option, up to its comma. `None` if its name is reported.
    pub(crate) fn read(&mut self, input: ParseStream) -> syn::Result<Option<(Ident, OptionValue)>> {
        let Some(name) = self.names.read(input, self.diag)? else {
            return Ok(None);
        };
        let option = self.of.options().find(|(option, ..)| name == option);
        let value = option.map(|(_, _, read_value, _)| read_value(&name, input, self));
        Ok(value.transpose()?.map(|value| (name, value)))
    }
}

// `name`
fn read_flag(name: &Ident, input: ParseStream, reader: &mut OptionReader) -> ValueResult {
    if input.peek(Token![=]) || input.peek(Paren) {
        let mistake = Mistake {
            what: &format!("option `{name}` takes no value"),
            why: "it is on where it is written",
            help: &format!("write `{name}` alone, or leave it out"),
        };
        reader.diag.report(name.span(), &mistake);
        skip_value(input)?;
    }
    Ok(OptionValue::Flag)
}

// `name(check, …)`
fn read_checks(name: &Ident, input: ParseStream, reader: &mut OptionReader) -> ValueResult {
    let known = reader.of.checks();
    if !input.peek(Paren) {
        return Err(without_checks(name, &known));
    }
    let list;
    parenthesized!(list in input);
    if list.is_empty() {
        reader.diag.push(without_checks(name, &known));
    }
    let mut names = KnownNames::new(known);
    while !list.is_empty() {
        let read = names.read(&list, reader.diag);
        if let Err(error) = read.and_then(|_| parse_comma(&list)) {
            reader.diag.push(error);
            list.parse::<TokenStream>()?;
        }
    }
    let is_named = |check: &Check| names.seen.iter().any(|name| name == check.name());
    let checks = Check::ALL.into_iter().filter(is_named);
    Ok(OptionValue::Checks(checks.collect()))
}

// `name = type`
fn read_type(name: &Ident, input: ParseStream, _: &mut OptionReader) -> ValueResult {
    parse_equals(name, input)?;
    let span = input.span();
    let ty = input.parse().map_err(|_| NO_TYPE.at(span))?;
    Ok(OptionValue::Type(ty))
}

// `name = expression`
fn read_expr(name: &Ident, input: ParseStream, _: &mut OptionReader) -> ValueResult {
    parse_equals(name, input)?;
    Ok(OptionValue::Expr(input.parse()?))
}

// `crate = path`
fn read_path(name: &Ident, input: ParseStream, _: &mut OptionReader) -> ValueResult {
    Ok(OptionValue::Path(parse_crate(name, input)?))
}

const NO_TYPE: Mistake = Mistake {
    what: "option `error` takes a type",
    why: "it is what the tasks of the group fail with",
    help: "write `error = io::Error`, say, or `error = _` to infer it",
};

/// The options that have the same meaning in each macro that takes them.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) krate: Option<Path>,
    pub(crate) loops: bool,
    /// On a plain function: its loops get checkpoints that return.
    pub(crate) blocking: bool,
    /// The future is written into the signature, with `Send`.
    pub(crate) send: bool,
    /// What `allow(…)` and `deny(…)` say of the checks.
    pub(crate) levels: Levels,
}

/// What becomes of the findings of each check.
#[derive(Clone, Copy, Default)]
pub(crate) struct Levels([CheckLevel; Check::ALL.len()]);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CheckLevel {
    /// They are errors, and a few of them warnings.
    #[default]
    Default,
    /// There are none.
    Allow,
    /// All are errors.
    Deny,
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream, diag: &mut Diag) -> Self {
        let mut options = Self::default();
        OptionReader::new(Cancellable, diag).read_all(tokens, |name, value| {
            options.set(name, value);
        });
        options
    }

    /// Sets an option; gives back one that only its own macro knows.
    pub(crate) fn set(&mut self, name: Ident, value: OptionValue) -> Option<(Ident, OptionValue)> {
        match value {
            OptionValue::Path(path) => self.krate = Some(path),
            OptionValue::Checks(checks) if name == "deny" => {
                self.levels.set(&checks, CheckLevel::Deny)
            }
            OptionValue::Checks(checks) => self.levels.set(&checks, CheckLevel::Allow),
            OptionValue::Flag if name == "loops" => self.loops = true,
            OptionValue::Flag if name == "blocking" => self.blocking = true,
            OptionValue::Flag if name == "send" => self.send = true,
            value => return Some((name, value)),
        }
        None
    }
}

impl Levels {
    pub(crate) fn of(self, check: Check) -> CheckLevel {
        self.0[check as usize]
    }

    // The later one holds.
    fn set(&mut self, checks: &[Check], level: CheckLevel) {
        for check in checks {
            self.0[*check as usize] = level;
        }
    }
}

fn unknown(name: &Ident, known: &[&str]) -> syn::Error {
    let what = format!("unknown option `{name}`");
    let why = format!("the options here are {}", listed(known));
    let help = as_check(&name.to_string(), known).unwrap_or_else(|| {
        let near = nearest(&name.to_string(), known);
        near.map_or_else(
            || format!("remove `{name}`"),
            |near| format!("write `{near}`"),
        )
    });
    Mistake {
        what: &what,
        why: &why,
        help: &help,
    }
    .at(name.span())
}

// Where the name of a check belongs.
fn as_check(name: &str, known: &[&str]) -> Option<String> {
    let check = Check::ALL.into_iter().find(|check| check.name() == name)?;
    let of_main = check == Check::Signals;
    let is_here = known.contains(&"allow") && known.contains(&"deny") != of_main;
    Some(match (is_here, of_main) {
        (true, _) => format!("write `allow({name})`"),
        (false, true) => format!("write `#[taskscope::main(allow({name}))]`"),
        (false, false) => {
            format!("write `#[cancellable(allow({name}))]` above or below this attribute")
        }
    })
}

fn listed(known: &[&str]) -> String {
    let quoted: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
    quoted.join(", ")
}

/// The known name that `name` was most likely meant to be.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let best = known
        .iter()
        .map(|known| (distance(name, known), *known))
        .min()?;
    (best.0 <= (name.len() / 3).max(1)).then_some(best.1)
}

// Edits between two names: one row of the usual table at a time.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, removed) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, added) in to.iter().enumerate() {
            let edit = (diagonal + usize::from(removed != *added))
                .min(row[j] + 1)
                .min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], edit);
        }
    }
    row[to.len()]
}

fn without_checks(name: &Ident, known: &[&str]) -> syn::Error {
    let checks = known.iter().map(|check| format!("`{name}({check})`"));
    let checks: Vec<_> = checks.collect();
    let help = match &checks[..] {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        checks => checks.concat(),
    };
    Mistake {
        what: &format!("`{name}` without the name of a check"),
        why: "it is for single checks",
        help: &format!("write {help}"),
    }
    .at(name.span())
}

// The name of an option, one of `known`.
fn parse_name(input: ParseStream, known: &[&str]) -> syn::Result<Ident> {
    if input.peek(Ident::peek_any) {
        return input.call(Ident::parse_any);
    }
    let quoted = input.fork().parse::<LitStr>().map(|text| text.value());
    let help = match quoted {
        Ok(text) if known.contains(&&*text) => format!("write `{text}`, without quotes"),
        Ok(text) if known.contains(&"name") => format!("write `name = {text:?}`"),
        _ => format!("the options here are {}", listed(known)),
    };
    Err(Mistake {
        what: "expected the name of an option",
        why: "an option begins with its name",
        help: &help,
    }
    .at(input.span()))
}

/// The `,` behind an option, unless it is the last one.
pub(crate) fn parse_comma(input: ParseStream) -> syn::Result<()> {
    if input.is_empty() || input.parse::<Option<Token![,]>>()?.is_some() {
        return Ok(());
    }
    Err(NO_COMMA.at(input.span()))
}

const NO_COMMA: Mistake = Mistake {
    what: "expected `,` behind an option",
    why: "options are separated by commas",
    help: "write `,` here, or remove what stands here",
};

/// `= path`, after `crate`.
pub(crate) fn parse_crate(name: &Ident, input: ParseStream) -> syn::Result<Path> {
    parse_equals(name, input)?;
    let quoted = input.fork().parse::<LitStr>().map(|text| text.value());
    let help = match quoted {
        Err(_) if !input.peek(Lit) => return input.call(Path::parse_mod_style),
        Ok(text) if syn::parse_str::<Path>(&text).is_ok() => {
            format!("write `crate = {text}`, without quotes")
        }
        _ => "write `crate = path`, as in `crate = my_name_for_it`".to_owned(),
    };
    Err(Mistake {
        what: "option `crate` takes a path, not a literal",
        why: "it is what the code calls this crate",
        help: &help,
    }
    .at(input.span()))
}

// The `=` after an option that takes a value.
fn parse_equals(name: &Ident, input: ParseStream) -> syn::Result<()> {
    if input.parse::<Option<Token![=]>>()?.is_some() {
        return Ok(());
    }
    Err(Mistake {
        what: &format!("option `{name}` without a value"),
        why: "it is given as `name = value`",
        help: &format!("write `{name} = …`, or leave it out"),
    }
    .at(name.span()))
}

pub(crate) fn skip_value(input: ParseStream) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}
