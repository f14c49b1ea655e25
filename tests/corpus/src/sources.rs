//! Where the sources are: cargo fetches them, copies of them are changed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cargo;
use crate::subjects::Subject;

/// The directory in which everything is done.
pub(crate) struct Sources {
    root: PathBuf,
    /// The crates as cargo unpacked them.
    packages: Vec<(String, PathBuf)>,
}

/// A copy of a crate, as it is or changed.
#[derive(Clone, Copy)]
pub(crate) enum Variant {
    Plain,
    /// With something in each function that only those notice that are compiled.
    Probed,
    Annotated,
}

impl Sources {
    /// Lets cargo fetch the crates.
    pub(crate) fn fetch(subjects: &[&Subject]) -> Self {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or(ours, PathBuf::from);
        let root = target.join("corpus");
        let fetched = root.join("fetched");
        let mut manifest = "[package]\nname = \"fetched\"\nedition = \"2024\"\n[workspace]\n\
                            [lib]\npath = \"lib.rs\"\n[dependencies]\n"
            .to_owned();
        for subject in subjects {
            manifest += &format!("{} = \"={}\"\n", subject.name, subject.version);
        }
        write(&fetched.join("Cargo.toml"), &manifest);
        write(&fetched.join("lib.rs"), "");
        cargo::expect(&fetched, &["fetch"]);
        let metadata = cargo::expect(&fetched, &["metadata", "--format-version", "1"]);
        let metadata: Value = serde_json::from_str(&metadata).expect("cargo writes JSON");
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let packages = packages.filter_map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str()?);
            let name = package["name"].as_str()?.to_owned();
            Some((name, manifest.parent()?.to_owned()))
        });
        let packages = packages.collect();
        Self { root, packages }
    }

    /// The crate as it was published.
    pub(crate) fn published(&self, subject: &Subject) -> &Path {
        let package = self.packages.iter().find(|(name, _)| name == subject.name);
        &package.expect("cargo has fetched every subject").1
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    pub(crate) fn directory(&self, subject: &Subject, variant: Variant) -> PathBuf {
        let variant = match variant {
            Variant::Plain => "plain",
            Variant::Probed => "probed",
            Variant::Annotated => "annotated",
        };
        self.root.join(variant).join(subject.name)
    }

    /// A fresh copy that is a workspace of its own.
    pub(crate) fn copy(&self, subject: &Subject, variant: Variant) -> PathBuf {
        let directory = self.directory(subject, variant);
        let lock = fs::read(directory.join("Cargo.lock"));
        if directory.exists() {
            fs::remove_dir_all(&directory).expect("the copy is ours");
        }
        copy(self.published(subject), &directory);
        match lock {
            Ok(lock) => fs::write(directory.join("Cargo.lock"), lock).expect("the copy is ours"),
            // Of the time when the crate was published.
            Err(_) => drop(fs::remove_file(directory.join("Cargo.lock"))),
        }
        let manifest = directory.join("Cargo.toml");
        let mut text = read(&manifest) + "\n[workspace]\n";
        if matches!(variant, Variant::Annotated) {
            let runtime = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../runtime");
            text += &format!("[dependencies.taskscope]\npath = {runtime:?}\n");
        }
        write(&manifest, &text);
        directory
    }
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a file has a directory"))
        .and_then(|()| fs::write(path, text))
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the target directory is ours");
    for entry in fs::read_dir(from).expect("cargo has unpacked the crate") {
        let entry = entry.expect("cargo has unpacked the crate");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("the target directory is ours");
        }
    }
}

/// The Rust files below `directory`, as paths from `root`.
pub(crate) fn rust_files(root: &Path, directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(root.join(directory)) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            found.extend(rust_files(root, &path));
        } else if path.ends_with(".rs") {
            found.push(PathBuf::from(path));
        }
    }
    found.sort();
    found
}
