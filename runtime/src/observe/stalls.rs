//! Reports threads that an executor inside a poll blocks forever; see [`stall`](crate::poll::stall).

use std::sync::Weak;

use super::watchdog::late;
use crate::base::aside::Aside;
use crate::base::clock::Moment;
use crate::notes::report::{self, ReportKind};
use crate::poll::stall::StallWatch;
use crate::tree::node::{Node, flag};

/// Reports what `watch` collects, until the future is dropped.
pub(crate) async fn report_stalls(watch: StallWatch) {
    let mut aside = Aside::new("taskscope-print");
    loop {
        let (stalled, next) = watch.look();
        for node in stalled {
            aside.run(move || report_stalled(&node));
        }
        let more = watch.more();
        match next {
            Some(next) => drop(tokio::time::timeout_at(next.into(), more).await),
            None => more.await,
        }
    }
}

fn report_stalled(node: &Weak<Node>) {
    let Some(node) = node.upgrade() else { return };
    let Some(origin) = node.origin() else { return };
    // A watchdog may have reported it.
    if node.set(flag::LATE) & flag::LATE != 0 {
        return;
    }
    let since = Moment::now().since(origin.at);
    let message = format!(
        "{}, and its thread has been in the same poll since: `futures::executor::block_on` or \
         `Handle::block_on` in a plain function or a `Drop` waits there forever; use \
         `taskscope::block_on` in `block_in_place`; last checkpoint",
        late(since, Some(origin.reason.text())),
    );
    let at = node.last_location();
    report::report(ReportKind::Late, &node.path(), message, at);
}
