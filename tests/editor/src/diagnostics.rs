//! The errors that rust-analyzer finds in right code, of which there must be none: in the workspace, in
//! the cases that compile of `tests/ui`, and in the programs of the documentation.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

use crate::{HERE, make_project};

/// Crates of the workspace that do not compile without a feature, which cannot be told to rust-analyzer here.
const OFF: &[(&str, &str)] = &[
    ("spans", "needs the feature `tracing`"),
    ("timeline", "needs the feature `timeline`"),
];

/// How many errors there are.
pub fn count() -> io::Result<usize> {
    let root = Path::new(HERE).join("../..").canonicalize()?;
    let programs = programs(&root)?;
    let (files, project) = (programs.len(), make_project("programs")?);
    let examples = project.join("examples");
    if examples.exists() {
        fs::remove_dir_all(&examples)?;
    }
    fs::create_dir_all(&examples)?;
    for (name, program) in programs {
        fs::write(examples.join(format!("{name}.rs")), program)?;
    }
    let (workspace, programs) = (errors(&root)?, errors(&project)?);
    println!("diagnostics: {workspace} errors in the workspace, {programs} in {files} programs");
    Ok(workspace + programs)
}

/// The cases that compile, and the programs of the documentation, with a name for each.
fn programs(root: &Path) -> io::Result<Vec<(String, String)>> {
    let mut programs = Vec::new();
    for folder in ["README.md", "macros/src", "runtime/src", "tests/ui"] {
        for path in files(&root.join(folder))? {
            let (text, shown) = (fs::read_to_string(&path)?, path.display().to_string());
            let name = shown.trim_start_matches(&*root.display().to_string());
            let name = name.replace(|c: char| !c.is_alphanumeric(), "_");
            if folder != "tests/ui" {
                let found = match shown.ends_with(".md") {
                    true => in_documentation(text.lines()),
                    false => in_documentation(text.lines().filter_map(comment)),
                };
                let found = found.into_iter().enumerate();
                programs.extend(found.map(|(at, program)| (format!("p{name}_{at}"), program)));
            } else if shown.contains("/pass/") {
                programs.push((format!("p{name}"), text));
            }
        }
    }
    Ok(programs)
}

/// The files in a folder, or the file itself.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        let is_read = path
            .extension()
            .is_some_and(|end| end == "rs" || end == "md");
        return Ok(is_read.then(|| path.to_owned()).into_iter().collect());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        found.extend(files(&entry?.path())?);
    }
    Ok(found)
}

/// The programs that rustdoc compiles, as it does.
fn in_documentation<'t>(lines: impl Iterator<Item = &'t str>) -> Vec<String> {
    let (mut programs, mut program, mut is_text) = (Vec::new(), None::<String>, false);
    for line in lines {
        match (line.trim_start().strip_prefix("```"), &mut program) {
            (Some(""), Some(_)) => programs.extend(program.take().map(with_main)),
            (Some(""), None) if is_text => is_text = false,
            (Some("" | "rust" | "no_run" | "rust,no_run"), None) => program = Some(String::new()),
            (Some(_), None) => is_text = true,
            (_, Some(program)) => *program += &format!("{}\n", shown(line)),
            (_, None) => {}
        }
    }
    programs
}

/// The line without what makes it a comment, if it documents something.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("///").or(line.strip_prefix("//!"))?;
    Some(line.strip_prefix(' ').unwrap_or(line))
}

// The line without the `#` that hides it.
fn shown(line: &str) -> &str {
    let line = line.trim_start_matches("# ");
    if line == "#" { "" } else { line }
}

fn with_main(program: String) -> String {
    match program.contains("fn main(") {
        true => program,
        false => format!("fn main() {{\n{program}\n}}"),
    }
}

fn errors(project: &Path) -> io::Result<usize> {
    let output = Command::new("rust-analyzer")
        .args(["diagnostics", "--severity", "error"])
        .arg(project)
        .output()?;
    // Its bar of progress goes back over what it has written.
    let output = String::from_utf8_lossy(&output.stdout).replace('\u{8}', "");
    if !output.contains("diagnostic scan complete") {
        return Err(io::Error::other("rust-analyzer has not read the project"));
    }
    let found = output.split("at crate ").skip(1);
    let found = found.filter(|error| !OFF.iter().any(|(name, _)| error.starts_with(name)));
    let found: Vec<_> = found.filter_map(|error| error.lines().next()).collect();
    found
        .iter()
        .for_each(|error| println!("  diagnostics: {error}"));
    Ok(found.len())
}
