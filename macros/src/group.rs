//! `task_group!`: parse, rewrite, emit.

use crate::diag::Diag;
use crate::rewrite::group::GroupCall;
use crate::rewrite::{CodeKind, CodeScope, Rewriter};
use crate::syntax::editor::beside_errors;
use crate::syntax::options::Options;
use crate::syntax::own::Own;
use crate::syntax::witness;
use crate::syntax::written::restore_groups;
use proc_macro2::TokenStream;

/// The expression that builds and runs the group, with the errors found in it.
pub(crate) fn task_group(tokens: TokenStream) -> TokenStream {
    if let Some(rest) = witness::accept("task_group", &tokens) {
        return rest;
    }
    let (mut diag, options) = (Diag::default(), Options::default());
    let call = GroupCall::parse(tokens.clone(), &mut diag);
    let krate = call.krate();
    let scope = CodeScope::new(CodeKind::Async, None);
    let mut rewriter = Rewriter::new(&krate, &mut diag, &options, Own::default(), scope);
    beside_errors(restore_groups(tokens, rewriter.group(call)), diag)
}
