//! A thread that names what is stuck.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ptr;
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use super::display::ShortDuration;
use super::snapshot::{held_in, next_to_unwind};
use crate::base::aside::{self, ThreadEnd};
use crate::base::caught::contain;
use crate::base::clock::Moment;
use crate::notes::report::{self, ReportKind};
use crate::poll::beat::{self, Look, Poller};
use crate::tree::mailbox::Mailbox;
use crate::tree::node::{Node, flag};
use crate::tree::roots;

/// How many are named at once.
const MOST_NAMED: usize = 20;

/// How long dropping a watchdog waits for a report that is being delivered.
const LINGER: Duration = Duration::from_millis(250);

/// A thread that reports what is stuck:
///
/// - a task that has been polled for this long without a checkpoint: a loop that
///   computes, or a call that blocks the thread of the executor
///   ([`ReportKind::Busy`]). Both stop whatever else the thread has to run;
/// - what still runs this long after it was cancelled
///   ([`ReportKind::Late`]): with the cleanup that it is in.
///
/// Each is reported once, by the first watchdog that sees it, with the path of names, and the file and line of the
/// last checkpoint: what the code awaits, or has called from there. It watches
/// until it is dropped. The drop waits a moment for a report that is being delivered. `Shutdown` and [`#[taskscope::main]`](macro@crate::main)
/// start one, see their option `stuck_after`.
///
/// It looks a few times within `stuck_after`, so that a report comes up to half
/// as late again. Work on the blocking pool may take as long as it likes, until
/// it is cancelled.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// use std::time::Duration;
/// use taskscope::observe::Watchdog;
///
/// let _watchdog = Watchdog::start(Duration::from_secs(2))?;
/// // ... what is watched
/// # Ok(())
/// # }
/// ```
#[must_use = "a watchdog stops when it is dropped"]
pub struct Watchdog {
    /// Dropped to tell the thread.
    running: Option<mpsc::Sender<()>>,
    ended: ThreadEnd,
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").finish_non_exhaustive()
    }
}

impl Watchdog {
    /// Starts a thread that watches until the watchdog is dropped.
    ///
    /// # Errors
    ///
    /// When the system starts no more threads.
    pub fn start(stuck_after: Duration) -> io::Result<Watchdog> {
        let (running, told) = mpsc::channel();
        let mut watch = WatchdogLoop::new(stuck_after, Mailbox::open());
        let ended = aside::spawn("taskscope-watchdog", move || watch.run(&told))?;
        Ok(Watchdog {
            running: Some(running),
            ended,
        })
    }

    /// Stops the watchdog, and waits at most until `due` for a report that it makes.
    fn stop_by(&mut self, due: Instant) {
        drop(self.running.take());
        self.ended.wait(due);
    }

    /// Stops the watchdog by `due`.
    #[cfg(feature = "shutdown")]
    pub(crate) fn stop(mut self, due: Instant) {
        self.stop_by(due);
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // It may be inside a hook that blocks, or in a write to a full pipe.
        if self.running.is_some() {
            self.stop_by(Instant::now() + LINGER);
        }
    }
}

/// What one thread does, and since when at least.
struct Polling {
    look: Look,
    since: Instant,
    reported: bool,
}

/// The thread's state.
struct WatchdogLoop {
    stuck_after: Duration,
    mailbox: Mailbox,
    threads: HashMap<usize, Polling>,
    cancelled: Vec<Weak<Node>>,
}

impl WatchdogLoop {
    fn new(stuck_after: Duration, mailbox: Mailbox) -> WatchdogLoop {
        WatchdogLoop {
            stuck_after,
            mailbox,
            threads: HashMap::new(),
            cancelled: Vec::new(),
        }
    }

    fn run(&mut self, ended: &mpsc::Receiver<()>) {
        let pause = (self.stuck_after / 4).clamp(Duration::from_millis(5), Duration::from_secs(1));
        while ended.recv_timeout(pause) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Looking runs user code: the `Display` of a reason, the `Drop` of a payload.
            contain(|| self.look_at_threads());
            contain(|| self.look_at_cancelled());
        }
    }

    fn look_at_threads(&mut self) {
        let now = Instant::now();
        let looks = beat::list().look_at_all();
        self.threads
            .retain(|key, _| looks.iter().any(|(listed, _)| listed == key));
        for (key, look) in looks {
            let fresh = || Polling {
                look,
                since: now,
                reported: false,
            };
            let polling = self.threads.entry(key).or_insert_with(fresh);
            if polling.look != look {
                *polling = fresh();
            }
            let stuck = now.duration_since(polling.since);
            if look.is_polling() && !polling.reported && stuck >= self.stuck_after {
                polling.reported = true;
                report_busy(key, look, stuck);
            }
        }
    }

    fn look_at_cancelled(&mut self) {
        let posted = self.mailbox.take();
        self.cancelled.extend(posted.nodes);
        if posted.is_incomplete {
            self.cancelled.extend(cancelled_in_all());
        }
        let mut named = 0;
        let stuck_after = self.stuck_after;
        self.cancelled.retain(|node| {
            let Some(node) = node.upgrade() else {
                return false;
            };
            let Some(since) = unwinding_for(&node) else {
                return false;
            };
            if since < stuck_after || named >= MOST_NAMED {
                return true;
            }
            named += report_late(&node, since, MOST_NAMED - named);
            true
        });
    }
}

