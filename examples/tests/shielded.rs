//! `shielded` from outside.

#![cfg(unix)]

use rustix::process::Signal;
use taskscope_tests::{Program, watched};

const EXE: &str = env!("CARGO_BIN_EXE_shielded");

/// Starts the jobs, and waits until all have begun: one that has not leaves without a word.
fn begun(seconds: &str) -> Program {
    let mut program = Program::start(EXE, ["--seconds", seconds]);
    for _ in 0..6 {
        let line = program.line();
        assert!(line.ends_with("begun"), "{line}");
    }
    program
}

fn count(lines: &[String], kind: &str, what: &str) -> usize {
    let is = |line: &&String| line.starts_with(kind) && line.ends_with(what);
    lines.iter().filter(is).count()
}

#[test]
fn the_shielded_jobs_finish_and_the_plain_ones_leave() {
    watched(|| {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            // Long enough for none to be done before the signal comes.
            let program = begun("3");
            program.send(signal);
            let ended = program.end();
            assert_eq!((ended.code, &*ended.errors), (Some(code), ""));
            assert_eq!(count(&ended.lines, "plain", "left"), 3, "{ended:?}");
            assert_eq!(count(&ended.lines, "plain", "done"), 0, "{ended:?}");
            assert_eq!(count(&ended.lines, "shielded", "done"), 3, "{ended:?}");
            assert_eq!(count(&ended.lines, "shielded", "left"), 0, "{ended:?}");
            let left = ended.lines.iter().rposition(|line| line.ends_with("left"));
            let done = ended.lines.iter().position(|line| line.ends_with("done"));
            assert!(left < done, "{ended:?}");
        }
    });
}

#[test]
fn a_second_signal_does_not_wait() {
    watched(|| {
        let mut program = begun("1000");
        program.send(Signal::INT);
        for _ in 0..3 {
            let line = program.line();
            assert!(
                line.starts_with("plain") && line.ends_with("left"),
                "{line}"
            );
        }
        program.send_another(Signal::INT);
        let ended = program.end();
        assert_eq!(ended.code, Some(130), "{ended:?}");
        // They are cut, and said to be.
        assert_eq!(count(&ended.lines, "shielded", "done"), 0, "{ended:?}");
        let cut = ended.errors.matches("a second signal ended").count();
        assert_eq!(cut, 3, "{ended:?}");
        assert!(ended.errors.contains("shielded/mod.rs"), "{ended:?}");
    });
}

#[test]
fn undisturbed_all_jobs_finish() {
    watched(|| {
        let ended = Program::start(EXE, ["--seconds", "0.03"]).end();
        assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
        for kind in ["plain", "shielded"] {
            assert_eq!(count(&ended.lines, kind, "done"), 3, "{ended:?}");
        }
        assert_eq!(ended.lines.last().unwrap(), "all jobs are gone");
    });
}

#[test]
fn wrong_usage() {
    watched(|| assert_eq!(Program::start(EXE, ["--seconds", "-1"]).end().code, Some(2)));
}
