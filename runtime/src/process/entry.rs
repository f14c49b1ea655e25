//! What `#[taskscope::main]` expands to.

#![allow(missing_docs, reason = "the macro's own, described with it")]

use std::future::Future;
use std::time::Duration;

use crate::notes::report::print;
use crate::process::flavor::Flavor;
use crate::process::shutdown::Shutdown;

/// A program, with the options of the attribute.
#[derive(Debug)]
pub struct Main {
    flavor: Flavor,
    shutdown: Shutdown,
}

impl Main {
    #[allow(clippy::new_without_default, reason = "written by the macro alone")]
    #[track_caller]
    pub fn new() -> Main {
        let flavor = Flavor {
            multi_thread: true,
            ..Flavor::default()
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
        match self.flavor.builder().build() {
            Ok(runtime) => self.shutdown.block_on(runtime, program),
            Err(error) => {
                print(&format!(
                    "taskscope: cannot start tokio's runtime: {error}\n"
                ));
                std::process::exit(1)
            }
        }
    }
}
