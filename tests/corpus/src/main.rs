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

use crate::check::{Checked, Unusable};
use crate::sources::Sources;
use crate::subjects::{SUBJECTS, Subject};
use crate::tests::Tested;

/// A crate, and what came of it.
struct Outcome {
    subject: &'static Subject,
    found: Result<(Checked, Option<Tested>), Unusable>,
}

impl Outcome {
    fn of(sources: &Sources, subject: &'static Subject) -> Self {
        println!("{} {}", subject.name, subject.version);
        let found = check::check(sources, subject)
            .map(|checked| (checked, tests::run(sources, subject)))
            .inspect(|(checked, tested)| print_details(subject, checked, tested.as_ref()));
        let outcome = Self { subject, found };
        if let Some(row) = outcome.row() {
            println!("{row}");
        }
        outcome
    }

    // In Markdown, as the README has it.
    fn row(&self) -> Option<String> {
        let (checked, tested) = self.found.as_ref().ok()?;
        let (name, version) = (self.subject.name, self.subject.version);
        let of = format!("{} / {}", checked.compiled(), checked.active);
        let tested = tested.as_ref().map_or("–".to_owned(), Tested::to_string);
        Some(format!("| {name} | {version} | {of} | {tested} |"))
    }

    // What was published broken says nothing about the attribute.
    fn is_good(&self) -> bool {
        match &self.found {
            Ok((checked, tested)) => {
                checked.is_expected(self.subject) && tested.as_ref().is_none_or(Tested::is_good)
            }
            Err(Unusable::AsPublished) => true,
            Err(Unusable::OutsideOfFunctions) => false,
        }
    }
}

fn main() -> ExitCode {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let subjects: Vec<&Subject> = SUBJECTS
        .iter()
        .filter(|subject| wanted.is_empty() || wanted.iter().any(|name| name == subject.name))
        .collect();
    let sources = Sources::fetch(&subjects);
    let outcomes: Vec<_> = subjects
        .iter()
        .map(|subject| Outcome::of(&sources, subject))
        .collect();
    print_table(&outcomes);
    if outcomes.iter().all(Outcome::is_good) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_table(outcomes: &[Outcome]) {
    println!("\n| crate | version | compiled / async fns | own tests |");
    println!("| --- | --- | --- | --- |");
    for row in outcomes.iter().filter_map(Outcome::row) {
        println!("{row}");
    }
    let checked = outcomes.iter().filter_map(|outcome| {
        let (checked, _) = outcome.found.as_ref().ok()?;
        Some((checked.compiled(), checked.active))
    });
    let (compiled, active) = checked.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
    let tested = outcomes.iter().filter_map(|outcome| {
        let (_, tested) = outcome.found.as_ref().ok()?;
        Some(tested.as_ref()?.passed)
    });
    let passed: usize = tested.sum();
    let share = 100.0 * compiled as f64 / active.max(1) as f64;
    println!("| all | | {compiled} / {active} = {share:.1} % | {passed} pass |\n");
    for Outcome { subject, found } in outcomes {
        if let Err(unusable) = found {
            println!("{} {}: {unusable}", subject.name, subject.version);
        }
    }
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