/// How long a node is being left; `None` once it is gone.
fn unwinding_for(node: &Node) -> Option<Duration> {
    let gone = node.flags_acquire() & flag::CLOSED != 0 && node.is_childless();
    let origin = node.origin().filter(|_| !gone)?;
    Some(Moment::now().since(origin.at))
}

/// The topmost cancelled nodes of all trees.
fn cancelled_in_all() -> Vec<Weak<Node>> {
    let mut found = Vec::new();
    let mut stack = roots::all();
    while let Some(node) = stack.pop() {
        if node.flags() & flag::CANCELLED != 0 {
            found.push(Arc::downgrade(&node));
        } else {
            stack.extend(node.children());
        }
    }
    found
}

/// The node whose pulse is at this address.
fn find(address: usize) -> Option<Arc<Node>> {
    let mut stack = roots::all();
    while let Some(node) = stack.pop() {
        if ptr::from_ref(&node.pulse).addr() == address {
            return Some(node);
        }
        stack.extend(node.children());
    }
    None
}

fn report_busy(key: usize, look: Look, stuck: Duration) {
    let found = find(look.pulse);
    // If the thread is still in the same poll, what was found is what it polls.
    let Some(poller) = beat::list().claim(key, look) else {
        return;
    };
    let Some(node) = found else { return };
    let message = format!(
        "busy: one poll has kept the thread `{}` for {} without a checkpoint; {}; \
         last checkpoint",
        poller.name,
        ShortDuration(stuck),
        advice(&poller),
    );
    report::report(
        ReportKind::Busy,
        &node.path(),
        message,
        node.last_location(),
    );
}

fn advice(poller: &Poller) -> &'static str {
    match poller.computes() {
        Some(true) => "it computes: put `#[checkpoint]` on the loop, or use `spawn_blocking`",
        Some(false) => "it is blocked in a call: use the async form, or `spawn_blocking`",
        None => {
            "put `#[checkpoint]` on a loop; use the async form of a blocking call, or `spawn_blocking`"
        }
    }
}

/// Reports what is innermost below a node, each once; gives how many.
fn report_late(cancelled: &Arc<Node>, since: Duration, most: usize) -> usize {
    let mut named = 0;
    let mut stack = vec![cancelled.clone()];
    while let Some(node) = stack.pop()
        && named < most
    {
        let below = node.children();
        let innermost = below.is_empty();
        stack.extend(below);
        if innermost && node.set(flag::LATE) & flag::LATE == 0 {
            named += 1;
            report_leaf(&node, since, cancelled);
        }
    }
    named
}

fn report_leaf(leaf: &Arc<Node>, since: Duration, cancelled: &Node) {
    let reason = cancelled.origin().map(|origin| origin.reason.text());
    let message = format!(
        "{}; {}; last checkpoint",
        late(since, reason),
        phase_of(leaf)
    );
    let last = leaf.last_location();
    report::report(ReportKind::Late, &leaf.path(), message, last);
}

/// What is said of something that still runs long after its cancellation.
pub(crate) fn late(since: Duration, reason: Option<Cow<'_, str>>) -> String {
    let reason = reason.map(|reason| format!(" ({reason})"));
    format!(
        "late: still running {} after it was cancelled{}",
        ShortDuration(since),
        reason.unwrap_or_default()
    )
}

/// What keeps a node from ending.
fn phase_of(node: &Node) -> String {
    if node.flags() & flag::BLOCKING != 0 {
        return "its blocking work still runs".to_owned();
    }
    let held = held_in(&node.lock());
    match next_to_unwind(&held) {
        Some((preposition, held)) => {
            let at = held.location().map(|at| format!(" at {at}"));
            let at = at.unwrap_or_default();
            format!("it is {preposition} {}{at}", held.what())
        }
        None => "it has not reached a checkpoint".to_owned(),
    }
}
