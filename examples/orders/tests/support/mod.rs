//! The service as a process, a client of few words, and what must hold in the database.

pub(crate) mod client;
pub(crate) mod database;

use std::io::{BufRead, BufReader, Read, Write, stderr};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// No test takes as long: one that does hangs.
const HANGS: Duration = Duration::from_secs(300);

/// Runs a test on a runtime, under a watchdog, in a directory of its own.
pub(crate) fn run<F: Future<Output = ()>>(name: &'static str, test: impl FnOnce(PathBuf) -> F) {
    let (done, waits) = mpsc::channel::<()>();
    thread::spawn(move || {
        if waits.recv_timeout(HANGS) == Err(mpsc::RecvTimeoutError::Timeout) {
            // Not `eprintln!`, which the test harness keeps to itself.
            let _ = writeln!(stderr(), "\nwatchdog: `{name}` hangs");
            std::process::abort();
        }
    });
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("orders-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test(folder.join("orders.db")));
    let _ = std::fs::remove_dir_all(&folder);
    drop(done);
}

/// The service, running.
pub(crate) struct Service {
    child: Child,
    pub(crate) address: SocketAddr,
    stderr: JoinHandle<String>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` after SIGKILL.
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
}

impl Service {
    pub(crate) fn start(database: &Path, args: &[&str]) -> Service {
        let mut child = Command::new(env!("CARGO_BIN_EXE_orders"))
            .args(["--listen", "127.0.0.1:0", "--database"])
            .arg(database)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut errors = child.stderr.take().unwrap();
        let stderr = thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line.trim().strip_prefix("listening on http://");
        let address = address.and_then(|address| address.parse().ok());
        let address = address.unwrap_or_else(|| panic!("the service says {line:?}"));
        Service {
            child,
            address,
            stderr,
        }
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) async fn wait(self) -> Ended {
        let Service {
            mut child, stderr, ..
        } = self;
        let waiting = tokio::task::spawn_blocking(move || Ended {
            code: child.wait().unwrap().code(),
            stderr: stderr.join().unwrap(),
        });
        waiting.await.unwrap()
    }

    /// Asks it to stop, and expects a clean end.
    pub(crate) async fn stop(self) -> Ended {
        self.send(Signal::TERM);
        let ended = self.wait().await;
        ended.clean();
        ended
    }
}

impl Ended {
    /// Exit code 0, no report of the library, every transaction ended by who began it, and no task left.
    #[track_caller]
    pub(crate) fn clean(&self) {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        for line in self.stderr.lines() {
            assert!(line.starts_with("orders: "), "{}", self.stderr);
        }
        let last = self.stderr.lines().last().unwrap_or_default();
        let numbers: Vec<u64> = last
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|n| n.parse().ok())
            .collect();
        let [begun, committed, rolled_back, lost, tasks] = numbers[..] else {
            panic!("no counts at the end of {:?}", self.stderr);
        };
        assert_eq!(
            (begun, lost, tasks),
            (committed + rolled_back, 0, 0),
            "{last}"
        );
    }

    /// How many transactions were rolled back.
    pub(crate) fn rolled_back(&self) -> u64 {
        let rest = self
            .stderr
            .lines()
            .last()
            .and_then(|last| last.split_once("committed, "));
        rest.and_then(|(_, rest)| rest.split(' ').next()?.parse().ok())
            .unwrap()
    }
}

/// Looks until it is so; the watchdog bounds it.
pub(crate) async fn until<F: Future<Output = bool>>(mut is: impl FnMut() -> F) {
    while !is().await {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
