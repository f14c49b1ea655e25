//! What the attribute costs `cargo check`: a crate of 1,000 async functions as they
//! are, with `#[cancellable]`, and with `#[tracing::instrument]` on each.
//!
//! ```text
//! cargo run --release --manifest-path tests/corpus/Cargo.toml --bin macro_cost [ROUNDS]
//! ```
//!
//! The three are checked in turns, after one round that builds what they depend on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

const FUNCTIONS: usize = 1_000;
const PER_MODULE: usize = 50;
const LIMIT: f64 = 1.3;

/// A crate, and what stands on its functions.
struct Variant {
    name: &'static str,
    attribute: &'static str,
}

const VARIANTS: [Variant; 3] = [
    Variant {
        name: "plain",
        attribute: "",
    },
    Variant {
        name: "cancellable",
        attribute: "#[taskscope::cancellable]\n",
    },
    Variant {
        name: "instrument",
        attribute: "#[tracing::instrument]\n",
    },
];

fn main() -> ExitCode {
    let rounds = std::env::args()
        .nth(1)
        .and_then(|rounds| rounds.parse().ok());
    let workspace = workspace();
    write_crates(&workspace);
    let mut times = [const { Vec::new() }; VARIANTS.len()];
    for round in 0..=rounds.unwrap_or(7) {
        for (variant, times) in VARIANTS.iter().zip(&mut times) {
            let time = check(&workspace, variant.name);
            if round > 0 {
                times.push(time);
            }
        }
    }
    let [plain, cancellable, instrument] = times.map(median);
    println!("cargo check of {FUNCTIONS} async functions, median, seconds of CPU time:");
    for (variant, time) in VARIANTS.iter().zip([plain, cancellable, instrument]) {
        println!("{:<12}{time:>7.2}{:>7.2} x", variant.name, time / plain);
    }
    if cancellable <= LIMIT * plain && cancellable < instrument {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn workspace() -> PathBuf {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(ours, PathBuf::from);
    target.join("macro_cost")
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

// Checks one crate from the start, and gives how long that took.
fn check(workspace: &Path, name: &str) -> f64 {
    let source = workspace.join(name).join("src/lib.rs");
    let text = fs::read(&source).expect("it was just written");
    fs::write(&source, text).expect("the workspace is ours");
    let (begin, before) = (Instant::now(), children_cpu());
    let status = Command::new("cargo")
        .args(["check", "--quiet", "--offline", "-p", name])
        .current_dir(workspace)
        .env("CARGO_TARGET_DIR", workspace.join("target"))
        .env("CARGO_INCREMENTAL", "0")
        .stdin(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "{name} does not compile"
    );
    match (before, children_cpu()) {
        (Some(before), Some(after)) => after - before,
        _ => begin.elapsed().as_secs_f64(),
    }
}

// Seconds, on Linux: the same however busy the machine is.
fn children_cpu() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks: u32 = fields[13].parse::<u32>().ok()? + fields[14].parse::<u32>().ok()?;
    Some(f64::from(ticks) / 100.0)
}

fn write_crates(workspace: &Path) {
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime");
    let members = VARIANTS.map(|variant| variant.name);
    let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n");
    write(&workspace.join("Cargo.toml"), &manifest);
    for Variant { name, attribute } in &VARIANTS {
        let manifest = format!(
            "[package]\nname = \"{name}\"\nedition = \"2024\"\n[dependencies]\n\
             taskscope.path = {runtime:?}\ntracing = \"0.1\"\n\
             tokio = {{ version = \"1\", features = [\"full\"] }}\n"
        );
        write(&workspace.join(name).join("Cargo.toml"), &manifest);
        write(&workspace.join(name).join("src/lib.rs"), &source(attribute));
    }
    let fetched = Command::new("cargo")
        .arg("fetch")
        .current_dir(workspace)
        .status();
    assert!(
        fetched.is_ok_and(|status| status.success()),
        "cargo cannot fetch tokio"
    );
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file has a directory"))
        .and_then(|()| fs::write(path, text))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn source(attribute: &str) -> String {
    let (model, functions) = MODEL
        .split_once("// Functions\n")
        .expect("MODEL has functions");
    let templates: Vec<&str> = functions.split("\n\n").collect();
    let mut text = model.to_owned();
    for number in 0..FUNCTIONS {
        if number % PER_MODULE == 0 {
            text += &format!("pub mod m{} {{\nuse super::*;\n", number / PER_MODULE);
        }
        text += attribute;
        text += &templates[number % templates.len()].replace("NUMBER", &number.to_string());
        text += "\n\n";
        if number % PER_MODULE == PER_MODULE - 1 {
            text += "}\n";
        }
    }
    text
}

/// Types, and behind them functions as they occur in services.
const MODEL: &str = include_str!("macro_cost_model.rs.txt");
