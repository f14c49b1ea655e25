//! Helper threads for work that may block forever.
//!
//! A write to standard error blocks once the pipe is full, and user code (a report hook, a
//! `Display`, a `Drop`) may block at will. While a process ends, all of that runs on helper
//! threads: the caller waits for them with a limit, and then goes on without them.

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

use crate::base::caught::contain;
use crate::base::sync::Mutex;

type Job = Box<dyn FnOnce() + Send>;

/// How many jobs may be queued. More are dropped.
const MOST_WAITING: usize = 4;

/// Runs jobs one after the other on a helper thread, started with the first job.
#[derive(Debug)]
pub(crate) struct Aside {
    name: &'static str,
    started: Option<AsideThread>,
}

#[derive(Debug)]
struct AsideThread {
    jobs: SyncSender<Job>,
    done: ThreadEnd,
}

/// Signals the end of a helper thread, which drops the sender. The mutex makes it `Sync`.
#[derive(Debug)]
pub(crate) struct ThreadEnd(Mutex<Receiver<Infallible>>);

impl ThreadEnd {
    /// A signal that has already been given.
    pub(crate) fn already() -> ThreadEnd {
        ThreadEnd::from(mpsc::channel().1)
    }

    /// Waits for the thread to end, at most until `until`. Returns whether it has ended.
    pub(crate) fn wait(&self, until: Instant) -> bool {
        let most = until.saturating_duration_since(Instant::now());
        self.0.lock().recv_timeout(most) != Err(RecvTimeoutError::Timeout)
    }
}

impl From<Receiver<Infallible>> for ThreadEnd {
    fn from(done: Receiver<Infallible>) -> ThreadEnd {
        ThreadEnd(Mutex::new(done))
    }
}

impl Aside {
    pub(crate) fn new(name: &'static str) -> Aside {
        Aside {
            name,
            started: None,
        }
    }

    /// Queues `job`. If the queue is full, or the system has no thread for it, the job is
    /// dropped here.
    pub(crate) fn run(&mut self, job: impl FnOnce() + Send + 'static) {
        if self.started.is_none() {
            self.started = start(self.name).ok();
        }
        if let Some(started) = &self.started {
            started.jobs.try_send(Box::new(job)).ok();
        }
    }

    /// Waits for all queued jobs, at most until `until`.
    pub(crate) fn finish(self, until: Instant) {
        if let Some(AsideThread { jobs, done }) = self.started {
            drop(jobs);
            done.wait(until);
        }
    }
}

fn start(name: &'static str) -> io::Result<AsideThread> {
    let (jobs, waiting) = mpsc::sync_channel::<Job>(MOST_WAITING);
    let done = spawn(name, move || {
        for job in waiting {
            contain(job);
        }
    })?;
    Ok(AsideThread { jobs, done })
}

/// Starts a helper thread, which need not be joined. If the system has no thread for it,
/// the closure is dropped here.
pub(crate) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<ThreadEnd> {
    let (running, done) = mpsc::channel();
    Builder::new().name(name.to_owned()).spawn(move || {
        let _running: Sender<Infallible> = running;
        work();
    })?;
    Ok(ThreadEnd::from(done))
}
