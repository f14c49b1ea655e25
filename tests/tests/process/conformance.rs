//! Conformance, K: shutdown, by real signals to real processes.
#![cfg(unix)]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use taskscope_tests::{Program, watched};

/// A program of `src/bin/shutdown.rs`.
fn start(name: &str, flavor: &str) -> Program {
    Program::start(env!("CARGO_BIN_EXE_shutdown"), [name, flavor])
}

/// One that is ready.
fn ready(name: &str, flavor: &str) -> Program {
    Program::ready(env!("CARGO_BIN_EXE_shutdown"), [name, flavor])
}

/// Runs the test for both runtimes, each under a watchdog.
fn both_flavors(test: impl Fn(&str)) {
    for flavor in ["current_thread", "multi_thread"] {
        watched(|| test(flavor));
    }
}

#[test]
fn k01_first_signal_cancels_the_root_and_all_is_left_in_order() {
    both_flavors(|flavor| {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let program = ready("unwinds", flavor);
            program.send(signal);
            let mut ended = program.end();
            assert_eq!(ended.code, Some(code), "{}", ended.errors);
            ended.lines[..2].sort();
            let expected = ["task 1 cleaned up", "task 2 cleaned up", "main cleaned up"];
            assert_eq!(ended.lines, expected);
            assert_eq!(ended.errors, "");
        }
    });
}

#[test]
fn k01_the_reason_is_the_shutdown() {
    both_flavors(|flavor| {
        let program = ready("reason", flavor);
        program.send(Signal::INT);
        let ended = program.end();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert_eq!(ended.lines, ["absorbed"]);
    });
}

/// Stopped, it ends by itself: a clean end.
#[test]
fn k01_what_ends_while_it_drains_ends_with_its_own_code() {
    both_flavors(|flavor| {
        let program = ready("drains", flavor);
        program.send(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert_eq!(ended.lines, ["stopping", "done"]);
    });
}

#[test]
fn k01_another_signal_skips_the_wait() {
    both_flavors(|flavor| {
        let mut program = ready("leaves_late", flavor);
        program.send(Signal::INT);
        assert_eq!(program.line(), "leaving");
        program.send_another(Signal::INT);
        let ended = program.end();
        assert_eq!(ended.code, Some(130));
        assert!(ended.lines.is_empty());
        assert!(
            ended.errors.contains("a second signal ended"),
            "{}",
            ended.errors
        );
        assert!(ended.errors.contains("shutdown.rs"), "{}", ended.errors);
    });
}

/// Listeners are there only while the scope is.
#[test]
fn k01_afterwards_a_signal_does_what_it_did_before() {
    both_flavors(|flavor| {
        for signal in [Signal::INT, Signal::TERM] {
            let program = ready("afterwards", flavor);
            program.send(signal);
            assert_eq!(program.end().signal, Some(signal.as_raw()));
        }
    });
}

#[test]
fn k06_tasks_still_running_when_main_returns_are_cancelled_and_awaited() {
    both_flavors(|flavor| {
        let ended = start("leftover", flavor).end();
        assert_eq!(ended.code, Some(0), "{}", ended.errors);
        assert_eq!(ended.lines, ["leftover done", "the value of main"]);
    });
}

#[test]
fn k07_errors_of_those_leftover_tasks_are_reported() {
    both_flavors(|flavor| {
        let ended = start("leftover", flavor).end();
        let reports: Vec<&str> = ended.errors.lines().collect();
        let [report] = reports[..] else {
            panic!("{reports:?}");
        };
        assert!(report.contains("failed: nobody waits for this"), "{report}");
        assert!(report.contains("shutdown.rs"), "{report}");
    });
}

#[test]
fn k08_a_task_that_ignores_shutdown_cannot_hold_the_process() {
    both_flavors(|flavor| {
        let program = ready("ignores", flavor);
        let since = Instant::now();
        program.send(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.code, Some(143));
        let took = since.elapsed();
        assert!(took >= Duration::from_millis(300), "{took:?}");
        let stuck = ended.errors.lines().next().unwrap();
        assert!(stuck.contains("`main > workers > deaf`"), "{stuck}");
        let line = include_str!("../../src/bin/shutdown.rs")
            .lines()
            .position(|line| line.contains("from_millis(1)).await"))
            .unwrap();
        let place = format!("shutdown.rs:{}:", line + 1);
        assert!(stuck.contains(&place), "{stuck} is not at {place}");
        assert!(ended.errors.contains("SIGTERM"), "{}", ended.errors);
    });
}

#[test]
fn k08_without_grace_it_ends_at_once() {
    both_flavors(|flavor| {
        let program = ready("no_grace", flavor);
        program.send(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.code, Some(143));
        assert!(!ended.lines.contains(&"never".to_owned()));
        assert!(ended.errors.contains("exceeded"), "{}", ended.errors);
    });
}

#[test]
fn k09_a_signal_in_a_shield_takes_effect_after_it() {
    both_flavors(|flavor| {
        let program = ready("shielded", flavor);
        program.send(Signal::INT);
        let ended = program.end();
        assert_eq!(ended.code, Some(130), "{}", ended.errors);
        assert_eq!(ended.lines, ["saved"]);
    });
}

#[test]
fn sigusr1_shows_what_runs_and_changes_nothing() {
    both_flavors(|flavor| {
        let program = ready("shows", flavor);
        program.send(Signal::USR1);
        let expected = ["main  running ", "└─ workers  running ", "   └─ waits  "];
        for begin in expected {
            // A long place stands on a line of its own.
            let is_row = |line: &String| !line.trim_start_matches([' ', '│']).starts_with("tests/");
            let line = std::iter::repeat_with(|| program.error_line()).find(is_row);
            assert!(line.as_ref().unwrap().starts_with(begin), "{line:?}");
        }
        program.send(Signal::INT);
        assert!(program.end().lines.is_empty());
    });
}

/// The signal stops all scopes; one that has a time of its own is cancelled after that.
#[test]
fn k12_the_drain_of_a_scope_ends_in_the_reason_of_the_signal() {
    watched(|| {
        let program = ready("part_drains", "multi_thread");
        program.send(Signal::TERM);
        let ended = program.end();
        let [line] = &ended.lines[..] else {
            panic!("{ended:?}");
        };
        assert!(
            line.starts_with("`scope` (tests/src/bin/shutdown.rs:"),
            "{line}"
        );
        let why = ") was cancelled: shutdown: had not ended 20ms after it was asked to stop";
        assert!(line.ends_with(why), "{line}");
        assert_eq!(ended.code, Some(0));
    });
}
