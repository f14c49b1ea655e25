//! Cargo as a child process.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn command(directory: &Path) -> Command {
    let mut command = Command::new("cargo");
    command
        .current_dir(directory)
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_PROFILE_DEV_DEBUG", "0")
        // What is denied in a crate is none of our business.
        .env("RUSTFLAGS", "--cap-lints warn")
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null());
    command
}

fn output(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// What cargo writes; ends the program if it fails.
pub(crate) fn expect(directory: &Path, args: &[&str]) -> String {
    let output = output(command(directory).args(args));
    assert!(
        output.status.success(),
        "cargo {args:?} in {}: {}",
        directory.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What rustc says about the crate in `directory`, and whether that is all well.
pub(crate) fn check(directory: &Path, target: &Path, args: &[&[&str]]) -> Messages {
    let output = output(
        command(directory)
            .args(["check", "--keep-going"])
            .args(["--message-format", "json", "--quiet"])
            .args(args.concat())
            .env("CARGO_TARGET_DIR", target),
    );
    let package = directory.join("Cargo.toml");
    let lines = String::from_utf8_lossy(&output.stdout);
    let values = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let values = values.filter(|value| value["manifest_path"].as_str() == package.to_str());
    let mut messages: Vec<Value> = values.map(|mut value| value["message"].take()).collect();
    messages.retain(|message| !message.is_null());
    let mut success = output.status.success();
    if !success && messages.iter().all(|message| message["level"] != "error") {
        println!("{}", String::from_utf8_lossy(&output.stderr));
        success = false;
    }
    Messages { messages, success }
}

/// Messages of rustc about one crate.
pub(crate) struct Messages {
    messages: Vec<Value>,
    pub(crate) success: bool,
}

impl Messages {
    pub(crate) fn of_level(&self, level: &str) -> impl Iterator<Item = &Value> {
        self.messages
            .iter()
            .filter(move |message| message["level"] == level)
    }
}

/// What `cargo test` writes, ended after some minutes.
pub(crate) fn test(directory: &Path, target: &Path, args: &[&[&str]]) -> String {
    let mut command = Command::new("timeout");
    command.args([
        "--kill-after",
        "10",
        "900",
        "cargo",
        "test",
        "--no-fail-fast",
    ]);
    command.args(args.concat());
    let prepared = self::command(directory);
    command.current_dir(directory).stdin(Stdio::null());
    command.envs(
        prepared
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command.env("CARGO_TARGET_DIR", target);
    let output = output(&mut command);
    if output.stdout.is_empty() {
        println!("{}", String::from_utf8_lossy(&output.stderr));
    }
    String::from_utf8_lossy(&output.stdout).into_owned()
}
