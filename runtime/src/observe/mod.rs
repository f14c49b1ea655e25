//! Seeing what runs: [`tree`] takes a picture, a [`Watchdog`] names what is
//! stuck, [`stats`] counts, and a hook ([`set_report_hook`]) receives what no return value says.
//!
//! The picture and the watchdog cost nothing while they are not used, except that each scope and
//! task notes when it was made (some 10 ns) and the line of its last checkpoint, and each
//! thread what it polls.

mod display;
mod layout;
mod picture;
mod snapshot;
#[cfg(feature = "shutdown")]
pub(crate) mod stalls;
mod watchdog;

pub use crate::notes::report::{Report, ReportKind, set_report_hook};
pub use crate::notes::stats::{Stats, stats};
pub use snapshot::{Entry, Held, Kind, State, Tree};
pub use watchdog::Watchdog;

/// A snapshot of all scopes and tasks of the process that have not ended.
///
/// Printed, it is a tree, with equal siblings folded:
///
/// ```text
/// main  running 12.3 s  src/main.rs:10, at src/main.rs:14
/// └─ serve  running 12.3 s  src/serve.rs:20, at src/serve.rs:24
///    ├─ serve::echo × 9998  running 40 ms – 12.1 s  src/serve.rs:25, at src/echo.rs:9
///    └─ serve::flush  cancelling (deadline passed) 3.0 s  src/serve.rs:22, at src/db.rs:31
///         in the cleanup of `defer!` at src/db.rs:28, then 1 more
/// ```
///
/// Siblings fold into one line when all that is printed of them is equal, but for their ages and
/// the numbers in their names. Where the names differ, each number is printed as `#`: the tasks
/// `http://10.0.0.1` and `http://10.0.0.2` are `http://#.#.#.# × 2`.
/// [`Entry::name`] has the name as it is.
///
/// The name is followed by the state and a time: how long ago it was cancelled or asked to
/// stop, otherwise its age; then where it was made, and the last checkpoint it passed. A
/// service of a group is marked, `service, running 3.0 s`, and so is a shielded task,
/// `shielded, running 3.0 s`. A group or scope whose body has ended is
/// followed by what it waits for:
///
/// ```text
/// connection  running 3.0 s  src/chat.rs:20
///     body ended, waiting for `writer`
/// ├─ writer  running 3.0 s  src/chat.rs:23, at src/chat.rs:41
/// └─ heartbeat  service, running 3.0 s  src/chat.rs:25, at src/chat.rs:52
/// ```
///
/// A `timeout`, a scope without a name, a `join!` or a `race!` is shown once something inside is:
/// a cleanup, a group, code that waits for the scope to stop. Until then its line is the last
/// checkpoint of the task.
///
/// Each scope and task is locked for a moment to be copied, one after the other,
/// so that no task is held up; what happens meanwhile may be seen or not.
/// `SIGUSR1` prints it in a program with [`#[taskscope::main]`](macro@crate::main)
/// or a `Shutdown`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use taskscope::{Scope, observe::tree};
///
/// let seen = Scope::new().name("import").run(async { tree() }).await.unwrap();
/// let import = seen.entries().find(|entry| entry.name() == "import").unwrap();
/// assert_eq!(import.location().file(), file!());
/// println!("{seen}");
/// # }
/// ```
pub fn tree() -> Tree {
    crate::poll::context::open_regions();
    Tree::of(crate::tree::roots::all())
}
