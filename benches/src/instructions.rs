//! Instructions and allocations of each row, on one thread: what a busy machine does
//! not change.
//!
//! The program runs itself under valgrind's callgrind. Every contestant does its work
//! twice there, three times as much the second time: the difference is the cost of
//! the work alone. Callgrind writes a file each time `counted` returns, so that one
//! run is enough for all rows.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::hint::black_box;
use std::path::Path;
use std::process::{self, Command};

use crate::allocations;
use crate::families;
use crate::family::{Contestant, Countable, Family, Peer, Size, Unit};
use crate::report::Row;

/// What one piece of the work takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Instructions.
    pub instructions: f64,
    /// Allocations.
    pub allocations: f64,
}

/// What was counted.
pub struct Counted {
    /// The rows of the table, ours beside the peer's instructions.
    pub rows: Vec<Row>,
    /// Ours, by the first row of the family.
    pub ours: BTreeMap<&'static str, Cost>,
}

/// The name of `counted` in the program.
const COUNTED: &str = "taskscope_benches::instructions::counted";

/// Does the work; callgrind counts from here to the end of the call.
#[inline(never)]
fn counted(work: &Countable) -> u64 {
    let before = allocations::of_this_thread();
    (work.round)();
    // The result keeps the call above from becoming a jump, after which callgrind
    // would not see the end.
    black_box(allocations::of_this_thread() - before)
}

/// The rows that are `wanted` and can be counted, in one size.
fn chosen(size: Size, wanted: &dyn Fn(&str) -> bool) -> Vec<Family> {
    let mut families = families(size);
    for family in &mut families {
        family.retain(wanted);
        let is_countable = |peer: &Peer| peer.contestant.countable().is_some();
        family.peers.retain(is_countable);
        // The goals are for times.
        family.peers.iter_mut().for_each(|peer| peer.goal = None);
    }
    families.retain(|family| family.unit == Unit::Nanoseconds && !family.peers.is_empty());
    families
}

/// The work of these families, in the order in which it is counted.
fn works(families: &[Family]) -> impl Iterator<Item = &Countable> {
    families.iter().flat_map(|family| {
        let peers = family.peers.iter().map(|peer| &peer.contestant);
        std::iter::once(&family.ours)
            .chain(peers)
            .filter_map(Contestant::countable)
    })
}

/// What runs under callgrind: all work, and a line for each with the pieces and allocations that
/// the second run has more.
pub fn work(wanted: &dyn Fn(&str) -> bool) {
    let (small, large) = (chosen(Size::COUNTED, wanted), chosen(Size::THRICE, wanted));
    for (small, large) in works(&small).zip(works(&large)) {
        // What is made once.
        (small.round)();
        let (few, many) = (counted(small), counted(large));
        println!("{} {}", large.pieces - small.pieces, many - few);
    }
}

/// Counts the rows that are `wanted`; `only` names them for the program that runs
/// under callgrind.
///
/// # Errors
///
/// When callgrind is missing, or what it writes is not understood.
pub fn count(only: &[String], wanted: &dyn Fn(&str) -> bool) -> Result<Counted, String> {
    let folder = env::temp_dir().join(format!("taskscope-instructions-{}", process::id()));
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let costs = under_callgrind(&folder, only);
    fs::remove_dir_all(&folder).ok();
    let mut costs = costs?.into_iter();
    let mut next = || costs.next().ok_or("callgrind counted too little");

    let mut counted = Counted {
        rows: Vec::new(),
        ours: BTreeMap::new(),
    };
    for family in chosen(Size::COUNTED, wanted) {
        let unit = Unit::Instructions;
        let (family, ours) = (Family { unit, ..family }, next()?);
        counted.ours.insert(family.peers[0].row, ours);
        for peer in &family.peers {
            let row = Row::new(&family, peer, ours.instructions, next()?.instructions);
            counted.rows.push(row);
        }
    }
    Ok(counted)
}

