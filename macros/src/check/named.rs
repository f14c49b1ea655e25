//! Code that is known by its name: looks it up among the rules, and reports it.
//!
//! ```text
//! use tokio::task as tasks;
//! tasks::spawn(work());                   // the key `tokio::task::spawn`
//! <tokio::task::JoinSet<_>>::new();       // `tokio::task::JoinSet::new`
//! std::process::Command::new("ls").output();   // `std::process::Command::output`
//! ```

use super::select::{begins_with_branch, token_help};
use super::{Checker, Finding};
use crate::rules::{self, CRATES, Rule};
use crate::syntax::known::names;
use crate::syntax::text::{short, text};
use quote::ToTokens;
use syn::punctuated::Punctuated;
use syn::{Expr, ExprCall, ExprMethodCall, ExprPath, Macro, Token, Type, TypePath};

/// A use of what a rule is about.
#[derive(Default)]
struct Named<'a> {
    key: String,
    /// As the user wrote it.
    name: String,
    receiver: Option<&'a Expr>,
    args: Vec<&'a Expr>,
    /// All the arguments as the user wrote them.
    input: String,
}

impl Checker<'_> {
    /// Reports a function that a rule is about, called or used as a value.
    pub(super) fn check_function(
        &mut self,
        path: &ExprPath,
        args: Option<&Punctuated<Expr, Token![,]>>,
    ) {
        let borrowed = args
            .and_then(|args| args.get(1))
            .filter(|arg| is_borrowed(arg));
        // Most paths are locals: one name alone tells nothing, if it is not imported.
        let is_bare = path.path.segments.len() < 2 && path.qself.is_none();
        if is_bare && borrowed.is_none() && !self.own.has_aliases() {
            return;
        }
        let Some(key) = self.function_key(path) else {
            return;
        };
        let with_borrowed = borrowed.and_then(|_| rules::find(&format!("{key}(&mut)")));
        let Some(rule) = with_borrowed.or_else(|| rules::find(&key)) else {
            return;
        };
        let at = match borrowed {
            Some(future) if key.starts_with("taskscope::") => future.to_token_stream(),
            _ => path.to_token_stream(),
        };
        let if_own = if_own(&key);
        let named = Named {
            key,
            name: text(path),
            args: args.into_iter().flatten().collect(),
            input: args.map_or_else(|| "…".to_owned(), short),
            ..Named::default()
        };
        let mut finding = self.finding(rule, &named);
        finding.help.extend(if_own);
        self.report(at, &finding);
    }

    /// Reports a method that a rule is about, by its name or by what its value was made with.
    pub(super) fn check_method(&mut self, call: &ExprMethodCall) {
        // A method of `self` is the user's own.
        if matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("self")) {
            return;
        }
        let method = call.method.to_string();
        let key = format!(".{method}({})", vec!["_"; call.args.len()].join(","));
        let (key, rule, name) = if let Some(rule) = rules::find(&key) {
            (key, rule, method)
        } else if let Some((key, rule)) = self.find_built(call, &method) {
            (key.clone(), rule, key)
        } else {
            return;
        };
        let named = Named {
            key,
            name,
            receiver: Some(&call.receiver),
            args: call.args.iter().collect(),
            input: short(&call.args),
        };
        let finding = self.finding(rule, &named);
        self.report(&call.method, &finding);
    }

    /// Reports a macro that a rule is about.
    pub(super) fn check_macro(&mut self, mac: &Macro) {
        let names = self.own.full_macro_names(&mac.path);
        let Some((key, rule)) = self.find_macro(mac).filter(|_| !self.is_own(&names)) else {
            return;
        };
        let named = Named {
            key,
            name: format!("{}!", text(&mac.path)),
            input: short(&mac.tokens),
            ..Named::default()
        };
        let mut finding = self.finding(rule, &named);
        if is_select(&named.key) {
            finding.help.extend(token_help(mac, &self.crate_name()));
        }
        self.report(&mac.path, &finding);
    }

    /// Reports `signal(SignalKind::terminate())`.
    pub(super) fn check_signal(&mut self, call: &ExprCall) {
        let key = self.signal_key(call);
        if let Some((key, rule)) = key.and_then(|key| rules::find(&key).map(|rule| (key, rule))) {
            let named = Named {
                key,
                name: text(call),
                ..Named::default()
            };
            let finding = self.finding(rule, &named);
            self.report(call, &finding);
        }
    }

    fn signal_key(&self, call: &ExprCall) -> Option<String> {
        let [Expr::Call(kind)] = call.args.iter().collect::<Vec<_>>()[..] else {
            return None;
        };
        let function = self.function_key(callee(call)?)?;
        let kind = self.function_key(callee(kind)?)?;
        let (_, kind) = kind.rsplit_once("SignalKind::")?;
        (last_name(&function) == "signal").then(|| format!("signal(SignalKind::{kind})"))
    }

    /// The rule that a macro falls under, and the key.
    pub(super) fn find_macro(&self, mac: &Macro) -> Option<(String, &'static Rule)> {
        let names = self.own.full_macro_names(&mac.path);
        let mut key = format!("{}!", names.join("::"));
        // A bare one may be anybody's, and an import of the same name may be a function.
        let mut selects = ["select", "select_biased"].into_iter();
        if rules::find(&key).is_none()
            && selects.any(|name| mac.path.is_ident(name))
            && begins_with_branch(&mac.tokens)
        {
            "select!(_=_=>_)".clone_into(&mut key);
        }
        rules::find(&key).map(|rule| (key, rule))
    }

    // The method at the end of a chain that begins with a function.
    fn find_built(&self, call: &ExprMethodCall, method: &str) -> Option<(String, &'static Rule)> {
        rules::find_built(&self.function_key(maker(&call.receiver)?)?, method)
    }

    // `None` for a function of the user's own.
    fn function_key(&self, path: &ExprPath) -> Option<String> {
        let names = self.function_names(path);
        let is_bare = path.path.get_ident().is_some();
        let is_declared = is_bare && self.own.has_value(names.first()?);
        let is_imported = is_bare && names.len() > 1;
        // A bare `timeout` is taken for this crate's, unless it is declared or imported.
        let mut timeouts = ["timeout", "timeout_at"].into_iter();
        let timeout = timeouts.find(|name| self.krate.has_path(&path.path, name));
        match timeout.filter(|_| !is_declared && !is_imported) {
            Some(name) => Some(format!("taskscope::{name}")),
            None => (!is_declared && !self.is_own(&names)).then(|| names.join("::")),
        }
    }

    // `tokio::task::JoinSet::new`, also of `<JoinSet<_>>::new` and `<JoinSet<_> as Default>::default`.
    fn function_names(&self, path: &ExprPath) -> Vec<String> {
        let Some(of) = &path.qself else {
            return self.own.full_names(&path.path);
        };
        let Type::Path(TypePath {
            qself: None,
            path: ty,
            ..
        }) = &*of.ty
        else {
            return Vec::new();
        };
        let mut full = self.own.full_names(ty);
        full.extend(names(&path.path).drain(of.position..));
        full
    }

    fn is_own(&self, names: &[String]) -> bool {
        names.first().is_some_and(|first| self.own.has_item(first))
    }

    fn finding(&self, rule: &Rule, named: &Named) -> Finding {
        let filled = |text| rules::fill(text, |word| self.word(word, named));
        Finding {
            check: rule.check,
            what: filled(rule.what),
            why: rule.why,
            help: filled(rule.help),
        }
    }

    // What a `$word` in the texts of a rule stands for.
    fn word(&self, word: &str, named: &Named) -> String {
        let function = last_name(&named.key);
        let arg = |index: usize| named.args.get(index).map_or_else(|| "…".to_owned(), short);
        let g = self.group.as_deref().unwrap_or("g");
        match word {
            "name" => named.name.clone(),
            "function" => function.to_owned(),
            "async_function" => function.trim_start_matches("blocking_").to_owned(),
            "sleep" if function == "timeout_at" => "sleep_until".to_owned(),
            "sleep" => "sleep".to_owned(),
            "type" => named.key.rsplit("::").nth(1).unwrap_or_default().to_owned(),
            "receiver" => named.receiver.map_or_else(String::new, short),
            "args" => named.input.clone(),
            "first" => arg(0),
            "second" => arg(1),
            "future" => awaited(named.args.last().copied()),
            "krate" => self.crate_name(),
            "g" => g.to_owned(),
            "in_group" if self.group.is_none() => format!(" in `task_group!(|{g}| {{ … }}).await`"),
            "in_local_group" if self.group.is_none() => {
                format!(" in `task_group!(local, |{g}| {{ … }}).await`")
            }
            _ => String::new(),
        }
    }
}

