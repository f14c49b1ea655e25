//! Asks rust-analyzer what an editor asks, in annotated code and in the same code without
//! the attribute, and prints where the annotated code is worse.
//!
//! ```text
//! cargo run --release --manifest-path tests/editor/Cargo.toml [QUESTION [PART OF A NAME]]
//! cargo run --release --manifest-path tests/editor/Cargo.toml diagnostics
//! cargo run --release --manifest-path tests/editor/Cargo.toml speed
//! ```
//!
//! Ends with 1 if something is worse that is not marked as inherent.

mod ask;
mod diagnostics;
mod lsp;
mod situation;
mod speed;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use crate::ask::{QUESTIONS, Question};
use crate::lsp::Server;
use crate::situation::Situation;

/// The folder of this program.
const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The file that all situations are written into.
const FILE: &str = "src/case.rs";

/// How many situations are worse.
#[derive(Default)]
struct Worse {
    asked: usize,
    inherent: usize,
    real: usize,
}

fn main() -> ExitCode {
    match run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> io::Result<usize> {
    let mut arguments = env::args().skip(1);
    let question = arguments.next();
    let part = arguments.next().unwrap_or_default();
    let is_asked = |name: &str| question.as_ref().is_none_or(|question| question == name);
    let mut real = 0;
    if is_asked("diagnostics") {
        real += diagnostics::count()?;
    }
    let asked = QUESTIONS.iter().filter(|asked| is_asked(asked.name));
    let asked: Vec<_> = asked.collect();
    if !asked.is_empty() || is_asked("speed") {
        let mut server = Server::start(&prepare()?, FILE, "")?;
        for question in asked {
            real += ask_all(&mut server, question, &part)?;
        }
        if is_asked("speed") {
            real += speed::count(&mut server)?;
        }
    }
    Ok(real)
}

/// Makes the project that the situations are compiled in, and builds it once: the server
/// needs the macros.
fn prepare() -> io::Result<PathBuf> {
    let project = make_project("user")?;
    fs::create_dir_all(project.join("src"))?;
    for file in ["src/lib.rs", "src/conn.rs", "src/options.rs"] {
        fs::copy(Path::new(HERE).join("user").join(file), project.join(file))?;
    }
    fs::write(project.join(FILE), "")?;
    let built = Command::new("cargo")
        .arg("check")
        .arg("--quiet")
        .current_dir(&project)
        .status()?;
    match built.success() {
        true => Ok(project),
        false => Err(io::Error::other(
            "the project of the situations does not compile",
        )),
    }
}

/// A project below `target`, with the manifest of the folder `name`.
fn make_project(name: &str) -> io::Result<PathBuf> {
    let here = Path::new(HERE);
    let project = here.join("target").join(name);
    fs::create_dir_all(&project)?;
    let runtime = here.join("../../runtime").canonicalize()?;
    let manifest = fs::read_to_string(here.join(name).join("Cargo.toml.in"))?;
    let manifest = manifest.replace("TASKSCOPE", &runtime.display().to_string());
    fs::write(project.join("Cargo.toml"), manifest)?;
    Ok(project)
}

/// How many situations are worse that are not marked.
fn ask_all(server: &mut Server, question: &Question, part: &str) -> io::Result<usize> {
    let mut worse = Worse::default();
    let situations = situation::parse(question.situations);
    for situation in situations
        .iter()
        .filter(|situation| situation.name.contains(part))
    {
        worse.asked += 1;
        let losses = ask_one(server, question, situation)?;
        match (losses.is_empty(), situation.inherent) {
            (true, _) => continue,
            (false, Some(_)) => worse.inherent += 1,
            (false, None) => worse.real += 1,
        }
        let why = situation
            .inherent
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        println!("  {}: {}{why}", question.name, situation.name);
        losses.iter().for_each(|loss| println!("      {loss}"));
    }
    println!(
        "{}: {} situations, {} worse, {} inherent",
        question.name, worse.asked, worse.real, worse.inherent
    );
    Ok(worse.real)
}

fn ask_one(
    server: &mut Server,
    question: &Question,
    situation: &Situation,
) -> io::Result<Vec<String>> {
    let mut shown = Vec::new();
    for code in [&situation.annotated, &situation.plain] {
        server.change(&code.text)?;
        shown.push((question.ask)(server, code)?);
    }
    Ok((question.loss)(situation, &shown[0], &shown[1]))
}
