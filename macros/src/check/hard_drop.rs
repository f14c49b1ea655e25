//! [`hard_drop`]: futures that are dropped in the middle, without their cleanup.

use super::{Call, Check, Finding};
use crate::syntax::race;
use crate::syntax::text::{short, text};
use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::{Expr, ExprMethodCall, Macro};

const WHY: &str =
    "a dropped future cannot await: its `defer!` blocks are lost, and its tasks stay behind";

/// A function that drops what it is given.
pub(super) fn check_path(path: &[&str], call: &Call) -> Option<Finding> {
    let last = path.last()?;
    if !["timeout", "timeout_at", "select_all", "select_ok"].contains(last) {
        return None;
    }
    let (name, krate) = (call.name(), call.krate);
    match path {
        ["tokio", "time", function @ ("timeout" | "timeout_at")]
        | ["time", function @ ("timeout" | "timeout_at")] => Some(Finding {
            check: Check::HardDrop,
            what: format!("`{name}` drops a late future in the middle"),
            why: WHY,
            help: timeout_help(function, call),
        }),
        [
            "futures" | "futures_util",
            "future",
            "select_all" | "select_ok",
        ]
        | ["future", "select_all" | "select_ok"] => Some(Finding {
            check: Check::HardDrop,
            what: format!("`{name}` drops the futures that lose in the middle"),
            why: WHY,
            help: format!(
                "write `{krate}::race! {{ … }}`, or spawn them in a `task_group!` and take the first \
                 result of their `TaskSet`: `tasks.next().await`"
            ),
        }),
        _ => None,
    }
}

fn timeout_help(function: &str, call: &Call) -> String {
    let krate = call.krate;
    match call.args.and_then(|args| args.get(1)) {
        Some(future) if is_lent(future) => race_help(function, call),
        _ => format!(
            "write `{krate}::{function}({})`, whose error is `Cancelled`",
            call.args()
        ),
    }
}

/// `timeout(limit, &mut future)`, of this crate.
pub(super) fn check_lent<'e>(name: &str, call: &Call<'e>) -> Option<(&'e Expr, Finding)> {
    let future = call.args?.get(1).filter(|future| is_lent(future))?;
    let finding = Finding {
        check: Check::HardDrop,
        what: format!("`{name}` on a future that is only lent to it"),
        why: "past the limit the future has been left, and whoever owns it cannot poll it again",
        help: race_help(name, call),
    };
    Some((future, finding))
}

fn race_help(function: &str, call: &Call) -> String {
    let sleep = if function == "timeout" {
        "sleep"
    } else {
        "sleep_until"
    };
    format!(
        "write `{}::race! {{ value = {} => …, () = tokio::time::{sleep}({}) => … }}`, which leaves \
         the future as it is",
        call.krate,
        call.arg(1),
        call.arg(0)
    )
}

// Whether a future belongs to someone else, as in `race!`.
fn is_lent(future: &Expr) -> bool {
    match future {
        Expr::Reference(reference) => reference.mutability.is_some(),
        Expr::MethodCall(call) => call.method == "as_mut" && call.args.is_empty(),
        _ => false,
    }
}

/// A method that drops what it is given.
pub(super) fn check_method(call: &ExprMethodCall, krate: &str) -> Option<Finding> {
    let name = call.method.to_string();
    let telling = matches!(&*name, "run_until_cancelled" | "run_until_cancelled_owned");
    let [future] = call.args.iter().collect::<Vec<_>>()[..] else {
        return None;
    };
    telling.then(|| Finding {
        check: Check::HardDrop,
        what: format!("`{name}` drops its future in the middle"),
        why: WHY,
        help: format!(
            "write `{krate}::Scope::new().cancel_when({}.cancelled()).run({}).await`, which returns \
             a `Result<_, Cancelled>` in place of an `Option`",
            short(&call.receiver),
            short(future)
        ),
    })
}

/// A macro that drops its branches.
pub(super) fn check_macro(path: &[&str], mac: &Macro, krate: &str) -> Option<Finding> {
    if is_select(path, mac) {
        let name = text(&mac.path);
        return Some(Finding {
            check: Check::HardDrop,
            what: format!("`{name}!` drops the branches that lose in the middle"),
            why: WHY,
            help: format!(
                "write `{krate}::race! {{ … }}`: {}{}",
                same_branches(&name),
                token_help(mac, krate)
            ),
        });
    }
    matches!(path, ["tokio" | "futures" | "futures_util", "try_join"]).then(|| Finding {
        check: Check::HardDrop,
        what: format!(
            "`{}!` drops the other branches in the middle when one fails",
            text(&mac.path)
        ),
        why: WHY,
        help: format!("write `{krate}::try_join!({})`", short(&mac.tokens)),
    })
}

fn same_branches(select: &str) -> &'static str {
    if select.starts_with("futures") {
        "it takes the same branches, and `else =>` for `complete =>`"
    } else {
        "it takes the same branches"
    }
}

/// What becomes of a branch that waits for a token, if there is one.
fn token_help(mac: &Macro, krate: &str) -> String {
    let futures = race::futures(mac);
    let Some(token) = futures.iter().find(|future| waits_for_token(future)) else {
        return String::new();
    };
    format!(
        "\n  = help: where the token cancels the scope (`Scope::cancel_when`), delete the branch of `{}`: the \
         cancellation reaches every await; a branch that finishes in order waits for `{krate}::stopping()`",
        short(token)
    )
}

/// `token.cancelled()`, also with more methods after it.
fn waits_for_token(future: &Expr) -> bool {
    let Expr::MethodCall(call) = future else {
        return false;
    };
    let is_cancelled = call.method == "cancelled" || call.method == "cancelled_owned";
    is_cancelled && call.args.is_empty() || waits_for_token(&call.receiver)
}

/// Whether this is the `select!` of tokio or of futures. A bare one may be anybody's:
/// theirs is known by its branches, `pattern = future => handler`.
pub(super) fn is_select(path: &[&str], mac: &Macro) -> bool {
    match path {
        ["tokio", "select"] | ["futures" | "futures_util", "select" | "select_biased"] => true,
        // An import of the same name may be a function.
        _ => ["select", "select_biased"]
            .iter()
            .any(|name| mac.path.is_ident(name) && begins_with_branch(&mac.tokens)),
    }
}

// Whether there is a `=` before the first `=>`.
fn begins_with_branch(tokens: &TokenStream) -> bool {
    let mut assigned = false;
    let mut joint = None;
    for tree in tokens.clone() {
        let TokenTree::Punct(punct) = tree else {
            joint = None;
            continue;
        };
        let (sign, before) = (punct.as_char(), joint.take());
        match (before, sign, punct.spacing()) {
            (Some('='), '>', _) => return assigned,
            (None, '=', Spacing::Alone) => assigned = true,
            _ => {}
        }
        joint = (punct.spacing() == Spacing::Joint).then_some(sign);
    }
    false
}
