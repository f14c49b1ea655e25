//! What `#[taskscope::test]` expands to.

#![allow(missing_docs, reason = "the macro's own, described with it")]

use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use super::trial::{RunEnd, Trial, run};
use crate::base::alarm::Alarm;
use crate::observe::Tree;
use crate::process::flavor::Flavor;
use crate::scope::scope::Scope;

/// A test, with the options of the attribute.
#[derive(Debug)]
pub struct Test {
    name: &'static str,
    flavor: Flavor,
    start_paused: bool,
    timeout: Option<Duration>,
    location: &'static Location<'static>,
}

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
        Test {
            name,
            flavor: Flavor::default(),
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
        let mut trial = Trial::new(format!("test `{}`", self.name));
        let ended = trial.collect(|trial| self.run_on_runtime(trial, test));
        // Panics here, where the panic is located in the test.
        trial.verdict(ended)
    }

    fn run_on_runtime<F: Future>(&self, trial: &mut Trial, test: F) -> RunEnd<F::Output> {
        let runtime = trial.runtime(self.flavor.builder(), self.start_paused, || ());
        let scope = Scope::at(self.location).name(self.name);
        let (name, root) = (self.name, scope.node().clone());
        let late = move |limit: Duration, how: &str| {
            let tree = Tree::of(vec![root.clone()]);
            format!("has not ended after {limit:?}{how}; this is what runs:\n{tree}")
        };
        let stuck = late.clone();
        let mut alarm = Alarm::set(self.timeout, move |limit| {
            let late = stuck(limit, ", and keeps its thread");
            format!("taskscope: test `{name}` {late}")
        });
        let hangs = async { late(alarm.rung().await, "") };
        trial.block_on(runtime, run(scope, test, hangs))
    }
}
