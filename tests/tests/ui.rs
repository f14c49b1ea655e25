//! What the compiler says about misuse, word for word.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// The compiler whose messages the expectations quote.
const STABLE: &str = "rustc 1.95.";

#[test]
fn pass() {
    trybuild::TestCases::new().pass("ui/*/pass/*.rs");
}

#[test]
fn fail() {
    let version = compiler();
    if version.starts_with(STABLE) && !version.contains("nightly") {
        let cases = trybuild::TestCases::new();
        if has_library_source() {
            quoting_no_library().for_each(|case| cases.compile_fail(case));
        } else {
            cases.compile_fail("ui/*/fail/*.rs");
        }
    } else {
        println!("skipped: the expectations are for {STABLE}x, this is {version}");
    }
}

/// Whether rustc can quote the standard library: then some messages are longer.
fn has_library_source() -> bool {
    let sysroot = Command::new("rustc")
        .args(["--print", "sysroot"])
        .output()
        .unwrap();
    let sysroot = String::from_utf8(sysroot.stdout).unwrap();
    Path::new(sysroot.trim())
        .join("lib/rustlib/src/rust")
        .exists()
}

/// The cases whose expectation points to no line of the standard library.
fn quoting_no_library() -> impl Iterator<Item = PathBuf> {
    let folders = fs::read_dir("ui")
        .unwrap()
        .map(|folder| folder.unwrap().path().join("fail"));
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    let cases = files.map(|file| file.unwrap().path());
    let cases = cases.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    cases.filter(|case| {
        let expected = fs::read_to_string(case.with_extension("stderr")).unwrap_or_default();
        let quotes = expected.contains("$RUST/");
        if quotes {
            println!("skipped with `rust-src`: {}", case.display());
        }
        !quotes
    })
}

/// The page of the guide that has messages for headings has them word for word.
#[test]
fn the_guide_quotes_what_is_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("../runtime/src/guide/compile_errors.md")).unwrap();
    let said = expected_errors(&root.join("ui")).unwrap();
    let headings = headings(&page);
    assert!(headings.len() > 5, "{headings:?}");
    for heading in headings {
        let is_said = said.iter().any(|error| error == heading);
        assert!(is_said, "in no expectation under `ui`: {heading}");
    }
}

/// The lines that begin with `# ` outside of code.
fn headings(page: &str) -> Vec<&str> {
    let prose = page.split("```").step_by(2);
    prose
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("# "))
        .collect()
}

/// The first line of every error in the expectations, without `error: ` or `error[E…]: `.
fn expected_errors(ui: &Path) -> io::Result<Vec<String>> {
    let mut errors = Vec::new();
    for folder in fs::read_dir(ui)? {
        for file in fs::read_dir(folder?.path().join("fail"))? {
            let path = file?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "stderr")
            {
                let text = fs::read_to_string(path)?;
                let errors_of_file = text.lines().filter(|line| line.starts_with("error"));
                let messages = errors_of_file.filter_map(|line| line.split_once(": "));
                errors.extend(messages.map(|(_, message)| message.to_owned()));
            }
        }
    }
    Ok(errors)
}

fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-V").output();
    output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
