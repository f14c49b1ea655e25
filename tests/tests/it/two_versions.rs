//! Two versions of the crate in one program would be two trees that do not see each other.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Cargo compares the key `links` of packages before it builds anything, so the other version
/// may be empty.
#[test]
fn cargo_refuses_two_versions() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("two_versions");
    let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime");
    let package = |name: &str, manifest: &str| {
        let package = folder.join(name);
        fs::create_dir_all(package.join("src")).unwrap();
        fs::write(package.join("Cargo.toml"), manifest).unwrap();
        fs::write(package.join("src/lib.rs"), "").unwrap();
        fs::write(package.join("build.rs"), "fn main() {}").unwrap();
    };
    package(
        "other",
        "[package]\nname = 'taskscope'\nversion = '0.0.1'\nlinks = 'taskscope'\n",
    );
    package(
        "program",
        &format!(
            "[package]\nname = 'program'\n[workspace]\n[dependencies]\n\
             taskscope = {{ path = '{}' }}\n\
             other = {{ package = 'taskscope', path = '../other' }}\n",
            runtime.display()
        ),
    );
    // With the lock file at hand, cargo asks no registry.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    fs::copy(lock, folder.join("program/Cargo.lock")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version", "1"])
        .current_dir(folder.join("program"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{text}");
    assert!(text.contains("taskscope"), "{text}");
    assert!(text.contains("links to"), "{text}");
}
