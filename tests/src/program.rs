use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A program that runs as a process, its output read line by line.
pub struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    errors: JoinHandle<String>,
    error_lines: mpsc::Receiver<String>,
}

/// How a [`Program`] ended.
#[derive(Debug)]
pub struct Ended {
    /// The exit code, unless a signal killed it.
    pub code: Option<i32>,
    /// The signal that killed it.
    pub signal: Option<i32>,
    /// What it printed that was not read before.
    pub lines: Vec<String>,
    /// Its standard error.
    pub errors: String,
}

fn read(errors: Option<ChildStderr>, told: mpsc::Sender<String>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        let lines = errors.into_iter().flat_map(|e| BufReader::new(e).lines());
        for line in lines.map(Result::unwrap) {
            text.push_str(&line);
            text.push('\n');
            // Few tests look at the lines as they come.
            told.send(line).ok();
        }
        text
    })
}

impl Program {
    /// Starts it.
    pub fn start(path: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Program {
        Program::spawn(Command::new(path).args(arguments).stderr(Stdio::piped()))
    }

    /// Starts it with a standard error that nobody reads: what is written there fails.
    pub fn start_unheard(path: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Program {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Program::start_on(path, arguments, writer)
    }

    /// Starts it with this standard error.
    pub fn start_on(
        path: &str,
        arguments: impl IntoIterator<Item: AsRef<OsStr>>,
        stderr: impl Into<Stdio>,
    ) -> Program {
        Program::spawn(Command::new(path).args(arguments).stderr(stderr))
    }

    fn spawn(command: &mut Command) -> Program {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (told, error_lines) = mpsc::channel();
        let errors = read(child.stderr.take(), told);
        Program {
            child,
            lines,
            errors,
            error_lines,
        }
    }

    /// Starts it, and waits until it says that it is ready.
    pub fn ready(path: &str, arguments: impl IntoIterator<Item: AsRef<OsStr>>) -> Program {
        let mut program = Program::start(path, arguments);
        assert_eq!(program.line(), "ready");
        program
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        self.lines.next().expect("the program goes on").unwrap()
    }

    /// The next line it prints to standard error.
    pub fn error_line(&self) -> String {
        self.error_lines.recv().expect("the program goes on")
    }

    /// Sends it a signal.
    pub fn send(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Sends it another signal, late enough not to count as one with the first.
    pub fn send_another(&self, signal: Signal) {
        std::thread::sleep(Duration::from_millis(150));
        self.send(signal);
    }

    /// Waits for its end.
    pub fn end(mut self) -> Ended {
        let lines = self.lines.map(Result::unwrap).collect();
        let status = self.child.wait().unwrap();
        Ended {
            code: status.code(),
            signal: status.signal(),
            lines,
            errors: self.errors.join().unwrap(),
        }
    }
}
