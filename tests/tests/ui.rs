//! What the compiler says about misuse, word for word.

use std::process::Command;

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
        trybuild::TestCases::new().compile_fail("ui/*/fail/*.rs");
    } else {
        println!("skipped: the expectations are for {STABLE}x, this is {version}");
    }
}

fn compiler() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-V").output();
    output.map_or_else(
        |error| error.to_string(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