/// What each contestant takes for one piece.
fn under_callgrind(folder: &Path, only: &[String]) -> Result<Vec<Cost>, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!(
            "--callgrind-out-file={}",
            folder.join("out").display()
        ))
        .arg(format!("--zero-before={COUNTED}"))
        .arg(format!("--dump-after={COUNTED}"))
        .arg(program)
        .arg("--counted-work");
    for name in only {
        command.args(["--only", name]);
    }
    let output = command
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("valgrind failed ({}):\n{said}", output.status));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let costs = lines.lines().enumerate().map(|(index, line)| {
        let numbers: Vec<f64> = line.split(' ').flat_map(str::parse).collect();
        let [pieces, allocations] = numbers[..] else {
            return Err(format!("not a line of counts: `{line}`"));
        };
        // Two files for each, counted from one.
        let sum = |run: usize| summary(&folder.join(format!("out.{}", 2 * index + run)));
        let instructions = sum(2)? - sum(1)?;
        Ok(Cost {
            instructions: instructions / pieces,
            allocations: allocations / pieces,
        })
    });
    costs.collect()
}

/// The sum at the head of a file of callgrind.
fn summary(file: &Path) -> Result<f64, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let sum = text.lines().find_map(|line| line.strip_prefix("summary: "));
    let sum = sum.and_then(|sum| sum.trim().parse().ok());
    sum.ok_or_else(|| format!("{} has no summary", file.display()))
}

/// What the instructions depend on beside the code: a baseline of another toolchain,
/// C library or lock file says nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The key of this machine and this checkout.
    ///
    /// # Errors
    ///
    /// When the compiler, the C library or the lock file cannot be asked.
    pub fn current() -> Result<Key, String> {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");
        let lock = fs::read(lock).map_err(|error| format!("{lock}: {error}"))?;
        let rustc = said(Command::new("rustc").arg("--version"))?;
        let libc = said(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
        let valgrind = said(Command::new("valgrind").arg("--version"))?;
        // The same for each compiler, which is a part of the key.
        let mut hasher = DefaultHasher::new();
        hasher.write(&lock);
        let lock = hasher.finish();
        Ok(Key(format!(
            "{rustc}, {libc}, {valgrind}, lock file {lock:016x}"
        )))
    }
}

fn said(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What each row took when it was last looked at.
pub struct Baseline {
    key: Key,
    rows: BTreeMap<String, Cost>,
}

/// How much a row may grow, and by how many instructions in any case: what other
/// threads do now and then is a part of the count.
const TOLERANCE: f64 = 1.03;
const OTHER_THREADS: f64 = 2.0;

/// Allocations that appear as parts of one are noise: a list that grows now and then.
const PART_OF_AN_ALLOCATION: f64 = 0.02;

impl Baseline {
    /// What [`text`](Baseline::text) wrote.
    ///
    /// # Errors
    ///
    /// When the text is not one of a baseline.
    pub fn read(text: &str) -> Result<Baseline, String> {
        let mut lines = text.lines();
        let key = lines.next().ok_or("the baseline is empty")?;
        let mut rows = BTreeMap::new();
        for line in lines {
            let parts: Vec<&str> = line.split_whitespace().collect();
            let [row, instructions, allocations] = parts[..] else {
                return Err(format!("not a row of a baseline: `{line}`"));
            };
            let number = |text: &str| text.parse().map_err(|_| format!("not a number: `{text}`"));
            let cost = Cost {
                instructions: number(instructions)?,
                allocations: number(allocations)?,
            };
            rows.insert(row.to_owned(), cost);
        }
        Ok(Baseline {
            key: Key(key.to_owned()),
            rows,
        })
    }

    /// A baseline of what was counted: its key, and a line for each row.
    #[must_use]
    pub fn text(key: &Key, counted: &Counted) -> String {
        let mut text = format!("{}\n", key.0);
        for (row, cost) in &counted.ours {
            let Cost {
                instructions,
                allocations,
            } = cost;
            writeln!(text, "{row:<18} {instructions:>9.1} {allocations:>6.2}").ok();
        }
        text
    }

    /// The rows that take more than they did, each as a line of text; `None` where the
    /// baseline is of another toolchain.
    #[must_use]
    pub fn grown(&self, key: &Key, counted: &Counted) -> Option<Vec<String>> {
        let rows = counted.ours.iter();
        let grown = rows.filter_map(|(row, now)| Some((row, self.rows.get(*row)?, now)));
        let grown = grown.filter(|(_, before, now)| {
            now.instructions > before.instructions * TOLERANCE + OTHER_THREADS
                || now.allocations > before.allocations + PART_OF_AN_ALLOCATION
        });
        let lines = grown.map(|(row, before, now)| {
            format!(
                "{row}: {:.1} instructions and {:.2} allocations, before {:.1} and {:.2}",
                now.instructions, now.allocations, before.instructions, before.allocations
            )
        });
        (self.key == *key).then(|| lines.collect())
    }
}
