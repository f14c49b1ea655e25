//! The languages that the idea comes from, as far as they are installed: asyncio's
//! `TaskGroup` and Go's `errgroup`, each round a process of its own that measures
//! itself.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cancel::wide_group;
use crate::family::{Contestant, Family, Peer, Size, timed};
use crate::tasks;

/// A program that prints the nanoseconds per task of the work named by its first
/// argument, done with as many tasks as its second says.
#[derive(Clone, Debug)]
struct Program {
    name: &'static str,
    /// The rows of its two works.
    rows: [&'static str; 2],
    executable: PathBuf,
    script: Option<PathBuf>,
}

impl Program {
    fn measure(&self, work: &str, count: usize) -> Option<f64> {
        let output = Command::new(&self.executable)
            .args(&self.script)
            .args([work, &count.to_string()])
            .output()
            .ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    }

    fn peer(&self, row: &'static str, work: &'static str, count: usize) -> Peer {
        let program = self.clone();
        let round = move || program.measure(work, count).expect("it worked before");
        Peer::for_information(row, Contestant::new(self.name, round))
    }
}

/// The families of this module.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    let programs: Vec<_> = [python(), go()].into_iter().flatten().collect();
    if programs.is_empty() {
        return Vec::new();
    }
    let (spawned, cancelled) = (size.of(50_000), size.of(100_000));
    let spawn = programs
        .iter()
        .map(|program| program.peer(program.rows[0], "spawn_join", spawned));
    let cancel = programs
        .iter()
        .map(|program| program.peer(program.rows[1], "cancel", cancelled));
    vec![
        Family::timed(
            Contestant::on_workers("group", spawned, |n| timed(n, tasks::group(n))),
            spawn.collect(),
        ),
        Family::timed(
            Contestant::on_workers("group", cancelled, wide_group),
            cancel.collect(),
        ),
    ]
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/peers")
}

/// Python, if it is new enough to have task groups.
fn python() -> Option<Program> {
    let program = Program {
        name: "Python asyncio.TaskGroup",
        rows: ["python_spawn_join", "python_cancel"],
        executable: "python3".into(),
        script: Some(sources().join("tasks.py")),
    };
    program.measure("spawn_join", 1).map(|_| program)
}

/// Go, if it can build its module here. Built in a directory of its own, since Go
/// writes beside the sources.
fn go() -> Option<Program> {
    let directory = std::env::temp_dir().join(format!("taskscope-go-{}", std::process::id()));
    std::fs::create_dir_all(&directory).ok()?;
    for name in ["go.mod", "main.go"] {
        std::fs::copy(sources().join("go").join(name), directory.join(name)).ok()?;
    }
    let built = Command::new("go")
        .args(["build", "-mod=mod", "-o", "peer", "."])
        .current_dir(&directory)
        .output();
    if !built.is_ok_and(|built| built.status.success()) {
        std::fs::remove_dir_all(&directory).ok();
        return None;
    }
    Some(Program {
        name: "Go errgroup",
        rows: ["go_spawn_join", "go_cancel"],
        executable: directory.join("peer"),
        script: None,
    })
}
