//! A [`Tree`] as text of 80 columns.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::layout::{Row, What, rows};
use super::snapshot::{Entry, State, Tree};

const WIDTH: usize = 80;

/// What a name keeps in any case.
const MIN_NAME: usize = 16;

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return writeln!(f, "no scope or task is there");
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
    let taken = width(&here) + width(&count) + 2 + width(&state);
    let name = short_name(name, WIDTH.saturating_sub(taken).max(MIN_NAME));
    let head = format!("{here}{name}{count}  {state}");
    let place = place_of(first, usize::MAX);
    if width(&head) + 2 + width(&place) <= WIDTH {
        writeln!(f, "{head}  {place}")?;
    } else {
        let room = WIDTH.saturating_sub(width(&below) + 2);
        writeln!(f, "{head}\n{below}  {}", place_of(first, room))?;
    }
    if let Some(phase) = phase_of(first) {
        writeln!(f, "{below}  {phase}")?;
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

pub(super) fn state_of(entry: &Entry, youngest: Duration, oldest: Duration) -> String {
    let word = entry.state().word();
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

fn place_of(entry: &Entry, room: usize) -> String {
    let made = line(entry.location());
    let Some(last) = entry.last_checkpoint() else {
        return short_path(&made, room);
    };
    let last = line(last);
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

/// A future's type is named by its path: the end tells most.
fn short_name(name: &str, room: usize) -> String {
    let name = if name.contains('<') {
        name
    } else {
        let start = name.rmatch_indices("::").nth(1);
        start.map_or(name, |(at, _)| &name[at + 2..])
    };
    if width(name) <= room {
        return name.to_owned();
    }
    let kept: String = name.chars().take(room.saturating_sub(1)).collect();
    format!("{kept}…")
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
