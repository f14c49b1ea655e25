//! A [`Tree`] as a Mermaid flowchart.

use std::fmt::Write;

use super::display::{phase_of, state_of};
use super::layout::{Row, What, rows};
use super::snapshot::{Kind, Tree};

impl Tree {
    /// Returns the tree as a [Mermaid](https://mermaid.js.org) flowchart, folded as in
    /// its `Display`: tasks are round, scopes are not.
    pub fn to_mermaid(&self) -> String {
        let mut chart = "flowchart TD\n".to_owned();
        for (number, row) in rows(self).iter().enumerate() {
            // Writing to a string does not fail.
            write_row(number, row, &mut chart).ok();
        }
        chart
    }
}

fn write_row(number: usize, row: &Row<'_>, chart: &mut String) -> std::fmt::Result {
    match &row.what {
        What::Hidden(count) => writeln!(chart, "  n{number}[\"… {count} more\"]")?,
        What::Alike {
            first,
            count,
            name,
            youngest,
            oldest,
            waits_for,
        } => {
            let (open, close) = match first.kind() {
                Kind::Task => ("([", "])"),
                Kind::Blocking => ("[[", "]]"),
                Kind::Scope => ("[", "]"),
            };
            let made = format!("{}:{}", first.location().file(), first.location().line());
            let mut text = escaped(name);
            if first.name_has_line() {
                write!(text, " ({})", escaped(&made))?;
            }
            if *count > 1 {
                write!(text, " × {count}")?;
            }
            let state = state_of(first, *youngest, *oldest);
            write!(text, "<br>{}", escaped(&state))?;
            let last = first.last_checkpoint();
            let last = last.map(|at| format!("{}:{}", at.file(), at.line()));
            if let Some(at) = last.or((!first.name_has_line()).then_some(made)) {
                write!(text, "<br>{}", escaped(&at))?;
            }
            if let Some(phase) = phase_of(first) {
                write!(text, "<br>{}", escaped(&phase))?;
            }
            if let Some(waits_for) = waits_for {
                write!(text, "<br>{}", escaped(&waits_for.to_string()))?;
            }
            writeln!(chart, "  n{number}{open}\"{text}\"{close}")?;
        }
    }
    match row.parent {
        Some(parent) => writeln!(chart, "  n{parent} --> n{number}"),
        None => Ok(()),
    }
}

/// What would end the label or be read as a tag.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '"' => escaped.push_str("&quot;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '`' => escaped.push('\''),
            other => escaped.push(other),
        }
    }
    escaped
}
