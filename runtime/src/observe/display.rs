//! A [`Tree`] as text of 80 columns.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::layout::{Alike, Row, RowContent, WaitsFor, rows};
use super::snapshot::{Entry, Tree, next_to_unwind};

const WIDTH: usize = 80;

/// What a name keeps in any case.
const MIN_NAME: usize = 16;

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "no scope or task is running");
        }
        let rows = rows(self);
        for row in &rows {
            write_row(row, f)?;
        }
        Ok(())
    }
}

fn write_row(row: &Row<'_>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let (here, below) = prefixes(&row.more);
    let alike = match &row.content {
        RowContent::Alike(alike) => alike,
        RowContent::Hidden(count) => return writeln!(f, "{here}… {count} more"),
    };
    let (first, state) = (alike.first, state_of(alike));
    let count = match alike.count {
        1 => String::new(),
        count => format!(" × {count}"),
    };
    let line = line_in_name(first);
    let taken = width(&here) + width(&line) + width(&count) + 2 + width(&state);
    let name = short_name(&alike.name, WIDTH.saturating_sub(taken).max(MIN_NAME));
    let head = format!("{here}{name}{line}{count}  {state}");
    let location = location_of(first, usize::MAX);
    if location.is_empty() {
        writeln!(f, "{head}")?;
    } else if width(&head) + 2 + width(&location) <= WIDTH {
        writeln!(f, "{head}  {location}")?;
    } else {
        let room = WIDTH.saturating_sub(width(&below) + 2);
        writeln!(f, "{head}\n{below}  {}", location_of(first, room))?;
    }
    for note in notes_of(alike) {
        writeln!(f, "{below}  {note}")?;
    }
    Ok(())
}

/// The lines below a row: the cleanup that the entries are in, and what they wait for.
pub(super) fn notes_of(alike: &Alike<'_>) -> impl Iterator<Item = String> {
    let waits_for = alike.waits_for.as_ref().map(ToString::to_string);
    phase_of(alike.first).into_iter().chain(waits_for)
}

/// The rails before a row, and before the lines that belong to it.
fn prefixes(more: &[bool]) -> (String, String) {
    // Trees have no common top.
    let Some((&more, above)) = more.get(1..).and_then(<[bool]>::split_last) else {
        return (String::new(), "  ".to_owned());
    };
    let above: String = above
        .iter()
        .map(|&more| if more { "│  " } else { "   " })
        .collect();
    let (branch, rail) = if more {
        ("├─ ", "│  ")
    } else {
        ("└─ ", "   ")
    };
    (format!("{above}{branch}"), format!("{above}{rail}"))
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("body ended")?;
        for (at, (name, count)) in self.named.iter().enumerate() {
            let lead = match at {
                0 => ", waiting for",
                _ if at + 1 == self.named.len() && self.more == 0 => " and",
                _ => ",",
            };
            write!(f, "{lead} `{}`", short_name(name, WIDTH / 4))?;
            if *count > 1 {
                write!(f, " × {count}")?;
            }
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

pub(super) fn state_of(alike: &Alike<'_>) -> String {
    let entry = alike.first;
    let kind = match entry {
        _ if entry.is_service() => "service, ",
        _ if entry.is_shielded() => "shielded, ",
        _ => "",
    };
    let word = format!("{kind}{}", entry.state().word());
    if entry.state().is_cancelled()
        && let Some(since) = entry.cancelled_for()
    {
        let reason = entry.reason().unwrap_or("requested");
        return format!("{word} ({reason}) {}", ShortDuration(since));
    }
    let [young, old] = [alike.youngest, alike.oldest].map(|age| ShortDuration(age).to_string());
    if young == old {
        format!("{word} {old}")
    } else {
        format!("{word} {young} – {old}")
    }
}

/// The line that stands in the name of an async block.
fn line_in_name(entry: &Entry) -> String {
    if !entry.name_has_line() {
        return String::new();
    }
    format!(" ({})", short_path(&line(entry.location()), WIDTH / 2))
}

/// Where it was made, if the name does not say it, and its last checkpoint.
fn location_of(entry: &Entry, room: usize) -> String {
    let made = line(entry.location());
    let last = entry.last_checkpoint().map(line);
    let (made, last) = match (entry.name_has_line(), last) {
        (false, Some(last)) => (made, last),
        (false, None) => return short_path(&made, room),
        (true, Some(last)) => return format!("at {}", short_path(&last, room.saturating_sub(3))),
        (true, None) => return String::new(),
    };
    if width(&made) + width(&last) + 5 <= room {
        return format!("{made}, at {last}");
    }
    let half = room.saturating_sub(5) / 2;
    format!(
        "{}, at {}",
        short_path(&made, half),
        short_path(&last, half)
    )
}

/// Where something that is cancelled is on its way out.
fn phase_of(entry: &Entry) -> Option<String> {
    if !entry.state().is_cancelled() {
        return None;
    }
    let held = entry.held();
    let (preposition, first) = next_to_unwind(held)?;
    let at = first.location().map(line).unwrap_or_default();
    let then = match held.len() - 1 {
        0 => String::new(),
        more => format!(", then {more} more"),
    };
    let (what, at) = (first.what(), short_path(&at, WIDTH / 2));
    Some(format!("{preposition} {what} at {at}{then}"))
}

pub(super) fn line(location: &Location<'_>) -> String {
    format!("{}:{}", location.file(), location.line())
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// The end of a path, which tells more than its beginning.
fn short_path(path: &str, room: usize) -> String {
    let length = width(path);
    if length <= room {
        return path.to_owned();
    }
    let end: String = path.chars().skip(length + 1 - room.max(12)).collect();
    let end = end.split_once('/').map_or(end.as_str(), |(_, end)| end);
    format!("…/{end}")
}

/// A task is named by the path of a function or type: the ends of paths tell most.
fn short_name(name: &str, room: usize) -> String {
    let name = if name.contains('<') {
        without_modules(name)
    } else {
        let start = name.rmatch_indices("::").nth(1);
        start.map_or(name, |(at, _)| &name[at + 2..]).to_owned()
    };
    if width(&name) <= room {
        return name;
    }
    let kept: String = name.chars().take(room.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// `<a::S as a::T>::f` as `<S as T>::f`, and `a::G<a::S>::f` as `G<S>::f`.
fn without_modules(name: &str) -> String {
    let in_path = |char: char| char == ':' || char == '_' || char.is_alphanumeric();
    let mut short = String::new();
    let mut rest = name;
    while !rest.is_empty() {
        let (path, others) = rest.split_at(rest.find(|char| !in_path(char)).unwrap_or(rest.len()));
        let last = path.rfind("::").filter(|_| !path.starts_with("::"));
        short.push_str(last.map_or(path, |at| &path[at + 2..]));
        let (between, others) = others.split_at(others.find(in_path).unwrap_or(others.len()));
        short.push_str(between);
        rest = others;
    }
    short
}

/// A duration with as many digits as one wants to read.
pub(super) struct ShortDuration(pub(super) Duration);

impl fmt::Display for ShortDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        match seconds {
            0 => write!(f, "{} ms", self.0.as_millis()),
            1..60 => write!(f, "{:.1} s", self.0.as_secs_f64()),
            60..3600 => write!(f, "{} min {} s", seconds / 60, seconds % 60),
            _ => write!(f, "{} h {} min", seconds / 3600, seconds / 60 % 60),
        }
    }
}
