//! What [`tree`](super::tree) finds.

use std::borrow::Cow;
use std::hash::Hash;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::Moment;
use crate::notes::names::{NameTexts, without_line};
use crate::tree::node::{Inner, Node, flag};
use crate::tree::table;

/// The scopes and tasks of the process at one moment; made by
/// [`tree`](crate::observe::tree()), which shows how it is printed.
///
/// The entries are in the order of a walk through the tree, each before what is
/// below it, with its [`depth`](Entry::depth) and [`parent`](Entry::parent).
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use taskscope::{Scope, observe::tree};
/// let seen = Scope::new().name("import").run(async { tree() }).await.unwrap();
/// for entry in seen.entries() {
///     println!("{:indent$}{}", "", entry.name(), indent = 2 * entry.depth());
/// }
/// assert!(seen.to_mermaid().starts_with("flowchart TD"));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Tree {
    pub(super) entries: Vec<Entry>,
}

/// A scope or a task in a [`Tree`].
///
/// With feature `serde` it is a map of what the methods return; durations are
/// seconds, locations are `file:line`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// use std::time::Duration;
/// use taskscope::observe::{Entry, Kind, State};
/// use taskscope::tree;
///
/// /// Whether a task has been unwinding for long.
/// fn is_late(entry: &Entry) -> bool {
///     entry.kind() == Kind::Task
///         && entry.state() == State::Cancelling
///         && entry.cancelled_for() > Some(Duration::from_secs(5))
/// }
///
/// for entry in tree().entries().filter(|entry| is_late(entry)) {
///     println!("`{}` ({})", entry.name(), entry.location());
///     println!("  cancelled: {}", entry.reason().unwrap_or("for no known reason"));
///     if let Some(at) = entry.last_checkpoint() {
///         println!("  last checkpoint at {at}");
///     }
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Entry {
    #[cfg_attr(feature = "serde", serde(serialize_with = "text"))]
    pub(super) name: Arc<str>,
    pub(super) kind: Kind,
    pub(super) service: bool,
    pub(super) shielded: bool,
    pub(super) body_ended: bool,
    pub(super) state: State,
    pub(super) depth: usize,
    pub(super) parent: Option<usize>,
    #[cfg_attr(feature = "serde", serde(serialize_with = "seconds"))]
    pub(super) age: Duration,
    #[cfg_attr(feature = "serde", serde(serialize_with = "line"))]
    pub(super) location: &'static Location<'static>,
    #[cfg_attr(feature = "serde", serde(serialize_with = "maybe_line"))]
    pub(super) last_checkpoint: Option<&'static Location<'static>>,
    #[cfg_attr(feature = "serde", serde(serialize_with = "maybe_seconds"))]
    pub(super) stopping_for: Option<Duration>,
    pub(super) reason: Option<Cow<'static, str>>,
    #[cfg_attr(feature = "serde", serde(serialize_with = "maybe_seconds"))]
    pub(super) cancelled_for: Option<Duration>,
    pub(super) held: Vec<Held>,
}

/// What an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum Kind {
    /// A scope, a timeout or a group: part of the task that polls it.
    Scope,
    /// A task of a group.
    Task,
    /// A closure on the blocking pool.
    Blocking,
}

/// How far an [`Entry`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "lowercase")
)]
#[non_exhaustive]
pub enum State {
    /// Waits for a place under its group's limit.
    Queued,
    /// Has not been polled yet.
    Pending,
    /// Runs or waits.
    Running,
    /// Was asked to finish.
    Stopping,
    /// Is cancelled and unwinds.
    Cancelling,
    /// Its grace period is over, and it has not ended yet.
    Aborting,
}

/// Code inside an [`Entry`] that has to unwind when it is cancelled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// # use taskscope::{Scope, cancellable, defer, observe::tree};
/// #[cancellable]
/// async fn guarded() -> taskscope::observe::Tree {
///     defer! { println!("bye"); }
///     tree()
/// }
/// let seen = Scope::new().name("import").run(guarded()).await.unwrap();
/// let entry = seen.entries().find(|entry| entry.name() == "import").unwrap();
/// let held = &entry.held()[0];
/// assert_eq!(held.what(), "`defer!`");
/// assert_eq!(held.location().unwrap().file(), file!());
/// assert!(!held.is_running());
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Held {
    what: &'static str,
    #[cfg_attr(feature = "serde", serde(serialize_with = "maybe_line"))]
    location: Option<&'static Location<'static>>,
    running: bool,
}

