//! [detached]: tasks that outlive the function.

use super::{Call, Check, Finding};

/// What takes the place of a function that detaches.
enum Instead {
    /// Another task of the group.
    Spawn,
    /// One that need not be `Send`.
    SpawnLocal,
    SpawnBlocking,
    /// The group itself.
    Group,
}

/// A path that starts a task or a thread of nobody's.
pub(super) fn check(path: &[&str], call: &Call, group: Option<&str>) -> Option<Finding> {
    let instead = Instead::of(path)?;
    let name = call.name();
    let what = match instead {
        Instead::Spawn | Instead::SpawnLocal | Instead::SpawnBlocking => {
            format!("`{name}` starts work that may outlive this function")
        }
        Instead::Group => {
            format!("`{name}` makes a set of tasks that this function may leave behind")
        }
    };
    let why = match instead {
        Instead::Group => {
            "a set that is dropped aborts its tasks without their cleanup, or lets them go on, and \
             waits for none"
        }
        _ => "a cancellation of this function neither reaches it nor waits for it",
    };
    Some(Finding {
        check: Check::Detached,
        what,
        why,
        help: instead.help(call, group),
    })
}

impl Instead {
    fn of(path: &[&str]) -> Option<Self> {
        Some(match path {
            ["tokio" | "smol", "spawn"]
            | ["tokio" | "async_std", "task", "spawn"]
            | ["task", "spawn"] => Self::Spawn,
            ["tokio" | "async_std", "task", "spawn_local"] | ["task", "spawn_local"] => {
                Self::SpawnLocal
            }
            ["tokio" | "async_std", "task", "spawn_blocking"]
            | ["task", "spawn_blocking"]
            | ["smol", "unblock"]
            | ["std", "thread", "spawn"]
            | ["thread", "spawn"] => Self::SpawnBlocking,
            ["tokio", "task", "JoinSet", "new" | "default"]
            | [
                "tokio_util",
                "task",
                "JoinMap" | "TaskTracker",
                "new" | "default",
            ]
            | [
                "task",
                "JoinSet" | "JoinMap" | "TaskTracker",
                "new" | "default",
            ]
            | ["JoinSet" | "JoinMap" | "TaskTracker", "new" | "default"] => Self::Group,
            _ => return None,
        })
    }

    fn help(&self, call: &Call, group: Option<&str>) -> String {
        let (args, krate) = (call.args(), call.krate);
        let g = group.unwrap_or("g");
        let inside = if group.is_some() {
            String::new()
        } else if matches!(self, Self::SpawnLocal) {
            format!(" in `task_group!(local, |{g}| {{ … }}).await`")
        } else {
            format!(" in `task_group!(|{g}| {{ … }}).await`")
        };
        match self {
            Self::Spawn => format!(
                "write `{g}.spawn({args})`{inside}, or `{g}.spawn_scoped({args})` if it borrows"
            ),
            Self::SpawnLocal => format!("write `{g}.spawn_local({args})`{inside}"),
            Self::SpawnBlocking => format!(
                "write `{g}.spawn_blocking({args})`{inside}, or `{krate}::blocking({args}).await` \
                 to wait for it here"
            ),
            Self::Group => format!(
                "write `{g}.spawn(…)`{inside}; a `TaskSet` of the handles gives the results as they come"
            ),
        }
    }
}
