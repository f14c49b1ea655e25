//! What `#[taskscope::main]` and `#[taskscope::test]` expand to.

#![allow(missing_docs, reason = "the macros' own, described with them")]

use std::future::Future;
use std::io;
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};

use crate::base::alarm::{self, Alarm};
use crate::base::caught::catch;
use crate::notes::report::{self, ReportKind, Sink, print};
use crate::observe::Tree;
#[cfg(feature = "shutdown")]
use crate::process::shutdown::Shutdown;
use crate::scope::scope::Scope;
use crate::tree::node::Node;

/// The runtime to be built.
#[derive(Debug)]
struct Flavor {
    multi_thread: bool,
    worker_threads: Option<usize>,
}

impl Flavor {
    fn builder(&self) -> Builder {
        let mut builder = if self.multi_thread {
            multi_thread()
        } else {
            Builder::new_current_thread()
        };
        builder.enable_all();
        if let Some(threads) = self.worker_threads {
            builder.worker_threads(threads);
        }
        builder
    }
}

#[cfg(feature = "rt-multi-thread")]
fn multi_thread() -> Builder {
    Builder::new_multi_thread()
}

#[cfg(not(feature = "rt-multi-thread"))]
fn multi_thread() -> Builder {
    Builder::new_current_thread()
}

fn built(built: io::Result<Runtime>) -> Runtime {
    match built {
        Ok(runtime) => runtime,
        Err(error) => {
            print(&format!(
                "taskscope: cannot start tokio's runtime: {error}\n"
            ));
            std::process::exit(1)
        }
    }
}

/// `#[taskscope::main]`.
#[cfg(feature = "shutdown")]
#[derive(Debug)]
pub struct Main {
    flavor: Flavor,
    shutdown: Shutdown,
}

#[cfg(feature = "shutdown")]
impl Main {
    #[allow(clippy::new_without_default, reason = "written by the macro alone")]
    #[track_caller]
    pub fn new() -> Main {
        let flavor = Flavor {
            multi_thread: true,
            worker_threads: None,
        };
        Main {
            flavor,
            shutdown: Shutdown::new(),
        }
    }

    pub fn flavor_current_thread(mut self) -> Self {
        self.flavor.multi_thread = false;
        self
    }

    pub fn worker_threads(mut self, threads: usize) -> Self {
        self.flavor.worker_threads = Some(threads);
        self
    }

    pub fn drain(mut self, drain: Duration) -> Self {
        self.shutdown = self.shutdown.drain(drain);
        self
    }

    pub fn grace(mut self, grace: Duration) -> Self {
        self.shutdown = self.shutdown.grace(grace);
        self
    }

    pub fn stuck_after(mut self, stuck_after: Duration) -> Self {
        self.shutdown = self.shutdown.stuck_after(stuck_after);
        self
    }

    /// Runs the program; exits the process if it is cancelled.
    pub fn run<F: Future>(self, program: F) -> F::Output {
        let runtime = built(self.flavor.builder().build());
        self.shutdown.block_on(runtime, program)
    }
}

/// `#[taskscope::test]`.
#[derive(Debug)]
pub struct Test {
    name: &'static str,
    flavor: Flavor,
    start_paused: bool,
    /// As the option says.
    timeout: Option<Duration>,
    location: &'static Location<'static>,
}

/// How long tasks that are about to end, or to be dropped, may take, in real time.
const PATIENCE: Duration = Duration::from_millis(200);

/// Whether `start_paused` can be given: with feature `test-util`.
#[diagnostic::on_unimplemented(
    message = "`start_paused` needs tokio's paused clock",
    note = "enable feature `test-util` of taskscope, among the dev-dependencies"
)]
pub trait PausedClock {
    fn paused(self) -> bool;
}

#[cfg(feature = "test-util")]
impl PausedClock for bool {
    fn paused(self) -> bool {
        self
    }
}

impl Test {
    #[track_caller]
    pub fn new(name: &'static str) -> Test {
        let flavor = Flavor {
            multi_thread: false,
            worker_threads: None,
        };
        Test {
            name,
            flavor,
            start_paused: false,
            timeout: None,
            location: Location::caller(),
        }
    }

    #[cfg(feature = "rt-multi-thread")]
    pub fn flavor_multi_thread(mut self) -> Self {
        self.flavor.multi_thread = true;
        self
    }

    pub fn worker_threads(mut self, threads: usize) -> Self {
        self.flavor.worker_threads = Some(threads);
        self
    }