impl Tree {
    /// Returns all entries, each before what is below it.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Returns how many scopes and tasks there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns whether there is no scope and no task.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Copies what is below these nodes and in no other tree.
    pub(crate) fn of(roots: Vec<Arc<Node>>) -> Tree {
        let mut tree = Tree::default();
        let (now, mut names) = (Moment::now(), NameTexts::default());
        let roots = roots
            .into_iter()
            .filter(|node| node.with_link(|_| ()).is_none());
        let mut stack: Vec<_> = oldest_last(roots.collect())
            .into_iter()
            .map(|node| (node, None))
            .collect();
        while let Some((node, parent)) = stack.pop() {
            let below = oldest_last(node.children());
            // A scope that has ended may still be held by its handle.
            if node.flags() & flag::CLOSED != 0 && below.is_empty() {
                continue;
            }
            let here = tree.entries.len();
            let depth = parent.map_or(0, |parent: usize| tree.entries[parent].depth + 1);
            let mut entry = Entry::of(&node, depth, parent, now, &mut names);
            if node.flags() & flag::STOPPING != 0 {
                // Noted where the request began; below, it counts from there or from birth.
                let above = parent.and_then(|parent| tree.entries[parent].stopping_for);
                let inherited = above.map(|above| above.min(entry.age));
                entry.stopping_for = entry.stopping_for.or(inherited);
            }
            tree.entries.push(entry);
            stack.extend(below.into_iter().map(|child| (child, Some(here))));
        }
        tree
    }
}

fn oldest_last(mut nodes: Vec<Arc<Node>>) -> Vec<Arc<Node>> {
    // Slots are filled again, so that their order is not that of birth. The
    // clock is coarse: of those made at once, the first slot is the oldest.
    nodes.reverse();
    nodes.sort_by_key(|node| std::cmp::Reverse(node.born()));
    nodes
}

impl Entry {
    fn of(
        node: &Arc<Node>,
        depth: usize,
        parent: Option<usize>,
        now: Moment,
        names: &mut NameTexts,
    ) -> Entry {
        let flags = node.flags_acquire();
        let kind = match flags {
            _ if flags & flag::TASK != 0 => Kind::Task,
            _ if flags & flag::BLOCKING != 0 => Kind::Blocking,
            _ => Kind::Scope,
        };
        let inner = node.lock();
        let origin = inner.origin.clone();
        let name = names.text(&inner.name, node.location());
        let held = held_in(&inner);
        let stopped_at = inner.stopped_at();
        drop(inner);
        Entry {
            name,
            kind,
            service: flags & flag::BACKGROUND != 0,
            shielded: flags & flag::SHIELDED != 0,
            body_ended: flags & flag::BODY_ENDED != 0,
            state: State::of(kind, flags),
            depth,
            parent,
            age: now.since(node.born()),
            location: node.location(),
            last_checkpoint: node.last_checkpoint(),
            stopping_for: stopped_at.map(|at| now.since(at)),
            reason: origin.as_ref().map(|origin| origin.reason.text()),
            cancelled_for: origin.as_ref().map(|origin| now.since(origin.at)),
            held,
        }
    }

    /// Returns what is shown of it, but for its name, its ages, what it holds and what is below it.
    pub(super) fn looks(&self) -> impl Hash + Eq {
        (
            (self.kind, self.state, &self.reason),
            (self.service, self.shielded, self.body_ended),
            (self.location, self.last_checkpoint),
        )
    }

    /// The name, without the line that the name of an async block ends in.
    pub(super) fn short_name(&self) -> &str {
        without_line(&self.name, self.location)
    }

    /// Whether the name ends in the line of the location.
    pub(super) fn name_has_line(&self) -> bool {
        self.short_name().len() < self.name.len()
    }

    /// Returns the name. That of an async block is made of the function around it and the line
    /// that spawned it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether it is a scope or a task.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether it is a [service](crate::Group::service) of its group: a task that the group
    /// does not wait for, but cancels when all others have ended.
    pub fn is_service(&self) -> bool {
        self.service
    }

    /// Returns whether it is a [shielded task](crate::Group::spawn_shielded), which the
    /// cancellation of its group does not reach.
    pub fn is_shielded(&self) -> bool {
        self.shielded
    }

    /// Returns whether its body has ended, so that it only waits for what is below it: a group for
    /// its tasks, other than services.
    pub fn body_ended(&self) -> bool {
        self.body_ended
    }

    /// Returns how far it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns how many scopes and tasks enclose it.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Returns the index, in the order of [`Tree::entries`], of the entry that encloses it.
    pub fn parent(&self) -> Option<usize> {
        self.parent
    }

