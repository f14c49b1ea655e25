//! `graceful` from outside.

#![cfg(unix)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use taskscope_tests::{Ended, Program, watched};

/// A server of this test's own.
struct Server {
    program: Program,
    address: String,
    log: PathBuf,
}

impl Server {
    fn start(name: &str, arguments: &[&str]) -> Server {
        let program = env!("CARGO_BIN_EXE_graceful");
        Server::start_by(program, &[], name, arguments)
    }

    /// One that may have this many files open, its own sockets among them.
    fn start_with_files(name: &str, most: u32) -> Server {
        let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
        let program = env!("CARGO_BIN_EXE_graceful");
        Server::start_by("sh", &["-c", &script, program], name, &[])
    }

    fn start_by(program: &str, first: &[&str], name: &str, arguments: &[&str]) -> Server {
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("graceful-{name}-{}.log", std::process::id()));
        let path = log.to_str().unwrap();
        let all = [first, &["127.0.0.1:0", "--log", path], arguments].concat();
        let mut program = Program::start(program, all);
        let line = program.line();
        let address = line.strip_prefix("listening on ").unwrap().to_owned();
        Server {
            program,
            address,
            log,
        }
    }

    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(&self.address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        client
    }

    /// How it ended, and its log.
    fn end(self) -> (Ended, Vec<String>) {
        let ended = self.program.end();
        let log = fs::read_to_string(&self.log).unwrap();
        fs::remove_file(&self.log).unwrap();
        (ended, log.lines().map(str::to_owned).collect())
    }
}

fn asks(client: &mut TcpStream, text: &str) {
    client.write_all(text.as_bytes()).unwrap();
    let mut answer = vec![0; text.len()];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(answer, text.as_bytes());
}

fn ends(mut client: TcpStream) {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest:?}");
}

fn count(log: &[String], what: &str) -> usize {
    log.iter().filter(|line| line.contains(what)).count()
}

#[test]
fn it_echoes() {
    watched(|| {
        let server = Server::start("echoes", &[]);
        let mut client = server.client();
        asks(&mut client, "hello");
        asks(&mut client, &"much more than a buffer ".repeat(10_000));
        client.shutdown(Shutdown::Write).unwrap();
        ends(client);
        server.program.send(Signal::TERM);
        let (ended, log) = server.end();
        assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
        assert_eq!(count(&log, " closed, 240005 bytes"), 1, "{log:?}");
    });
}

#[test]
fn a_signal_ends_all_connections_in_order_and_the_log_last() {
    watched(|| {
        for signal in [Signal::TERM, Signal::INT] {
            let server = Server::start("signal", &[]);
            let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
            for client in &mut clients {
                asks(client, "hello");
            }
            server.program.send(signal);
            let address = server.address.clone();
            clients.into_iter().for_each(ends);
            let (ended, log) = server.end();
            assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
            assert_eq!(count(&log, " opened"), 20);
            assert_eq!(count(&log, " closed, 5 bytes"), 20);
            assert_eq!(count(&log, "stopped"), 1);
            assert_eq!(log.last().unwrap(), "closed");
            let refused = TcpStream::connect(address).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

/// One that was connected, and not accepted for want of a place.
#[test]
fn who_waits_for_a_place_is_served_at_the_end() {
    watched(|| {
        let server = Server::start("limit", &["--limit", "1"]);
        let mut first = server.client();
        asks(&mut first, "first");
        let mut second = server.client();
        second.write_all(b"second").unwrap();
        server.program.send(Signal::TERM);
        ends(first);
        let mut answer = Vec::new();
        second.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"second");
        let (ended, log) = server.end();
        assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
        assert_eq!(log.last().unwrap(), "closed");
    });
}

#[test]
fn a_client_that_does_not_care_is_cut_off() {
    watched(|| {
        let server = Server::start("careless", &[]);
        let mut silent = server.client();
        asks(&mut silent, "hello");
        // It sends and never reads: the server cannot answer any more.
        let mut greedy = server.client();
        greedy
            .set_write_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        while greedy.write(&[0; 1 << 16]).is_ok() {}
        let since = Instant::now();
        server.program.send(Signal::TERM);
        let (ended, log) = server.end();
        assert!(
            since.elapsed() < Duration::from_secs(6),
            "{:?}",
            since.elapsed()
        );
        assert_eq!(ended.code, Some(143), "{ended:?}");
        assert_eq!(ended.errors, "");
        assert_eq!(count(&log, " opened"), 2);
        assert_eq!(count(&log, " closed, "), 2);
        assert_eq!(log.last().unwrap(), "closed");
        drop((silent, greedy));
    });
}

#[test]
fn what_the_system_refuses_is_said() {
    watched(|| {
        let run = |arguments: [&str; 3]| {
            let ended = Program::start(env!("CARGO_BIN_EXE_graceful"), arguments).end();
            assert_eq!(ended.code, Some(1), "{ended:?}");
            ended.errors
        };
        let name = format!("graceful-refused-{}.log", std::process::id());
        let log = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let errors = run(["127.0.0.1:no", "--log", log.to_str().unwrap()]);
        assert!(errors.contains("invalid"), "{errors}");
        assert_eq!(fs::read_to_string(&log).unwrap(), "closed\n");
        fs::remove_file(log).unwrap();
        let nowhere = concat!(env!("CARGO_TARGET_TMPDIR"), "/none/log");
        let errors = run(["127.0.0.1:0", "--log", nowhere]);
        assert!(errors.contains("/none/log: No such file"), "{errors}");
    });
}

#[test]
fn it_survives_an_accept_that_fails() {
    const FILES: u32 = 24;

    watched(|| {
        let server = Server::start_with_files("files", FILES);
        // The system lets all of them connect; the server cannot accept the last ones.
        let clients: Vec<_> = (0..FILES).map(|_| server.client()).collect();
        let line = server.program.error_line();
        assert!(line.starts_with("graceful: cannot accept"), "{line}");
        drop(clients);
        let mut client = server.client();
        asks(&mut client, "hello");
        server.program.send(Signal::TERM);
        ends(client);
        let (ended, log) = server.end();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert_eq!(count(&log, " closed, 5 bytes"), 1, "{log:?}");
    });
}
