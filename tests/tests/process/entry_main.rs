//! `#[taskscope::main]`: exit codes, runtimes, and what signals do to them.
#![cfg(unix)]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use taskscope_tests::{Ended, Program, watched};

const EXE: &str = env!("CARGO_BIN_EXE_entry");

fn run(name: &str) -> Ended {
    Program::start(EXE, [name]).end()
}

/// Sends `signal` when the program is ready.
fn signalled(name: &str, signal: Signal) -> Ended {
    let program = Program::ready(EXE, [name]);
    program.send(signal);
    program.end()
}

#[test]
fn its_value_is_returned() {
    watched(|| {
        let ended = run("ok");
        assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
        assert_eq!(ended.lines, ["ok", "cleanup"]);
        assert_eq!(run("code").code, Some(7));
    });
}

#[test]
fn an_error_exits_with_1() {
    watched(|| {
        let ended = run("error");
        assert_eq!(ended.code, Some(1));
        assert_eq!(ended.lines, ["cleanup"]);
        assert!(ended.errors.contains("no luck"), "{}", ended.errors);
    });
}

#[test]
fn a_panic_exits_with_101() {
    watched(|| {
        let ended = run("panics");
        assert_eq!(ended.code, Some(101));
        assert_eq!(ended.lines, ["cleanup"]);
        assert!(ended.errors.contains("on purpose"), "{}", ended.errors);
    });
}

/// As with a terminal that was closed: the reports go nowhere, and all else goes on.
#[test]
fn nobody_has_to_hear_what_it_says() {
    watched(|| {
        let ended = Program::start_unheard(EXE, ["task_panics"]).end();
        assert_eq!(ended.code, Some(101));
        assert_eq!(ended.lines, ["cleanup"]);

        let mut program = Program::start_unheard(EXE, ["waits"]);
        assert_eq!(program.line(), "ready");
        program.send(Signal::USR1); // prints the tree
        program.send(Signal::TERM);
        let ended = program.end();
        assert_eq!((ended.code, ended.lines.len()), (Some(143), 3));
    });
}

#[test]
fn the_runtime_is_the_one_asked_for() {
    watched(|| {
        let ended = run("flavors");
        assert_eq!(ended.lines, ["CurrentThread", "(MultiThread, 3)"]);
    });
}

#[test]
fn a_signal_exits_with_its_code_after_the_cleanup() {
    watched(|| {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let mut ended = signalled("waits", signal);
            assert_eq!((ended.code, &*ended.errors), (Some(code), ""));
            ended.lines.sort();
            let all = [0, 1, 2].map(|number| format!("worker {number} is clean"));
            assert_eq!(ended.lines, all);

            let ended = signalled("waits_on_one_thread", signal);
            assert_eq!((ended.code, &*ended.errors), (Some(code), ""));
            assert_eq!(ended.lines, ["clean"]);
        }
    });
}

/// The first has ended before the second begins to listen.
#[test]
fn one_after_the_other_each_listens() {
    watched(|| {
        let mut program = Program::start(EXE, ["twice"]);
        assert_eq!(program.line(), "ok");
        assert_eq!(program.line(), "cleanup");
        assert_eq!(program.line(), "ready");
        program.send(Signal::TERM);
        let ended = program.end();
        assert_eq!(
            (ended.code, &*ended.lines),
            (Some(143), &["clean".to_owned()][..])
        );
    });
}

#[test]
fn what_drains_in_time_exits_with_its_own_code() {
    watched(|| {
        let ended = signalled("drains", Signal::TERM);
        assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
        assert_eq!(ended.lines, ["drained"]);
    });
}

#[test]
fn what_drains_too_long_is_cancelled() {
    watched(|| {
        let program = Program::ready(EXE, ["drains_too_long"]);
        let since = Instant::now();
        program.send(Signal::INT);
        let ended = program.end();
        assert!(since.elapsed() >= Duration::from_millis(50));
        assert_eq!((ended.code, &*ended.errors), (Some(130), ""));
        assert_eq!(ended.lines, ["stopping", "clean"]);
    });
}

/// Where `drain` is not given, what waits for the request to stop gets time.
#[test]
fn what_listens_drains_by_default() {
    watched(|| {
        for program in ["listens", "gives_away"] {
            let ended = signalled(program, Signal::TERM);
            assert_eq!((ended.code, &*ended.errors), (Some(0), ""), "{program}");
            assert_eq!(ended.lines, ["drained"], "{program}");
        }
    });
}

/// And what does not listen, or no longer does, is cancelled at once.
#[test]
fn what_does_not_listen_is_cancelled_at_once() {
    watched(|| {
        let program = Program::ready(EXE, ["has_listened"]);
        let since = Instant::now();
        program.send(Signal::TERM);
        let ended = program.end();
        assert!(
            since.elapsed() < Duration::from_secs(9),
            "{:?}",
            since.elapsed()
        );
        assert_eq!((ended.code, &*ended.errors), (Some(143), ""));
        assert_eq!(ended.lines, ["clean"]);
    });
}

/// Nothing can interrupt it, and the process ends all the same.
#[test]
fn a_thread_that_blocks_is_left_behind_and_named() {
    watched(|| {
        let program = Program::ready(EXE, ["blocks"]);
        let since = Instant::now();
        program.send(Signal::TERM);
        let ended = program.end();
        let took = since.elapsed();
        assert!(took >= Duration::from_millis(50), "{took:?}");
        assert_eq!(ended.code, Some(143));
        assert!(ended.errors.contains("blocking work"), "{}", ended.errors);
        assert!(ended.errors.contains("entry.rs"), "{}", ended.errors);
    });
}
