//! How a process ends: reports are told to the end, and nothing that they need can hold it up.
#![cfg(unix)]

use std::io::{ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::time::{Duration, Instant};

use rustix::io::ioctl_fionbio;
use rustix::process::Signal;
use taskscope_tests::{Ended, Program, watched};

const EXE: &str = env!("CARGO_BIN_EXE_ending");

/// As in the programs.
const GRACE: Duration = Duration::from_millis(400);

/// On a machine that is busy with other things.
const BUSY: Duration = Duration::from_secs(4);

/// Runs the test for both runtimes, each under a watchdog.
fn both_flavors(test: impl Fn(&str)) {
    for flavor in ["current_thread", "multi_thread"] {
        watched(|| test(flavor));
    }
}

/// A pipe that takes nothing more.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    ioctl_fionbio(&writer, true).unwrap();
    let full = loop {
        if let Err(error) = writer.write(b"filled\n") {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    // What is left of it is less than the shortest report.
    ioctl_fionbio(&writer, false).unwrap();
    (reader, writer)
}

/// What is done with reports.
const UNHEARD: [&str; 4] = ["full", "closed", "locked", "blocking_hook"];

/// Starts the program so, and waits until it is ready. A pipe must be kept, to stay open.
fn ready(name: &str, flavor: &str, reports: &str) -> (Program, Option<PipeReader>) {
    let arguments = [name, flavor, reports];
    let (mut program, pipe) = match reports {
        "full" => {
            let (reader, writer) = full_pipe();
            (Program::start_on(EXE, arguments, writer), Some(reader))
        }
        "closed" => (Program::start_unheard(EXE, arguments), None),
        _ => (Program::start(EXE, arguments), None),
    };
    assert_eq!(program.line(), "ready");
    (program, pipe)
}

/// Sends the signals to a program whose reports go nowhere: it ends in time, by the signal's code.
#[track_caller]
fn ends_in_time(name: &str, flavor: &str, reports: &str, signals: &[Signal]) -> Ended {
    let (program, pipe) = ready(name, flavor, reports);
    let since = Instant::now();
    signals.iter().for_each(|signal| program.send(*signal));
    let ended = program.end();
    let took = since.elapsed();
    let what = format!("`{name}`, {flavor}, {reports}: {took:?}, {ended:?}");
    println!("{what}");
    assert!(took < GRACE + BUSY, "{what}");
    if let Some(mut pipe) = pipe {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        assert!(lines.all(|line| line == "filled"), "{text}");
        assert!(text.ends_with('\n'), "{text}");
    }
    ended
}

#[track_caller]
fn ends_by_sigterm_however_unheard(name: &str) {
    both_flavors(|flavor| {
        for reports in UNHEARD {
            let ended = ends_in_time(name, flavor, reports, &[Signal::TERM]);
            assert_eq!(ended.code, Some(143), "{reports}: {ended:?}");
        }
    });
}

#[test]
fn a_clean_end_says_nothing() {
    both_flavors(|flavor| {
        for reports in UNHEARD {
            let ended = ends_in_time("unwinds", flavor, reports, &[Signal::TERM]);
            assert_eq!(
                (ended.code, &*ended.lines),
                (Some(143), &["clean".to_owned()][..])
            );
        }
    });
}

#[test]
fn a_task_dropped_with_its_runtime_cannot_hold_the_process() {
    ends_by_sigterm_however_unheard("loses");
}

#[test]
fn a_cleanup_that_is_cut_cannot_hold_the_process() {
    ends_by_sigterm_however_unheard("overruns");
}

#[test]
fn a_thread_that_blocks_cannot_hold_the_process() {
    ends_by_sigterm_however_unheard("blocks");
}

#[test]
fn the_watchdog_cannot_hold_the_process() {
    ends_by_sigterm_however_unheard("late");
}

/// The tree is asked for more often than it could be printed.
#[test]
fn a_tree_that_nobody_reads_cannot_hold_the_process() {
    both_flavors(|flavor| {
        for reports in ["full", "closed", "locked"] {
            for name in ["unwinds", "blocks"] {
                let (program, pipe) = ready(name, flavor, reports);
                for _ in 0..50 {
                    program.send(Signal::USR1);
                    std::thread::yield_now();
                }
                let since = Instant::now();
                program.send(Signal::TERM);
                let ended = program.end();
                assert!(since.elapsed() < GRACE + BUSY, "{name}, {reports}");
                assert_eq!(ended.code, Some(143), "{name}, {reports}");
                drop(pipe);
            }
        }
    });
}

/// The value is returned, whatever still waits to be told.
#[test]
fn a_value_is_returned_all_the_same() {
    both_flavors(|flavor| {
        for reports in UNHEARD {
            let ended = ends_in_time("returns", flavor, reports, &[Signal::TERM]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert_eq!(ended.lines, ["the value of main"]);
        }
    });
}

/// Each line is whole, and none is missing, however many are being written when all has ended.
#[test]
fn all_that_is_lost_is_reported_by_whole_lines() {
    both_flavors(|flavor| {
        for _ in 0..20 {
            let (program, _) = ready("loses_many", flavor, "heard");
            program.send(Signal::TERM);
            let ended = program.end();
            assert_eq!(ended.code, Some(143));
            let whole = |line: &&str| {
                line.starts_with("taskscope: lost cleanup: ") && line.contains("ending.rs:")
            };
            let lines = ended.errors.lines().filter(whole).count();
            assert_eq!(
                (lines, ended.errors.lines().count()),
                (50, 50),
                "{}",
                ended.errors
            );
        }
    });
}

/// A hook that takes its time is waited for.
#[test]
fn what_a_hook_returns_late_is_not_lost() {
    both_flavors(|flavor| {
        let (program, _) = ready("loses_slowly", flavor, "slow_hook");
        program.send(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.code, Some(143));
        assert_eq!(ended.lines.len(), 5, "{ended:?}");
        assert!(
            ended
                .lines
                .iter()
                .all(|line| line.starts_with("told: lost cleanup"))
        );

        let ended = Program::start(EXE, ["late_at_its_end", flavor, "slow_hook"]).end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let [told] = &ended.lines[..] else {
            panic!("{ended:?}")
        };
        assert!(told.starts_with("told: late"), "{told}");
    });
}

/// As a value is: the panic is resumed when the grace period is over.
#[test]
fn a_panic_does_not_wait_for_ever_for_the_blocking_pool() {
    both_flavors(|flavor| {
        let since = Instant::now();
        let ended = Program::start(EXE, ["panics_beside_work", flavor, "heard"]).end();
        let took = since.elapsed();
        assert!((GRACE..GRACE + BUSY).contains(&took), "{took:?}");
        assert_eq!(ended.code, Some(101));
        assert!(ended.errors.contains("on purpose"), "{}", ended.errors);
    });
}

#[test]
fn what_the_end_waits_for_is_said_after_a_second() {
    both_flavors(|flavor| {
        let since = Instant::now();
        let ended = Program::start(EXE, ["returns_beside_work", flavor, "heard"]).end();
        assert!(since.elapsed() >= Duration::from_millis(2500));
        assert_eq!(ended.code, Some(0));
        let expected = "taskscope: main has returned; waiting for work on tokio's blocking pool that no scope owns \
                        (a file write, DNS, stdin), at most 1.5 s more\n";
        assert_eq!(ended.errors, expected);
    });
}

/// tokio promises it, where the runtime has the time.
#[test]
fn a_file_is_written_to_its_end_after_main_has_returned() {
    both_flavors(|flavor| {
        let name = format!("taskscope-ending-{}-{flavor}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("file");
        let ended = Program::start(EXE, ["writes", flavor, "heard", path.to_str().unwrap()]).end();
        let written = std::fs::read(&path);
        std::fs::remove_dir_all(&folder).unwrap();
        let written = written.unwrap();
        assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
        assert_eq!(written.len(), 64 << 20);
        assert!(written.iter().all(|byte| *byte == 7));
    });
}

/// The signal came when `main` was being left already, for a reason of its own.
#[test]
fn the_exit_code_is_that_of_the_reason() {
    both_flavors(|flavor| {
        let (program, _) = ready("cancels_itself", flavor, "heard");
        program.send(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.code, Some(1));
        assert_eq!(
            ended.errors,
            "taskscope: `main` was cancelled: out of work\n"
        );

        let (program, _) = ready("cancels_itself_and_blocks", flavor, "heard");
        program.send(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.code, Some(1));
        // The work, with its last checkpoint, and then what the process does.
        let stuck = ended.errors.lines();
        let stuck: Vec<_> = stuck.filter(|line| line.contains("stuck: ")).collect();
        assert_eq!(stuck.len(), 2, "{}", ended.errors);
        let place = "ending.rs:";
        for (line, what) in stuck.iter().zip([
            " is still running, last checkpoint at ",
            " the process exits with work still running, after SIGTERM, ",
        ]) {
            assert!(line.starts_with("taskscope: stuck: "), "{line}");
            assert!(line.contains(what) && line.contains(place), "{line}");
            assert!(line.ends_with(" in `main`"), "{line}");
        }
    });
}

/// Some supervisors send several at once, and mean one.
#[test]
fn a_burst_of_signals_is_one() {
    both_flavors(|flavor| {
        let (program, _) = ready("leaves_in_time", flavor, "heard");
        for signal in [Signal::INT, Signal::TERM, Signal::INT, Signal::TERM] {
            program.send(signal);
            std::thread::sleep(Duration::from_millis(5));
        }
        let ended = program.end();
        assert_eq!((ended.code, &*ended.errors), (Some(130), ""));
        assert_eq!(ended.lines, ["leaving", "clean"]);
    });
}

/// What a second signal cuts has not used up the grace period, and is not said to have.
#[test]
fn what_a_second_signal_cuts_is_said_to_be_cut() {
    both_flavors(|flavor| {
        let (mut program, _) = ready("is_cut", flavor, "heard");
        program.send(Signal::INT);
        assert_eq!(program.line(), "leaving");
        program.send_another(Signal::TERM);
        let ended = program.end();
        assert_eq!(ended.code, Some(130));
        let expected = "`defer!` had not ended when a second signal ended the grace period, and was dropped after ";
        assert!(ended.errors.contains(expected), "{}", ended.errors);
        assert!(!ended.errors.contains("exceeded"), "{}", ended.errors);

        let (program, _) = ready("overruns", flavor, "heard");
        program.send(Signal::INT);
        let ended = program.end();
        assert!(
            ended.errors.contains("exceeded the grace period"),
            "{}",
            ended.errors
        );
    });
}

/// Nothing else would name it where no watchdog runs: the thread waits for ever, and nobody is told.
#[test]
fn an_executor_inside_of_a_poll_is_named_after_the_grace_period() {
    both_flavors(|flavor| {
        for name in ["nests_an_executor", "nests_an_executor_in_a_drop"] {
            let since = Instant::now();
            let (program, _) = ready(name, flavor, "heard");
            let line = program.error_line();
            assert!(since.elapsed() >= GRACE, "{line}");
            assert!(
                line.starts_with("taskscope: late: still running "),
                "{line}"
            );
            assert!(line.contains("block_on"), "{line}");
            assert!(line.contains("ending.rs:"), "{line}");
            assert!(line.ends_with("in `main > import`"), "{line}");
            program.send(Signal::TERM);
            let ended = program.end();
            assert_eq!(ended.code, Some(143));
            assert_eq!(
                ended.errors.matches("late: ").count(),
                1,
                "{}",
                ended.errors
            );
        }
        let ended = Program::start(EXE, ["combines", flavor, "heard"]).end();
        assert_eq!((ended.code, &*ended.errors), (Some(0), ""));
    });
}

/// The thread that ends the process goes on.
#[test]
fn a_waker_that_panics_stops_no_shutdown() {
    both_flavors(|flavor| {
        let (program, _) = ready("wakes_with_a_panic", flavor, "heard");
        let since = Instant::now();
        program.send(Signal::TERM);
        let ended = program.end();
        assert!(since.elapsed() < GRACE + BUSY);
        assert_eq!(ended.code, Some(143), "{}", ended.errors);
        assert!(
            ended.errors.contains("exceeded the grace period"),
            "{}",
            ended.errors
        );
    });
}
