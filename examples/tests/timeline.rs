//! The example `timeline`: its file has the tasks in their tree, and the events.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

#[test]
fn the_file_has_spans_in_pairs_and_events() {
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("timeline.json");
    let program = Command::new(env!("CARGO_BIN_EXE_timeline"))
        .arg(&file)
        .output()
        .unwrap();
    let lines = String::from_utf8(program.stderr).unwrap();
    assert!(program.status.success(), "{lines}");
    // A span is printed with those it lies in.
    let nested = "task{name=\"market\" location=examples/src/bin/timeline.rs:";
    assert!(lines.contains(nested), "{lines}");

    let trace: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let events = trace.as_array().unwrap();
    let named = |name: &str, phase: &str| {
        let is = |event: &&Value| event["name"] == name && event["ph"] == phase;
        events.iter().filter(is).count()
    };
    // Three sellers, and two requests each.
    assert_eq!((named("task", "b"), named("task", "e")), (9, 9));
    // Requests lie in the sellers' spans, which have no parent.
    let ids: BTreeSet<_> = events
        .iter()
        .filter(|event| event["name"] == "task")
        .map(|event| event["id"].to_string())
        .collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
    let count = |text: &str| lines.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("cleanup begins"), 3, "{lines}");
    assert_eq!(count("cleanup ends"), 3, "{lines}");
    assert_eq!(
        count("cancel scope=\"prices\" reason=deadline passed"),
        1,
        "{lines}"
    );
}
