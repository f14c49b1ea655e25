//! What the messages say of a run that went wrong.

use std::sync::Arc;
use std::time::Duration;

use super::point::{PointAction, TargetPoint};
use super::runs::RunReport;
use crate::observe::Tree;
use crate::poll::probe::{CodePlace, PointKind, Reached};
use crate::tree::node::Node;

/// How many of those that hang, or were cancelled, are named with their line.
const MOST_NAMED: usize = 5;

/// Says where a run hangs that began in `root`.
pub(super) fn hung(root: &Arc<Node>, patience: Duration, start_paused: bool) -> String {
    let mut text = format!("it hangs, and has not ended after {patience:.1?}");
    if start_paused {
        // The tree below counts real time.
        text += " of the paused clock";
    }
    for leaf in root.leaves(MOST_NAMED) {
        let (last, path) = (leaf.last, leaf.path);
        text += &format!("\n    last checkpoint at {last}, in `{path}`");
    }
    text += "\n    this is what runs:";
    for line in Tree::of(vec![root.clone()]).to_string().lines() {
        text += &format!("\n    {line}");
    }
    text
}

/// Says what was wrong in the run that tried `target`, which was one of `points`.
pub(super) fn wrong_at(target: TargetPoint, points: usize, attempt: &RunReport) -> String {
    let number = target.number;
    let mut text = format!("cancel_everywhere: wrong at point {number} of {points}\n");
    if let Some(reached) = &attempt.reached {
        text += &where_reached(target.action, reached);
    }
    for wrong in &attempt.wrong {
        text += &format!("  {wrong}\n");
    }
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    text + &format!("  only this one: {target} cargo test {test}")
}

fn where_reached(action: PointAction, reached: &Reached) -> String {
    let done = action.words().1;
    let CodePlace { location, path } = &reached.place;
    let mut text = match reached.kind {
        PointKind::Checkpoint => {
            format!("  {done} at the checkpoint at {location}, in `{path}`\n")
        }
        // One task of several, so that its line may be none of the code in question.
        PointKind::Suspension => {
            format!("  {done} while `{path}` waited after the checkpoint at {location}\n")
        }
    };
    let others = reached.others.iter();
    let others = others.filter(|_| action == PointAction::Cancel);
    for CodePlace { location, path } in others.take(MOST_NAMED) {
        text += &format!("  also unwound at {location}, in `{path}`\n");
    }
    if let Some(refused) = reached.refused_at {
        text += &format!("  it went on, and was unwound at the checkpoint at {refused}\n");
    }
    text
}