    pub fn start_paused(mut self, paused: impl PausedClock) -> Self {
        self.start_paused = paused.paused();
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Runs the test.
    ///
    /// # Panics
    ///
    /// With the test's own panic, when its time is over, or when a task or a cleanup was left
    /// behind.
    #[track_caller]
    pub fn run<F: Future>(self, test: F) -> F::Output {
        let sink = Sink::default();
        let caught = sink.collect(|| catch(|| self.run_watched(test, &sink)));
        let (output, mut left) = match caught {
            Ok(Ok(ended)) => ended,
            // Here, where the panic is located in the test.
            Ok(Err(why)) => panic!("{why}"),
            Err(panic) => panic.resume(),
        };
        let mut reports = sink.take();
        reports.retain(|report| {
            use ReportKind::{Abandoned, LostCleanup, Overrun};
            matches!(report.kind(), LostCleanup | Overrun | Abandoned)
        });
        left.extend(report::folded(&reports));
        assert!(
            left.is_empty(),
            "test `{}` left something behind:\n  {}",
            self.name,
            left.join("\n  ")
        );
        output
    }

    fn run_watched<F: Future>(
        &self,
        test: F,
        sink: &Sink,
    ) -> Result<(F::Output, Vec<String>), String> {
        let runtime = built(self.builder(sink).build());
        let scope = Scope::at(self.name, self.location);
        let root = scope.node().clone();
        let limit = alarm::limit(self.timeout);
        let alarm = limit.map_or_else(Alarm::default, |limit| self.alarm(limit, &root));
        let mut left = Vec::new();
        let ended = runtime.block_on(async {
            let mut run = Box::pin(scope.run(async {
                let output = test.await;
                left = still_running(&root);
                output
            }));
            match alarm.run(run.as_mut()).await {
                Some(outcome) => Ok(outcome),
                // Told before the future is dropped, and whatever panics in it then.
                None => {
                    let tree = Tree::of(vec![root.clone()]);
                    Err((tree, report::mute_losses(|| drop(run))))
                }
            }
        });
        let outcome = match ended {
            Ok(outcome) => outcome,
            Err((tree, _)) => {
                report::mute_losses(|| runtime.shutdown_background()).ok();
                let limit = limit.unwrap_or_default();
                return Err(format!(
                    "test `{}` has not ended after {limit:?}; this is what runs:\n{tree}",
                    self.name
                ));
            }
        };
        let alive = runtime.block_on(alive_beyond(0, PATIENCE));
        if alive > 0 {
            left.push(format!(
                "tasks spawned with `tokio::spawn` were still running: {alive}"
            ));
        }
        // What is dropped with it may have cleanups to lose.
        runtime.shutdown_timeout(PATIENCE);
        match outcome {
            Ok(output) => Ok((output, left)),
            Err(cancelled) => Err(format!(
                "test `{}` ended early: {}",
                self.name,
                cancelled.text()
            )),
        }
    }

    fn alarm(&self, limit: Duration, root: &Arc<Node>) -> Alarm {
        let (name, root) = (self.name, root.clone());
        Alarm::set(limit, move || {
            format!(
                "taskscope: test `{name}` has not ended after {limit:?}, and keeps its thread; this \
                 is what runs:\n{}",
                Tree::of(vec![root])
            )
        })
    }

    fn builder(&self, sink: &Sink) -> Builder {
        let mut builder = self.flavor.builder();
        let sink = sink.clone();
        builder.on_thread_start(move || sink.install());
        #[cfg(feature = "test-util")]
        builder.start_paused(self.start_paused);
        builder
    }
}

/// What is still there below a node, when that alone should be.
pub(crate) fn still_running(root: &Arc<Node>) -> Vec<String> {
    let tasks = root.leaves_below(usize::MAX).into_iter();
    tasks
        .map(|task| {
            format!(
                "task `{}` was still running (spawned at {}, last checkpoint at {})",
                task.path, task.location, task.last
            )
        })
        .collect()
}

/// How many tasks more than `known` the runtime has, once those had time to end
/// that are about to.
pub(crate) async fn alive_beyond(known: usize, patience: Duration) -> usize {
    let metrics = tokio::runtime::Handle::current().metrics();
    let since = Instant::now();
    loop {
        let alive = metrics.num_alive_tasks().saturating_sub(known);
        if alive == 0 || since.elapsed() > patience {
            return alive;
        }
        tokio::task::yield_now().await;
    }
}
