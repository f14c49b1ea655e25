//! The crates' own tests.

use std::collections::BTreeMap;
use std::fmt;

use crate::cargo;
use crate::sources::{Sources, Variant};
use crate::subjects::Subject;

/// What came of the tests of one crate.
pub(crate) struct Tested {
    pub(crate) passed: usize,
    /// Passed without the attribute, and do not with it.
    pub(crate) broken: Vec<String>,
}

impl Tested {
    pub(crate) fn is_good(&self) -> bool {
        self.passed > 0 && self.broken.is_empty()
    }
}

impl fmt::Display for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.broken.len() {
            0 => write!(f, "{} pass", self.passed),
            broken => write!(f, "{} pass, {broken} no longer", self.passed),
        }
    }
}

/// Runs the tests with and without the attribute.
pub(crate) fn run(sources: &Sources, subject: &Subject) -> Option<Tested> {
    let selected = subject.tests?;
    let passed = |variant| {
        let directory = sources.directory(subject, variant);
        let args = [subject.features, selected];
        let text = cargo::test(&directory, &sources.target(), &args);
        passed(&text)
    };
    let (before, after) = (passed(Variant::Plain), passed(Variant::Annotated));
    let lacks = |(name, count): &(&String, &usize)| after.get(*name).is_none_or(|c| c < *count);
    let broken = before
        .iter()
        .filter(lacks)
        .map(|(name, _)| name.clone())
        .collect();
    Some(Tested {
        passed: after.values().sum(),
        broken,
    })
}

// Names are counted, since the targets of a crate may share some.
fn passed(text: &str) -> BTreeMap<String, usize> {
    let mut passed = BTreeMap::new();
    for line in text.lines() {
        let name = line
            .strip_prefix("test ")
            .and_then(|line| line.strip_suffix(" ... ok"));
        if let Some(name) = name {
            *passed.entry(name.to_owned()).or_default() += 1;
        }
    }
    passed
}