// The name of the function in a key.
fn last_name(key: &str) -> &str {
    let last = key.rsplit("::").next().unwrap_or(key);
    let end = last.rfind('(').unwrap_or(last.len());
    last[..end].trim_start_matches('.')
}

/// Whether a macro with this key drops all branches of which it does not take the value.
pub(super) fn is_select(key: &str) -> bool {
    key.contains("select")
}

// How a future is awaited, instead of `block_on`.
fn awaited(future: Option<&Expr>) -> String {
    match future {
        Some(future @ (Expr::Path(_) | Expr::Call(_) | Expr::MethodCall(_))) => {
            format!(": `{}.await`", short(future))
        }
        _ => ", with `.await`: this code is async already".to_owned(),
    }
}

// Whether a future belongs to someone else.
fn is_borrowed(future: &Expr) -> bool {
    match future {
        Expr::Reference(reference) => reference.mutability.is_some(),
        Expr::MethodCall(call) => call.method == "as_mut" && call.args.is_empty(),
        _ => false,
    }
}

// The function that a chain of methods begins with.
fn maker(expr: &Expr) -> Option<&ExprPath> {
    match expr {
        Expr::MethodCall(call) => maker(&call.receiver),
        Expr::Try(expr) => maker(&expr.expr),
        Expr::Paren(expr) => maker(&expr.expr),
        Expr::Call(call) => callee(call),
        _ => None,
    }
}

fn callee(call: &ExprCall) -> Option<&ExprPath> {
    match &*call.func {
        Expr::Path(function) => Some(function),
        _ => None,
    }
}

// A short path may name a module of the user's own, which can be said.
fn if_own(key: &str) -> Option<String> {
    let (first, _) = key.split_once("::")?;
    let is_short = !CRATES.contains(&first);
    is_short.then(|| format!("\n  = help: if `{first}` is your own, `self::{key}` says so"))
}
