//! Which functions compile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use crate::annotate::{Function, Place, at_line, functions, insert};
use crate::cargo::{self, Messages};
use crate::sources::{Sources, Variant};
use crate::subjects::Subject;

const ATTRIBUTE: &str = "#[::taskscope::cancellable(allow(detached, blocking, hard_drop))] ";

/// What came of one crate.
pub(crate) struct Checked {
    /// Async fns that are compiled at all, with these features.
    pub(crate) active: usize,
    pub(crate) failures: Vec<Failure>,
    /// Warnings that are not there without the attribute.
    pub(crate) warnings: Vec<String>,
}

/// Why there is nothing to say about the functions of a crate.
pub(crate) enum Unusable {
    /// It does not compile as it was published.
    AsPublished,
    /// With the attribute, there are errors that no function is to blame for.
    OutsideOfFunctions,
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AsPublished => "does not compile as published, left out",
            Self::OutsideOfFunctions => "errors outside of functions with the attribute",
        })
    }
}

/// A function that does not compile with the attribute.
pub(crate) struct Failure {
    function: String,
    message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.function, self.message)
    }
}

impl Checked {
    pub(crate) fn compiled(&self) -> usize {
        self.active - self.failures.len()
    }

    /// Whether it fails where that is known, and nowhere else.
    pub(crate) fn is_expected(&self, subject: &Subject) -> bool {
        let failed: BTreeSet<&str> = self.failures.iter().map(|f| &*f.function).collect();
        let known: BTreeSet<&str> = subject.known.iter().map(|known| known.0).collect();
        failed == known && self.warnings.is_empty()
    }
}

/// Compiles a crate without the attribute and with it.
///
/// # Errors
///
/// When nothing can be said about its functions.
pub(crate) fn check(sources: &Sources, subject: &Subject) -> Result<Checked, Unusable> {
    let (published, target) = (sources.published(subject), sources.target());
    let args = &[subject.targets, subject.features];
    let plain = sources.copy(subject, Variant::Plain);
    let before = cargo::check(&plain, &target, args);
    for error in before.of_level("error") {
        println!("{}", rendered(error));
    }
    if !before.success {
        return Err(Unusable::AsPublished);
    }
    let functions = functions(published);
    let active = active(sources, subject, &functions);
    let annotated = sources.copy(subject, Variant::Annotated);
    let mut failed: BTreeMap<usize, String> = BTreeMap::new();
    let after = loop {
        let text = |index| {
            let wanted = active.contains(&index) && !failed.contains_key(&index);
            wanted.then(|| ATTRIBUTE.to_owned())
        };
        insert(published, &annotated, &functions, Place::BeforeHead, text);
        let after = cargo::check(&annotated, &target, args);
        if after.success {
            break after;
        }
        let culprits = culprits(&after, &functions);
        let known = failed.len();
        for (index, message) in culprits {
            failed.entry(index).or_insert(message);
        }
        if failed.len() == known {
            return Err(Unusable::OutsideOfFunctions);
        }
    };
    let failures = failed.into_iter().map(|(index, message)| Failure {
        function: title(&functions[index]),
        message,
    });
    Ok(Checked {
        active: active.len(),
        failures: failures.collect(),
        warnings: new_warnings(&before, &after),
    })
}

fn title(function: &Function) -> String {
    format!("{}: {}", function.file.display(), function.name)
}

// A target with errors hides those that depend on it: look again without what is found.
fn active(sources: &Sources, subject: &Subject, functions: &[Function]) -> BTreeSet<usize> {
    let published = sources.published(subject);
    let probed = sources.copy(subject, Variant::Probed);
    let args = &[subject.targets, subject.features];
    let mut found = BTreeSet::new();
    loop {
        let text = |index| {
            let probe = format!(" compile_error!(\"probe {index}\");");
            (!found.contains(&index)).then_some(probe)
        };
        insert(published, &probed, functions, Place::InBody, text);
        let messages = cargo::check(&probed, &sources.target(), args);
        let probes = messages.of_level("error").filter_map(|message| {
            let text = message["message"].as_str()?;
            text.strip_prefix("probe ")?.parse::<usize>().ok()
        });
        let probes: BTreeSet<usize> = probes.collect();
        if probes.is_empty() {
            return found;
        }
        found.extend(probes);
    }
}

// The functions that errors point at: where they are, or else in a note.
fn culprits(messages: &Messages, functions: &[Function]) -> BTreeMap<usize, String> {
    let mut culprits = BTreeMap::new();
    for error in messages.of_level("error") {
        let rendered = rendered(error);
        let places = places(error);
        let found = places
            .iter()
            .find_map(|(file, line)| at_line(functions, file, *line));
        match found {
            Some(index) => drop(culprits.insert(index, rendered.to_owned())),
            None => println!("in no function: {rendered}"),
        }
    }
    culprits
}

fn rendered(message: &Value) -> &str {
    message["rendered"].as_str().unwrap_or_default()
}

// All places that a message names, the important ones first.
fn places(message: &Value) -> Vec<(String, usize)> {
    let spans = message["spans"].as_array().into_iter().flatten();
    let (primary, others): (Vec<&Value>, Vec<&Value>) =
        spans.partition(|span| span["is_primary"] == true);
    let mut places = Vec::new();
    for span in primary.into_iter().chain(others) {
        let mut span = span;
        while !span.is_null() {
            let file = span["file_name"].as_str().unwrap_or_default().to_owned();
            let line = span["line_start"].as_u64().unwrap_or(0);
            places.push((file, usize::try_from(line).unwrap_or(0)));
            span = &span["expansion"]["span"];
        }
    }
    let children = message["children"].as_array().into_iter().flatten();
    places.extend(children.flat_map(self::places));
    places
}

fn new_warnings(before: &Messages, after: &Messages) -> Vec<String> {
    let known: BTreeSet<String> = before.of_level("warning").filter_map(warning).collect();
    let now: BTreeSet<String> = after.of_level("warning").filter_map(warning).collect();
    now.difference(&known).cloned().collect()
}

fn warning(message: &Value) -> Option<String> {
    let code = message["code"]["code"].as_str()?;
    let (file, line) = places(message).into_iter().next()?;
    Some(format!("{code} at {}:{line}", Path::new(&file).display()))
}
