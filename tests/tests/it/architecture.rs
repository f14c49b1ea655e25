//! ARCHITECTURE.md names files that exist, and in them what it says stands there.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the paths of the document begin.
const ROOTS: [&str; 3] = ["", "runtime/src", "macros/src"];

/// The parts of a text between backticks, and what stands before each.
fn quoted(text: &str) -> Vec<(&str, &str)> {
    let parts: Vec<_> = text.split('`').collect();
    parts
        .chunks_exact(2)
        .map(|pair| (pair[0], pair[1]))
        .collect()
}

fn find(root: &Path, path: &str) -> Option<PathBuf> {
    let candidates = ROOTS.iter().map(|base| root.join(base).join(path));
    candidates.into_iter().find(|candidate| candidate.exists())
}

/// The last word of `Type::method` or `method()`.
fn word(code: &str) -> Option<&str> {
    let path = code.split(['(', '<', '.']).next()?;
    let word = path.rsplit("::").next()?;
    let is_word = !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_word.then_some(word)
}

#[test]
fn files_and_names_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    // The example of a cleanup is code, and the list of folders no text.
    let prose: Vec<_> = text.split("```").step_by(2).collect();
    let prose = prose.concat();
    let mut wrong = Vec::new();
    let (mut file, mut checked) = (None, 0);
    for (before, code) in quoted(&prose) {
        if code.ends_with(".rs") {
            file = find(&root, code);
            // `tests/ui/<macro>/…` stands for many files.
            if file.is_none() && !code.contains('<') {
                wrong.push(format!("there is no file `{code}`"));
            }
            continue;
        }
        // A name belongs to the file that is named right before it.
        let Some(path) = file.take().filter(|_| before.trim().is_empty()) else {
            continue;
        };
        let Some(word) = word(code) else { continue };
        checked += 1;
        let source = fs::read_to_string(&path).unwrap();
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        if !source.split(|c| !is_part(c)).any(|found| found == word) {
            wrong.push(format!("`{word}` is not in {}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked >= 20, "only {checked} names were found");
}
