//! Work that may block for ever, done where nothing has to wait for it.
//!
//! What is written to standard error blocks when nobody reads it, and user code (a report
//! hook, a `Display`, a `Drop`) may block as it likes. At the end of a process all of that
//! runs on a thread [`Aside`], which is given a limited time.

#![cfg_attr(
    not(feature = "shutdown"),
    allow(
        dead_code,
        reason = "the watchdog needs less than the end of a process"
    )
)]

use std::convert::Infallible;
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::Builder;
use std::time::Instant;

use crate::caught::contain;
use crate::sync::Mutex;

type Job = Box<dyn FnOnce() + Send>;

/// How many jobs may wait for the one that is being done.
const MOST_WAITING: usize = 4;

/// Does jobs one after the other on a thread of its own, which starts with the first.
#[derive(Debug)]
pub(crate) struct Aside {
    name: &'static str,
    started: Option<Started>,
}

#[derive(Debug)]
struct Started {
    jobs: SyncSender<Job>,
    done: Done,
}

/// The end of a thread, which drops the other side then. In a mutex for its owners to be
/// `Sync`.
#[derive(Debug)]
pub(crate) struct Done(Mutex<Receiver<Infallible>>);

impl Done {
    /// There was nothing to do.
    pub(crate) fn already() -> Done {
        Done::from(mpsc::channel().1)
    }

    /// Waits for it, at most until then; false if it is not done.
    pub(crate) fn wait(&self, until: Instant) -> bool {
        let most = until.saturating_duration_since(Instant::now());
        self.0.lock().recv_timeout(most) != Err(RecvTimeoutError::Timeout)
    }
}

impl From<Receiver<Infallible>> for Done {
    fn from(done: Receiver<Infallible>) -> Done {
        Done(Mutex::new(done))
    }
}

impl Aside {
    pub(crate) fn new(name: &'static str) -> Aside {
        Aside {
            name,
            started: None,
        }
    }

    /// Does `job` after those before it. It is dropped instead, here, if too many wait
    /// already, or if the system has no thread for it.
    pub(crate) fn run(&mut self, job: impl FnOnce() + Send + 'static) {
        if self.started.is_none() {
            self.started = start(self.name).ok();
        }
        if let Some(started) = &self.started {
            started.jobs.try_send(Box::new(job)).ok();
        }
    }

    /// Waits until all is done, at most until then.
    pub(crate) fn finish(self, until: Instant) {
        if let Some(Started { jobs, done }) = self.started {
            drop(jobs);
            done.wait(until);
        }
    }
}

fn start(name: &'static str) -> io::Result<Started> {
    let (jobs, waiting) = mpsc::sync_channel::<Job>(MOST_WAITING);
    let done = spawn(name, move || {
        for job in waiting {
            contain(job);
        }
    })?;
    Ok(Started { jobs, done })
}

/// Starts a thread that nobody has to join. What the closure has captured is dropped here
/// if the system has no thread for it.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<Done> {
    let (running, done) = mpsc::channel();
    Builder::new().name(name.to_owned()).spawn(move || {
        let _running: Sender<Infallible> = running;
        work();
    })?;
    Ok(Done::from(done))
}
