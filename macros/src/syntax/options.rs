//! Options: `name`, `name(list)` and `name = value`, separated by commas.

use crate::diag::{Diag, Mistake};
use proc_macro2::{Ident, TokenStream};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream, Parser};
use syn::token::Paren;
use syn::{Lit, LitStr, Path, Token, parenthesized};

/// The options of `#[cancellable(…)]`.
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
pub(crate) struct Levels {
    pub(crate) detached: CheckLevel,
    pub(crate) blocking: CheckLevel,
    pub(crate) hard_drop: CheckLevel,
}

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

const OPTIONS: &[&str] = &["loops", "blocking", "send", "allow", "deny", "crate"];
const CHECKS: &[&str] = &["detached", "blocking", "hard_drop"];
/// The checks of `#[taskscope::main]` itself.
pub(crate) const MAIN_CHECKS: &[&str] = &["signals"];

/// Names seen so far, to find the one given twice.
#[derive(Default)]
pub(crate) struct SeenOptions(Vec<Ident>);

impl SeenOptions {
    /// Whether `name` is one of `known` and new; reports it if not.
    pub(crate) fn admit(&mut self, name: &Ident, known: &[&str], diag: &mut Diag) -> bool {
        if !known.iter().any(|known| name == known) {
            diag.push(unknown(name, known));
            return false;
        }
        if self.0.contains(name) {
            let what = format!("option `{name}` is given twice");
            let why = "one of the two would be ignored";
            let help = format!("keep one `{name}`");
            diag.mistake(
                name.span(),
                &Mistake {
                    what: &what,
                    why,
                    help: &help,
                },
            );
            return false;
        }
        self.0.push(name.clone());
        true
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
    let has = |option: &str| known.contains(&option);
    if CHECKS.contains(&name) {
        return Some(if has("deny") {
            format!("write `allow({name})`")
        } else {
            format!("write `#[cancellable(allow({name}))]` above or below this attribute")
        });
    }
    match MAIN_CHECKS.contains(&name) {
        true if has("allow") && !has("deny") => Some(format!("write `allow({name})`")),
        true => Some(format!("write `#[taskscope::main(allow({name}))]`")),
        false => None,
    }
}

fn listed(known: &[&str]) -> String {
    let quoted: Vec<_> = known.iter().map(|known| format!("`{known}`")).collect();
    quoted.join(", ")
}

/// Reports a value behind an option that takes none.
pub(crate) fn check_flag(name: &Ident, input: ParseStream, diag: &mut Diag) -> syn::Result<()> {
    if !(input.peek(Token![=]) || input.peek(Paren)) {
        return Ok(());
    }
    let what = format!("option `{name}` takes no value");
    let help = format!("write `{name}` alone, or leave it out");
    diag.mistake(
        name.span(),
        &Mistake {
            what: &what,
            why: "it is on where it is written",
            help: &help,
        },
    );
    skip_value(input)
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
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, r) in right.iter().enumerate() {
            let edit = (diagonal + usize::from(l != *r))
                .min(row[j] + 1)
                .min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], edit);
        }
    }
    row[right.len()]
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream, diag: &mut Diag) -> Self {
        let mut options = Self::default();
        let parser = |input: ParseStream| {
            list(input, diag, OPTIONS, |name, input, diag| {
                options.option(name, input, diag)
            })
        };
        if let Err(error) = parser.parse2(tokens) {
            diag.push(error);
        }
        options
    }

    fn option(&mut self, name: &Ident, input: ParseStream, diag: &mut Diag) -> syn::Result<()> {
        let flag = match name {
            _ if name == "loops" => Some(&mut self.loops),
            _ if name == "blocking" => Some(&mut self.blocking),
            _ if name == "send" => Some(&mut self.send),
            _ => None,
        };
        if let Some(flag) = flag {
            *flag = true;
            check_flag(name, input, diag)?;
        } else if name == "crate" {
            self.krate = Some(parse_crate(name, input)?);
        } else {
            self.levels.parse(name, input, diag)?;
        }
        Ok(())
    }
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

/// `(check, …)`, after `allow` or `deny`: calls `each` for those of the `known` checks.
pub(crate) fn parse_checks(
    name: &Ident,
    input: ParseStream,
    diag: &mut Diag,
    known: &[&str],
    mut each: impl FnMut(&Ident),
) -> syn::Result<()> {
    if !input.peek(Paren) {
        return Err(without_checks(name, known));
    }
    let checks;
    parenthesized!(checks in input);
    if checks.is_empty() {
        diag.push(without_checks(name, known));
    }
    list(&checks, diag, known, |check, _, _| {
        each(check);
        Ok(())
    })
}

impl Levels {
    /// `(detached, …)`, after `allow` or `deny`. The later one holds.
    pub(crate) fn parse(
        &mut self,
        name: &Ident,
        input: ParseStream,
        diag: &mut Diag,
    ) -> syn::Result<()> {
        let level = if name == "deny" {
            CheckLevel::Deny
        } else {
            CheckLevel::Allow
        };
        parse_checks(name, input, diag, CHECKS, |check| *self.of(check) = level)
    }

    fn of(&mut self, check: &Ident) -> &mut CheckLevel {
        match check {
            _ if check == "detached" => &mut self.detached,
            _ if check == "blocking" => &mut self.blocking,
            _ => &mut self.hard_drop,
        }
    }
}

/// The name of an option, one of `known`.
pub(crate) fn parse_name(input: ParseStream, known: &[&str]) -> syn::Result<Ident> {
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

/// `= value`, after an option that takes one.
pub(crate) fn parse_value<T: Parse>(name: &Ident, input: ParseStream) -> syn::Result<T> {
    parse_equals(name, input)?;
    input.parse()
}

/// The `=` after an option that takes a value.
pub(crate) fn parse_equals(name: &Ident, input: ParseStream) -> syn::Result<()> {
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

/// Calls `option` behind each new, known name; the rest of a refused one is skipped.
pub(crate) fn list(
    input: ParseStream,
    diag: &mut Diag,
    known: &[&str],
    mut option: impl FnMut(&Ident, ParseStream, &mut Diag) -> syn::Result<()>,
) -> syn::Result<()> {
    let mut seen = SeenOptions::default();
    while !input.is_empty() {
        let name = parse_name(input, known)?;
        if seen.admit(&name, known, diag) {
            option(&name, input, diag)?;
        } else {
            skip_value(input)?;
        }
        parse_comma(input)?;
    }
    Ok(())
}

pub(crate) fn skip_value(input: ParseStream) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}
