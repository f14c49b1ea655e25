//! The texts that sum up what failed in a group.

use std::fmt::Write;

/// What of a group a failure was of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Task,
    Body,
    /// A cleanup that `Group::defer` was given.
    Deferred,
}

/// What failed, counted: "the body and 2 tasks failed".
pub(crate) fn what_failed(parts: impl Iterator<Item = Part>, omitted: usize) -> String {
    let (mut bodies, mut tasks, mut deferred) = (0, omitted, 0);
    for part in parts {
        match part {
            Part::Body => bodies += 1,
            Part::Task => tasks += 1,
            Part::Deferred => deferred += 1,
        }
    }
    let mut named = Vec::new();
    if bodies > 0 {
        named.push("the body".to_owned());
    }
    if tasks > 0 || bodies + deferred == 0 {
        named.push(counted(tasks, "task"));
    }
    if deferred > 0 {
        named.push(counted(deferred, "deferred cleanup"));
    }
    let last = named.pop().unwrap_or_default();
    match named.is_empty() {
        true => format!("{last} failed"),
        false => format!("{} and {last} failed", named.join(", ")),
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// A text on one line. The branches of a tree become a list.
pub(crate) fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for part in text.lines() {
        let own = part
            .trim_start_matches([' ', '│', '├', '└', '─'])
            .trim_end();
        let is_branch = part.contains(['├', '└']);
        let between = match (line.is_empty(), is_branch) {
            (true, _) => "",
            (false, true) => "; ",
            (false, false) => " ",
        };
        // Writing to a string does not fail.
        write!(line, "{between}{own}").ok();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_counted_by_its_part() {
        let told = |parts: &[Part], omitted| what_failed(parts.iter().copied(), omitted);
        assert_eq!(told(&[], 0), "0 tasks failed");
        assert_eq!(told(&[Part::Task], 0), "1 task failed");
        assert_eq!(told(&[Part::Task], 6), "7 tasks failed");
        assert_eq!(told(&[Part::Body], 0), "the body failed");
        assert_eq!(told(&[Part::Body], 1), "the body and 1 task failed");
        assert_eq!(told(&[Part::Deferred; 2], 0), "2 deferred cleanups failed");
        assert_eq!(
            told(&[Part::Deferred, Part::Task, Part::Body], 1),
            "the body, 2 tasks and 1 deferred cleanup failed"
        );
    }

    #[test]
    fn branches_become_a_list_and_other_lines_go_on() {
        let tree = "group `a`: 2 tasks failed\n├─ `b`: first\n│  second\n└─ `c`: third\n";
        let line = "group `a`: 2 tasks failed; `b`: first second; `c`: third";
        assert_eq!(on_one_line(tree), line);
        assert_eq!(on_one_line("plain"), "plain");
        assert_eq!(on_one_line(""), "");
    }
}
