//! Cleanups that are lost: a future was dropped from outside, and nothing can await what it
//! had still to run.

use std::panic::Location;
use std::sync::Arc;

use crate::notes::report::{self, ReportKind};
use crate::poll::context;
use crate::tree::node::Node;

/// Reports that `what` was dropped before it had run to its end. `node` is what it ran in.
pub(crate) fn report_lost(
    what: &str,
    node: Option<&Arc<Node>>,
    location: &'static Location<'static>,
) {
    let scope = node.map(|node| node.name()).unwrap_or_default();
    let message = format!("lost cleanup: {what} was dropped before it had run to its end");
    let by = dropped_by(node);
    report::report_and(ReportKind::LostCleanup, &scope, message, by, location);
}

/// What is known of the code that drops something of `node` here.
fn dropped_by(node: Option<&Arc<Node>>) -> Option<String> {
    let panicking = std::thread::panicking();
    let by = context::ambient().map(|(here, _)| {
        let is_own = node.is_some_and(|node| Arc::ptr_eq(node, &here));
        let code = match is_own {
            true => "by its own code".to_owned(),
            false => format!("by code in `{}`", here.name()),
        };
        match here.last_checkpoint() {
            Some(last) => format!("{code} after the checkpoint at {last}"),
            None => code,
        }
    });
    match (by, panicking) {
        (Some(by), true) => Some(format!("dropped {by}, while a panic unwound")),
        (Some(by), false) => Some(format!("dropped {by}")),
        (None, true) => Some("dropped while a panic unwound".to_owned()),
        (None, false) => None,
    }
}
