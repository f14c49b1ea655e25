//! A whole program beside its counterpart: `treehash` and `sha256sum`.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::time::Instant;

use crate::family::{Contestant, Family, Peer, Size, since};

/// A directory of small files in many directories; removed when dropped.
struct Tree(PathBuf);

impl Tree {
    fn new(files: usize) -> io::Result<Tree> {
        let root = std::env::temp_dir().join(format!("taskscope-benches-{}", std::process::id()));
        let tree = Tree(root);
        for n in 0..files {
            let directory = tree.0.join(format!("tree/{}", n / 100));
            if n % 100 == 0 {
                std::fs::create_dir_all(&directory)?;
            }
            // From nothing to 32 KiB, as sources are.
            let bytes = vec![n as u8; n * 7919 % (32 * 1024)];
            std::fs::write(directory.join(n.to_string()), bytes)?;
        }
        Ok(tree)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

/// The family of this module, if `treehash` is there or can be built.
#[must_use]
pub fn families(size: Size) -> Vec<Family> {
    let Some(treehash) = treehash() else {
        return Vec::new();
    };
    let files = size.of(20_000);
    let tree = Rc::new(OnceCell::new());
    let with_tree = |name, script: String| {
        let tree = tree.clone();
        Contestant::new(name, move || {
            let tree: &Tree = tree.get_or_init(|| Tree::new(files).expect("files can be written"));
            run(&script, &tree.0, files)
        })
    };
    let ours = format!("'{}' -j 2 tree -o sums", treehash.display());
    let theirs = "find tree -type f -print0 | xargs -0 -P 2 -n 500 sha256sum > sums";
    vec![Family::timed(
        with_tree("treehash -j 2", ours),
        vec![Peer::with_goal(
            "treehash",
            1.0,
            with_tree("xargs -P 2 sha256sum", theirs.to_owned()),
        )],
    )]
}

fn run(script: &str, directory: &Path, files: usize) -> f64 {
    let start = Instant::now();
    let status = Command::new("sh")
        .args(["-c", script])
        .current_dir(directory)
        .stderr(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "`{script}` failed"
    );
    since(start, files)
}

/// The program, beside this one; cargo builds it if it is not there yet.
fn treehash() -> Option<PathBuf> {
    let path = std::env::current_exe().ok()?.parent()?.join("treehash");
    if path.exists() {
        return Some(path);
    }
    let built = Command::new(std::env::var_os("CARGO")?)
        .args(["build", "--quiet", "--release", "-p", "taskscope-examples"])
        .args(["--bin", "treehash"])
        .status();
    (built.is_ok_and(|built| built.success()) && path.exists()).then_some(path)
}
