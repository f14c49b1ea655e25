//! What is to be said about a `select!` besides its rule.

use crate::syntax::race;
use crate::syntax::text::short;
use proc_macro2::{Spacing, TokenStream, TokenTree};
use syn::{Expr, Macro};

/// What becomes of a branch that waits for a token, if there is one.
pub(super) fn token_help(mac: &Macro, krate: &str) -> Option<String> {
    let futures = race::futures(mac);
    let token = futures.iter().find(|future| waits_for_token(future))?;
    Some(format!(
        "\n  = help: where the token cancels the scope (`Scope::cancel_when`), delete the branch of `{}`: the \
         cancellation reaches every await; a branch that finishes in order waits for `{krate}::stopping()`",
        short(token)
    ))
}

/// `token.cancelled()`, also with more methods after it.
fn waits_for_token(future: &Expr) -> bool {
    let Expr::MethodCall(call) = future else {
        return false;
    };
    let is_cancelled = call.method == "cancelled" || call.method == "cancelled_owned";
    is_cancelled && call.args.is_empty() || waits_for_token(&call.receiver)
}

/// Whether there is a `=` before the first `=>`, as in `pattern = future => handler`.
pub(super) fn begins_with_branch(tokens: &TokenStream) -> bool {
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
