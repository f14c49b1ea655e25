//! Puts `#[cancellable]` on every async fn of published crates, compiles them with
//! it and without, and runs their own tests.
//!
//! ```text
//! cargo run --release --manifest-path tests/corpus/Cargo.toml [CRATE…]
//! ```
//!
//! For each crate, functions that do not compile with the attribute are found by
//! rustc's messages, listed, and left without it, until the rest compiles.

mod annotate;
mod cargo;
mod check;
mod sources;
mod subjects;
mod tests;

use std::process::ExitCode;

use crate::check::Checked;
use crate::sources::Sources;
use crate::subjects::{SUBJECTS, Subject};
use crate::tests::Tested;

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let subjects: Vec<&Subject> = SUBJECTS
        .iter()
        .filter(|subject| wanted.is_empty() || wanted.iter().any(|name| name == subject.name))
        .collect();
    let sources = Sources::fetch(&subjects);
    let outcomes: Vec<_> = subjects
        .iter()
        .map(|subject| {
            let checked = check::check(&sources, subject);
            let tested = tests::run(&sources, subject);
            print_details(subject, &checked, tested.as_ref());
            (*subject, checked, tested)
        })
        .collect();
    println!(
        "\n{:<16}{:>10}{:>10}{:>9}  own tests",
        "crate", "async fns", "compiled", "share"
    );
    for (subject, checked, tested) in &outcomes {
        print_row(
            subject.name,
            checked.active,
            checked.compiled(),
            tested.as_ref(),
        );
    }
    let active = outcomes.iter().map(|(_, checked, _)| checked.active).sum();
    let compiled = outcomes
        .iter()
        .map(|(_, checked, _)| checked.compiled())
        .sum();
    print_row("all", active, compiled, None);
    let good = outcomes.iter().all(|(subject, checked, tested)| {
        checked.is_expected(subject) && tested.as_ref().is_none_or(Tested::is_good)
    });
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_row(name: &str, active: usize, compiled: usize, tested: Option<&Tested>) {
    let share = 100.0 * compiled as f64 / active.max(1) as f64;
    let tested = tested.map_or_else(|| "-".to_owned(), Tested::to_string);
    println!("{name:<16}{active:>10}{compiled:>10}{share:>8.1}%  {tested}");
}

fn print_details(subject: &Subject, checked: &Checked, tested: Option<&Tested>) {
    for failure in &checked.failures {
        println!("{}: does not compile: {failure}", subject.name);
    }
    for warning in &checked.warnings {
        println!("{}: new warning: {warning}", subject.name);
    }
    for name in tested.into_iter().flat_map(|tested| &tested.broken) {
        println!("{}: test that no longer passes: {name}", subject.name);
    }
}
