//! The table, as text or as JSON.

use std::fmt;

use crate::family::{Family, Peer, Unit};

/// One comparison.
#[derive(Clone, Debug)]
pub struct Row {
    name: &'static str,
    unit: Unit,
    ours: f64,
    peer: &'static str,
    theirs: f64,
    ratio: f64,
    goal: Option<f64>,
}

impl Row {
    pub(crate) fn new(family: &Family, peer: &Peer, ours: f64, theirs: f64) -> Row {
        Row {
            name: peer.row,
            unit: family.unit,
            ours,
            peer: peer.contestant.name,
            theirs,
            ratio: ours / (theirs + peer.allowance),
            goal: peer.goal,
        }
    }

    fn verdict(&self) -> &'static str {
        match self.goal {
            None => "",
            // As exact as it is printed.
            Some(goal) if (self.ratio * 100.0).round() <= (goal * 100.0).round() => "met",
            Some(_) => "missed",
        }
    }

    /// One JSON object. The names hold nothing that had to be escaped.
    #[must_use]
    pub fn json(&self) -> String {
        let goal = self.goal.map_or("null".to_owned(), |goal| goal.to_string());
        format!(
            r#"{{"name":"{}","ours_ns":{:.2},"peer":"{}","peer_ns":{:.2},"ratio":{:.3},"goal":{goal},"unit":"{}"}}"#,
            self.name, self.ours, self.peer, self.theirs, self.ratio, self.unit
        )
    }
}

/// The head of the table.
#[must_use]
pub fn head() -> String {
    format!(
        "{:<18} {:>12} {:>12} {:>7} {:>6} {:<7} {}",
        "work", "ours", "peer's", "ratio", "goal", "", "peer"
    )
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let goal = self.goal.map_or(String::new(), |goal| format!("{goal:.2}"));
        let (ours, theirs) = (cost(self.ours, self.unit), cost(self.theirs, self.unit));
        write!(
            f,
            "{:<18} {ours:>12} {theirs:>12} {:>7.2} {goal:>6} {:<7} {}",
            self.name,
            self.ratio,
            self.verdict(),
            self.peer
        )
    }
}

fn cost(cost: f64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => format!("{cost:.0} B"),
        Unit::Allocations => format!("{cost:.2}"),
        Unit::Instructions => format!("{cost:.0} Ir"),
        Unit::Nanoseconds if cost < 10_000.0 => format!("{cost:.1} ns"),
        Unit::Nanoseconds if cost < 10_000_000.0 => format!("{:.1} us", cost / 1e3),
        Unit::Nanoseconds => format!("{:.1} ms", cost / 1e6),
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Nanoseconds => "ns",
            Unit::Bytes => "bytes",
            Unit::Allocations => "allocations",
            Unit::Instructions => "instructions",
        })
    }
}
