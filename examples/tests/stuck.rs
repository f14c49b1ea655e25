//! The example `stuck`: a wedged program is understood from what it prints.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Killed at the end, since it does not end.
struct Wedged(Child);

impl Drop for Wedged {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The first line that the program prints.
fn report_of(how: &str) -> String {
    let program = Command::new(env!("CARGO_BIN_EXE_stuck"))
        .arg(how)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut program = Wedged(program);
    let mut line = String::new();
    let errors = program.0.stderr.take().unwrap();
    BufReader::new(errors).read_line(&mut line).unwrap();
    line
}

/// The place of the line that ends with this comment.
fn place_of(comment: &str) -> String {
    let source = include_str!("../src/bin/stuck.rs");
    let line = source.lines().position(|line| line.ends_with(comment));
    format!("src/bin/stuck.rs:{}:", line.unwrap() + 1)
}

#[test]
fn a_loop_in_code_without_annotations() {
    let report = report_of("loop");
    assert!(report.starts_with("taskscope: busy: "), "{report}");
    assert!(report.contains("`main > analysis > cycle`"), "{report}");
    assert!(report.contains(&place_of("// the loop")), "{report}");
}

#[test]
fn a_cleanup_that_never_ends() {
    let report = report_of("cleanup");
    assert!(report.starts_with("taskscope: late: "), "{report}");
    assert!(report.contains("`main > sessions > session`"), "{report}");
    assert!(report.contains("in the cleanup of `defer!`"), "{report}");
    assert!(report.contains(&place_of("// the cleanup")), "{report}");
}

#[test]
fn a_blocking_call_in_async_code() {
    let report = report_of("blocking");
    assert!(report.starts_with("taskscope: busy: "), "{report}");
    assert!(report.contains("`main > jobs > worker`"), "{report}");
    assert!(
        report.contains(&place_of("// the call comes after it")),
        "{report}"
    );
    if cfg!(target_os = "linux") {
        assert!(report.contains("it is blocked in a call"), "{report}");
    }
}
