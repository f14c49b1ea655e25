//! `treehash`, cancelled wherever it can be: the manifest is there whole, or not at all.

#![cfg(unix)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use taskscope::testing::cancel_everywhere;
use taskscope_examples::treehash::args::Args;
use taskscope_examples::treehash::progress::Progress;
use taskscope_examples::treehash::treehash;

const FILES: usize = 40;

/// A directory of its own, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let name = format!("everywhere-{}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        for number in 0..FILES {
            let dir = path.join(format!("tree/{}", number % 4));
            fs::create_dir_all(&dir).unwrap();
            // Some take more than one step to be read.
            let size = if number % 10 == 0 { 3 << 20 } else { 100 };
            fs::write(dir.join(number.to_string()), vec![7; size]).unwrap();
        }
        Place(path)
    }

    /// Nothing but the tree and, if it is there, a whole manifest.
    fn is_tidy(&self) -> Result<(), String> {
        for entry in fs::read_dir(&self.0).unwrap() {
            let name = entry.unwrap().file_name();
            if name == "SHA256SUMS" {
                let lines = fs::read_to_string(self.0.join(&name)).unwrap();
                let lines = lines.lines().count();
                if lines != FILES {
                    return Err(format!("the manifest has {lines} lines"));
                }
            } else if name != "tree" {
                return Err(format!("{} is left behind", name.display()));
            }
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn treehash_leaves_nothing_half_written() {
    let place = Place::new();
    let manifest = place.0.join("SHA256SUMS");
    let args = Args {
        dir: place.0.join("tree"),
        output: Some(manifest.clone()),
        jobs: 2,
        timeout: None,
    };
    let progress = Arc::new(Progress::default());
    let coverage = cancel_everywhere(|| async {
        fs::remove_file(&manifest).ok();
        treehash(&args, &progress).await.ok();
    })
    .check(|| place.is_tidy());
    println!("treehash: {coverage}");
    assert!(coverage.points() >= 10, "{coverage}");
}
