//! A [`Tree`] as a Mermaid flowchart.

use std::fmt::Write;

use super::display::{line, notes_of, state_of};
use super::layout::{Alike, Row, RowContent, rows};
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
    match &row.content {
        RowContent::Hidden(count) => writeln!(chart, "  n{number}[\"… {count} more\"]")?,
        RowContent::Alike(alike) => {
            let (open, close) = match alike.first.kind() {
                Kind::Task => ("([", "])"),
                Kind::Blocking => ("[[", "]]"),
                Kind::Scope => ("[", "]"),
            };
            writeln!(chart, "  n{number}{open}\"{}\"{close}", label(alike))?;
        }
    }
    match row.parent {
        Some(parent) => writeln!(chart, "  n{parent} --> n{number}"),
        None => Ok(()),
    }
}

fn label(alike: &Alike<'_>) -> String {
    let first = alike.first;
    let made = line(first.location());
    let mut text = escaped(&alike.name);
    if first.name_has_line() {
        text += &format!(" ({})", escaped(&made));
    }
    if alike.count > 1 {
        text += &format!(" × {}", alike.count);
    }
    let last = first.last_checkpoint().map(line);
    let at = last.or((!first.name_has_line()).then_some(made));
    let lines = [state_of(alike)].into_iter().chain(at);
    for line in lines.chain(notes_of(alike)) {
        text += &format!("<br>{}", escaped(&line));
    }
    text
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
