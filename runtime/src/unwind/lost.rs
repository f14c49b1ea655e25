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
    let by = dropped_by();
    let message = format!("lost cleanup: {what} was dropped before it had run to its end{by}");
    report::report(ReportKind::LostCleanup, &scope, message, location);
}

/// What is known of the code that drops something here.
fn dropped_by() -> String {
    let panicking = if std::thread::panicking() {
        ", while a panic unwound"
    } else {
        ""
    };
    let by = context::ambient().map(|(node, _)| {
        let (name, last) = (node.name(), node.last_location());
        format!(", by code in `{name}` (last checkpoint at {last})")
    });
    format!("{panicking}{}", by.unwrap_or_default())
}
