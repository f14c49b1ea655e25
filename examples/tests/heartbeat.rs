//! `heartbeat` from outside.

#![cfg(unix)]

use rustix::process::Signal;
use taskscope_tests::{Ended, Program, watched};

const EXE: &str = env!("CARGO_BIN_EXE_heartbeat");
const QUICK: [&str; 4] = ["--period", "0.02", "--ttl", "0.2"];

fn start(seconds: &str) -> Program {
    Program::start(EXE, QUICK.into_iter().chain(["--seconds", seconds]))
}

/// What was printed from the end of the work on.
fn ending<'a>(ended: &'a Ended, work: &str) -> Vec<&'a str> {
    let place = ended.lines.iter().position(|line| line == work);
    let lines = ended.lines.iter().skip(place.expect("the work has ended"));
    // A last beat may come before the services are cancelled.
    let released = |line: &&str| *line != "beat";
    let lines: Vec<&str> = lines.map(String::as_str).collect();
    let services = lines.iter().position(|line| line.ends_with("released"));
    let after = services.map_or(0, |at| {
        lines[at..].iter().filter(|line| **line == "beat").count()
    });
    assert_eq!(after, 0, "services outlive the work: {ended:?}");
    lines.into_iter().filter(released).collect()
}

#[test]
fn resources_are_released_last_in_first_out() {
    watched(|| {
        let ended = start("1").end();
        assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
        assert!(ended.lines.iter().filter(|line| *line == "beat").count() > 3);
        assert!(
            ended.lines.contains(&"cache has expired".to_owned()),
            "{ended:?}"
        );
        let expected = [
            "work is done",
            "queue is released",
            "database is released",
            "done, 0 held",
        ];
        assert_eq!(ending(&ended, "work is done"), expected);
    });
}

#[test]
fn a_signal_ends_it_the_same_way() {
    watched(|| {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let mut program = start("1000");
            while program.line() != "cache has expired" {}
            program.send(signal);
            let ended = program.end();
            assert_eq!((ended.code, &*ended.errors), (Some(code), ""));
            let expected = [
                "work is cut short",
                "queue is released",
                "database is released",
            ];
            assert_eq!(ending(&ended, "work is cut short"), expected);
        }
    });
}

/// Before it has expired, the third is released, too.
#[test]
fn what_has_not_expired_is_released() {
    watched(|| {
        let ended = Program::start(EXE, ["--seconds", "0.05", "--ttl", "1000"]).end();
        let expected = [
            "work is done",
            "queue is released",
            "cache is released",
            "database is released",
            "done, 0 held",
        ];
        assert_eq!(ending(&ended, "work is done"), expected);
    });
}

#[test]
fn wrong_usage() {
    watched(|| assert_eq!(Program::start(EXE, ["--period", "0"]).end().code, Some(2)));
}
