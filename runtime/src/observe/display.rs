//! A [`Tree`] as text of 80 columns.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::layout::{Row, WaitsFor, What, rows};
use super::snapshot::{Entry, State, Tree};

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
    let What::Alike {
        first,
        count,
        name,
        youngest,
        oldest,
        waits_for,
    } = &row.what
    else {
        let What::Hidden(count) = row.what else {
            return Ok(());
        };
        return writeln!(f, "{here}… {count} more");
    };
    let state = state_of(first, *youngest, *oldest);
    let count = if *count > 1 {
        format!(" × {count}")
    } else {
        String::new()
    };
    let line = line_in_name(first);
    let taken = width(&here) + width(&line) + width(&count) + 2 + width(&state);
    let name = short_name(name, WIDTH.saturating_sub(taken).max(MIN_NAME));
    let head = format!("{here}{name}{line}{count}  {state}");
    let place = place_of(first, usize::MAX);
    if place.is_empty() {
        writeln!(f, "{head}")?;
    } else if width(&head) + 2 + width(&place) <= WIDTH {
        writeln!(f, "{head}  {place}")?;
    } else {
        let room = WIDTH.saturating_sub(width(&below) + 2);
        writeln!(f, "{head}\n{below}  {}", place_of(first, room))?;
    }
    if let Some(phase) = phase_of(first) {
        writeln!(f, "{below}  {phase}")?;
    }
    if let Some(waits_for) = waits_for {
        writeln!(f, "{below}  {waits_for}")?;
    }
    Ok(())
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

pub(super) fn state_of(entry: &Entry, youngest: Duration, oldest: Duration) -> String {
    let kind = match entry {
        _ if entry.is_service() => "service, ",
        _ if entry.is_shielded() => "shielded, ",
        _ => "",
    };
    let word = format!("{kind}{}", entry.state().word());
    if let (State::Cancelling | State::Aborting, Some(since)) =
        (entry.state(), entry.cancelled_for())
    {
        let reason = entry.reason().unwrap_or("requested");
        return format!("{word} ({reason}) {}", Span(since));
    }
    let (young, old) = (Span(youngest).to_string(), Span(oldest).to_string());
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
fn place_of(entry: &Entry, room: usize) -> String {
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

/// The cleanup that is under way, or else what has to be left first.
pub(super) fn phase_of(entry: &Entry) -> Option<String> {
    if !matches!(entry.state(), State::Cancelling | State::Aborting) {
        return None;
    }
    let held = entry.held();
    let first = held
        .iter()
        .find(|held| held.is_running())
        .or(held.first())?;
    let at = first.location().map(line).unwrap_or_default();
    let verb = match (first.is_running(), first.what()) {
        (_, "`shield`") => "in",
        (true, _) => "in the cleanup of",
        (false, _) => "before",
    };
    let then = match held.len() - 1 {
        0 => String::new(),
        more => format!(", then {more} more"),
    };
    let room = WIDTH / 2;
    Some(format!(
        "{verb} {} at {}{then}",
        first.what(),
        short_path(&at, room)
    ))
}

fn line(location: &Location<'_>) -> String {
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
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
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
