//! Names of scopes and tasks.
//!
//! A task that is given no name is named after the type of its future, as
//! [`std::any::type_name`] prints it. That text is written for compiler authors, so it is
//! trimmed to what stands in the source:
//!
//! ```text
//! app::fetch::{{closure}}                          app::fetch
//! app::fetch<u8>::{{closure}}                      app::fetch<u8>
//! app::db::<impl app::Db>::open::{{closure}}       app::Db::open
//! taskscope::shield::Shield<app::fetch::{{closure}}>   app::fetch
//! app::main::{{closure}}::{{closure}}              app::main (src/main.rs:12)
//! core::pin::Pin<alloc::boxed::Box<dyn Future …>>  future (src/main.rs:12)
//! ```
//!
//! The future of an async function ends in one `{{closure}}`, a block inside one in two or
//! more. A block is named after the function around it, and the line that spawns it tells
//! it from the others of that function. Texts that print the
//! line themselves leave it out of the name: see [`without_line`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::mem::{Discriminant, discriminant};
use std::panic::Location;
use std::sync::Arc;

/// What is called `{{closure}}`: a closure, an async block, the future of an async function.
const CLOSURE: &str = "::{{closure}}";

/// The function that `#[taskscope::main]` and `#[taskscope::test]` wrap the body in.
const BODY: &str = "::__taskscope_body";

/// A future whose type is not known.
const BOXED: &str = "dyn core::future::future::Future<";

/// Crates whose types only pass on the future, or the closure, that they are made of.
const WRAPPERS: [&str; 8] = [
    "alloc",
    "core",
    "futures_lite",
    "futures_util",
    "std",
    "taskscope",
    "tokio",
    "tracing",
];

/// What a scope is called that is given no name.
const DEFAULTS: [&str; 4] = ["block_on", "group", "scope", "timeout"];

/// Whether a scope of this name is one of many: only its source line tells which.
pub(crate) fn is_default(name: &str) -> bool {
    DEFAULTS.contains(&name)
}

