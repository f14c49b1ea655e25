//! `#[cancellable(send)]`: what it can be put on.

use crate::diag::{Diag, Mistake};
use proc_macro2::Span;
use syn::Signature;

/// Reports `send` where there is no async function to apply it to.
pub(crate) fn check_send(sig: &Signature, diag: &mut Diag) -> bool {
    if sig.asyncness.is_none() {
        let mistake = Mistake {
            what: "`send` on a function that is not async",
            why: "it turns an `async fn` into one that names its future, with `Send`",
            help: "remove `send`, or write `async fn`",
        };
        diag.report(sig.fn_token.span, &mistake);
    }
    sig.asyncness.is_some()
}

/// Reports `send` on a trait or an impl whose futures are boxed.
pub(crate) fn refuse_boxed(span: Span, diag: &mut Diag) {
    let mistake = Mistake {
        what: "`send` beside `#[async_trait]`",
        why: "the futures of an `async_trait` are `Send` as it is",
        help: "remove `send`",
    };
    diag.report(span, &mistake);
}
