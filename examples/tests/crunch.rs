//! `crunch` from outside.

#![cfg(unix)]

use std::time::{Duration, Instant};

use rustix::process::Signal;
use taskscope_examples::crunch::zero_bits;
use taskscope_tests::{Program, watched};

const EXE: &str = env!("CARGO_BIN_EXE_crunch");

/// Nobody has ever found as many.
const NEVER: [&str; 3] = ["never", "--bits", "256"];

#[test]
fn what_it_finds_has_the_bits() {
    watched(|| {
        for jobs in ["1", "2", "7"] {
            let ended = Program::start(EXE, ["hello", "--bits", "10", "--jobs", jobs]).end();
            assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
            let [_, line] = &ended.lines[..] else {
                panic!("{ended:?}");
            };
            let number: u64 = line.strip_prefix("hello ").unwrap().parse().unwrap();
            assert!(zero_bits("hello", number) >= 10, "{line}");
        }
    });
}

#[test]
fn it_gives_up_in_time() {
    watched(|| {
        let since = Instant::now();
        let arguments = NEVER.into_iter().chain(["--timeout", "0.2"]);
        let ended = Program::start(EXE, arguments).end();
        let took = since.elapsed();
        assert_eq!(ended.code, Some(124), "{ended:?}");
        assert!(ended.errors.contains("200ms"), "{ended:?}");
        assert!((Duration::from_millis(200)..Duration::from_secs(10)).contains(&took));
    });
}

#[test]
fn a_signal_ends_it_at_once() {
    watched(|| {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let mut program = Program::start(EXE, NEVER);
            assert_eq!(program.line(), "searching for 256 bits");
            let since = Instant::now();
            program.send(signal);
            let ended = program.end();
            assert_eq!((ended.code, &*ended.errors), (Some(code), ""));
            assert!(since.elapsed() < Duration::from_secs(5));
        }
    });
}

#[test]
fn wrong_usage() {
    watched(|| {
        for wrong in [
            ["x", "--bits=257"],
            ["x", "--jobs=0"],
            ["x", "--timeout=-1"],
        ] {
            assert_eq!(Program::start(EXE, wrong).end().code, Some(2), "{wrong:?}");
        }
    });
}