/// The name of a node.
#[derive(Clone)]
pub(crate) enum Name {
    Given(Cow<'static, str>),
    /// The type of a task's future.
    Future(&'static str),
    /// The type of the function that a task of the blocking pool calls.
    Function(&'static str),
}

impl Name {
    pub(crate) fn of_future<F>() -> Name {
        Name::Future(std::any::type_name::<F>())
    }

    pub(crate) fn of_function<F>() -> Name {
        Name::Function(std::any::type_name::<F>())
    }

    /// The name as text. `location` is where the task was spawned.
    pub(crate) fn text(&self, location: &Location<'_>) -> Cow<'static, str> {
        match self {
            Name::Given(name) => name.clone(),
            // A function that is passed by its name has no `{{closure}}`.
            Name::Function(name) => readable(name, 0, location),
            Name::Future(name) => readable(name, 1, location),
        }
    }
}

impl Default for Name {
    fn default() -> Name {
        Name::Given(Cow::Borrowed(""))
    }
}

impl From<Cow<'static, str>> for Name {
    fn from(name: Cow<'static, str>) -> Name {
        Name::Given(name)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Given(name) => fmt::Debug::fmt(name, f),
            Name::Future(name) | Name::Function(name) => fmt::Debug::fmt(name, f),
        }
    }
}

/// The texts of many names. What several nodes are called is made once.
#[derive(Debug, Default)]
pub(crate) struct NameTexts {
    /// Most nodes are called like the one before.
    last: Option<(NameKey, Arc<str>)>,
    made: HashMap<NameKey, Arc<str>>,
}

/// What a text is made from, by its addresses: those of statics, which nothing else will have.
type NameKey = (Discriminant<Name>, *const str, *const Location<'static>);

impl NameTexts {
    /// Returns what [`Name::text`] does.
    pub(crate) fn text(&mut self, name: &Name, location: &'static Location<'static>) -> Arc<str> {
        let source: &'static str = match *name {
            Name::Given(Cow::Owned(ref own)) => return own.as_str().into(),
            Name::Given(Cow::Borrowed(text)) | Name::Future(text) | Name::Function(text) => text,
        };
        let key: NameKey = (discriminant(name), source, location);
        if let Some((last, text)) = &self.last
            && *last == key
        {
            return text.clone();
        }
        let made = self.made.entry(key);
        let text = made.or_insert_with(|| name.text(location).into());
        self.last = Some((key, text.clone()));
        text.clone()
    }
}

/// A name without the line that a block's ends in, if that is the line of `location`.
pub(crate) fn without_line<'a>(name: &'a str, location: &Location<'_>) -> &'a str {
    let short = || {
        let (path, line) = name.strip_suffix(')')?.rsplit_once(':')?;
        let short = path.strip_suffix(location.file())?.strip_suffix(" (")?;
        (line.parse() == Ok(location.line())).then_some(short)
    };
    short().unwrap_or(name)
}

/// The name of a type, as it stands in the source.
pub(crate) fn type_name<T: ?Sized>() -> String {
    in_source(std::any::type_name::<T>()).into_owned()
}

/// What a type is called whose function has `own` closures: one with more is a block of it.
fn readable(name: &'static str, own: usize, location: &Location<'_>) -> Cow<'static, str> {
    let name = unwrapped(name);
    if name.starts_with(BOXED) {
        return at_line("future", location);
    }
    let (function, closures) = split_closures(name);
    let function = in_source(function);
    if closures > own {
        at_line(&function, location)
    } else {
        function
    }
}

fn at_line(name: &str, location: &Location<'_>) -> Cow<'static, str> {
    let (file, line) = (location.file(), location.line());
    Cow::Owned(format!("{name} ({file}:{line})"))
}

/// The path before the `{{closure}}`s at its end, and their number.
fn split_closures(mut name: &str) -> (&str, usize) {
    let mut closures = 0;
    while let Some(outer) = name.strip_suffix(CLOSURE) {
        name = outer;
        closures += 1;
    }
    (name, closures)
}

/// What a wrapper wraps: the first of its type arguments that is code of the user's.
fn unwrapped(name: &'static str) -> &'static str {
    code_in(name).unwrap_or(name)
}

fn code_in(name: &'static str) -> Option<&'static str> {
    if name.ends_with(CLOSURE) || name.starts_with(BOXED) {
        return Some(name);
    }
    let (path, rest) = name.split_once('<')?;
    let (krate, _) = path.split_once("::")?;
    let mut arguments = rest.strip_suffix('>')?;
    if !WRAPPERS.contains(&krate) {
        return None;
    }
    while !arguments.is_empty() {
        let (argument, others) = arguments.split_at(end_of(arguments, ','));
        if let Some(code) = code_in(argument) {
            return Some(code);
        }
        arguments = others.trim_start_matches([',', ' ']);
    }
    None
}

/// Where `text` ends: before the first `end` outside of all brackets.
fn end_of(text: &str, end: char) -> usize {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, char) in text.char_indices() {
        match char {
            // Of an arrow.
            '>' if before == '-' => {}
            _ if char == end && depth == 0 => return at,
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = char;
    }
    text.len()
}

/// A path without what is not in the source: closures, the function of the entry macros,
/// and where an `impl` block stands.
fn in_source(path: &'static str) -> Cow<'static, str> {
    if ![CLOSURE, BODY, "::<impl "]
        .iter()
        .any(|it| path.contains(it))
    {
        return Cow::Borrowed(path);
    }
    let path = path.replace(CLOSURE, "").replace(BODY, "");
    Cow::Owned(without_impl(&path).unwrap_or(path))
}

/// `m::<impl S>::f` as `S::f`, and `m::<impl T for S>::f` as `<S as T>::f`.
fn without_impl(path: &str) -> Option<String> {
    let (module, rest) = path.split_once("::<impl ")?;
    // One among generic arguments stays.
    if module.contains('<') {
        return None;
    }
    let (of, function) = rest.split_at(end_of(rest, '>'));
    let function = function.strip_prefix('>')?;
    Some(match of.split_once(" for ") {
        Some((of_trait, implementor)) => format!("<{implementor} as {of_trait}>{function}"),
        None => format!("{of}{function}"),
    })
}
