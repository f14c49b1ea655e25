//! What has not ended, for reports.

use std::panic::Location;
use std::sync::Arc;

use super::Node;

/// Something that has not ended, and has nothing below it.
#[derive(Debug)]
pub(crate) struct Leaf {
    /// The names from the root on, separated by ` > `.
    pub(crate) path: String,
    pub(crate) location: &'static Location<'static>,
    /// Where the last checkpoint was passed.
    pub(crate) last: &'static Location<'static>,
}

impl Node {
    /// The innermost of what has not ended, this node itself if it is alone.
    pub(crate) fn leaves(self: &Arc<Self>, most: usize) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        let mut stack = vec![(self.clone(), String::new())];
        while let Some((node, above)) = stack.pop() {
            let inner = node.lock();
            let path = format!("{above}{}", node.name_in(&inner));
            let before = stack.len();
            let children = inner.children().map(|child| child.node.clone());
            stack.extend(children.map(|child| (child, format!("{path} > "))));
            drop(inner);
            if stack.len() == before {
                leaves.push(Leaf {
                    path,
                    location: node.location,
                    last: node.last_location(),
                });
            }
            if leaves.len() == most {
                break;
            }
        }
        leaves
    }

    /// The same without this node.
    pub(crate) fn leaves_below(self: &Arc<Self>, most: usize) -> Vec<Leaf> {
        if self.is_childless() {
            Vec::new()
        } else {
            self.leaves(most)
        }
    }
}