    /// Returns how long ago it was made, to a few milliseconds.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// Returns the source line where it was made or spawned.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Returns the source line of the last checkpoint that it passed.
    pub fn last_checkpoint(&self) -> Option<&'static Location<'static>> {
        self.last_checkpoint
    }

    /// Returns how long ago it was asked to stop, if it was: by
    /// [`CancelHandle::stop`](crate::CancelHandle::stop) or a signal, itself or a scope
    /// around it. Real time, to a few milliseconds. For what began inside a scope that was
    /// stopping already, its age.
    pub fn stopping_for(&self) -> Option<Duration> {
        self.stopping_for
    }

    /// For how long it has been stopping, or else its age.
    pub(super) fn shown_for(&self) -> Duration {
        let stopping = self.state == State::Stopping;
        let stopping_for = self.stopping_for.filter(|_| stopping);
        stopping_for.unwrap_or(self.age)
    }

    /// Returns why it was cancelled, if it was.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Returns how long ago the cancellation that reached it began.
    pub fn cancelled_for(&self) -> Option<Duration> {
        self.cancelled_for
    }

    /// Returns the code in it that has to unwind, the innermost first; see [`Held`].
    ///
    /// From the outside, a `defer!` that code has armed is seen once that code waits.
    pub fn held(&self) -> &[Held] {
        &self.held
    }
}

impl State {
    fn of(kind: Kind, flags: u32) -> State {
        let not_begun = kind != Kind::Scope && flags & flag::STARTED == 0;
        match flags {
            _ if flags & flag::ABORTED != 0 => State::Aborting,
            _ if flags & flag::CANCELLED != 0 => State::Cancelling,
            _ if not_begun && flags & flag::QUEUED != 0 => State::Queued,
            _ if not_begun => State::Pending,
            _ if flags & flag::STOPPING != 0 => State::Stopping,
            _ => State::Running,
        }
    }

    pub(super) fn is_cancelled(self) -> bool {
        matches!(self, State::Cancelling | State::Aborting)
    }

    /// In one word.
    pub(super) fn word(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Pending => "pending",
            State::Running => "running",
            State::Stopping => "stopping",
            State::Cancelling => "cancelling",
            State::Aborting => "aborting",
        }
    }
}

impl Held {
    pub(super) fn looks(&self) -> impl Hash + Eq {
        (self.what, self.location, self.running)
    }

    /// Returns what it is: `` `defer!` ``, `` `shield` ``, …
    pub fn what(&self) -> &'static str {
        self.what
    }

    /// Returns the source line where it is written.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// Returns whether the cleanup itself is known to run; false while the code that it
    /// guards does. It is not known before the code is cancelled.
    pub fn is_running(&self) -> bool {
        self.running
    }
}

pub(crate) fn held_in(inner: &Inner) -> Vec<Held> {
    let held = inner.held().into_iter();
    held.map(|held: table::HeldRegion| Held {
        what: held.kind.name(),
        location: held.location,
        running: held.cleaning,
    })
    .collect()
}

/// Returns the cleanup that is under way, otherwise the code that has to unwind first; and the
/// preposition that says where that finds the code which is cancelled.
pub(super) fn next_to_unwind(held: &[Held]) -> Option<(&'static str, &Held)> {
    let next = held.iter().find(|held| held.running).or(held.first())?;
    let preposition = match (next.running, next.what) {
        (_, "`shield`") => "in",
        (true, _) => "in the cleanup of",
        (false, _) => "before",
    };
    Some((preposition, next))
}

#[cfg(feature = "serde")]
mod as_text {
    use super::{Arc, Duration, Location};

    use serde::Serializer;

    type Line = &'static Location<'static>;

    pub(super) fn text<S: Serializer>(text: &Arc<str>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn line<S: Serializer>(line: &Line, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{}:{}", line.file(), line.line()))
    }

    pub(super) fn maybe_line<S: Serializer>(
        maybe: &Option<Line>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match maybe {
            Some(at) => line(at, to),
            None => to.serialize_none(),
        }
    }

    pub(super) fn seconds<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(duration.as_secs_f64())
    }

    pub(super) fn maybe_seconds<S: Serializer>(
        maybe: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match maybe {
            Some(duration) => seconds(duration, to),
            None => to.serialize_none(),
        }
    }
}

#[cfg(feature = "serde")]
use as_text::{line, maybe_line, maybe_seconds, seconds, text};
