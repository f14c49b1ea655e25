//! Which rows of a tree are shown: equal siblings are folded into one, and what
//! would fill screens is counted instead.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use super::snapshot::{Entry, Held, Tree};

/// Rows below one entry.
const MOST_SIBLINGS: usize = 16;
/// Names of what an entry waits for.
const MOST_WAITED: usize = 3;
/// Levels.
const MOST_DEEP: usize = 16;
/// Rows in all.
const MOST_ROWS: usize = 400;

/// One line of the picture.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) content: RowContent<'a>,
    /// The row, by its number, that this one hangs on.
    pub(super) parent: Option<usize>,
    /// For each level above: whether more rows come on it.
    pub(super) more: Vec<bool>,
}

#[derive(Debug)]
pub(super) enum RowContent<'a> {
    Alike(Alike<'a>),
    /// So many that are not shown.
    Hidden(usize),
}

/// Entries that are alike, the first of them shown.
#[derive(Debug)]
pub(super) struct Alike<'a> {
    pub(super) first: &'a Entry,
    pub(super) count: usize,
    /// Without the line that the name of a block ends in.
    pub(super) name: String,
    pub(super) youngest: Duration,
    pub(super) oldest: Duration,
    /// What the first one waits for, if its body has ended.
    pub(super) waits_for: Option<WaitsFor>,
}

/// What an entry whose body has ended waits for.
#[derive(Debug)]
pub(super) struct WaitsFor {
    /// The names of the first few, each with the number of those that are alike.
    pub(super) named: Vec<(String, usize)>,
    /// How many more there are.
    pub(super) more: usize,
}

/// The tree with its links downward.
struct Shape<'a> {
    tree: &'a Tree,
    roots: Vec<usize>,
    below: Vec<Vec<usize>>,
    /// How many entries are in it and below.
    size: Vec<usize>,
    /// Equal where all that is shown is equal.
    likeness: Vec<u64>,
}

impl<'a> Shape<'a> {
    fn of(tree: &'a Tree) -> Shape<'a> {
        let count = tree.entries.len();
        let mut shape = Shape {
            tree,
            roots: Vec::new(),
            below: vec![Vec::new(); count],
            size: vec![1; count],
            likeness: vec![0; count],
        };
        // The last entry that has nothing below it: most are like it.
        let mut leaf = None;
        // An entry stands before what is below it.
        for (index, entry) in tree.entries.iter().enumerate().rev() {
            shape.below[index].reverse();
            let is_leaf = shape.below[index].is_empty();
            let like = leaf.filter(|&last: &usize| is_leaf && is_like(entry, &tree.entries[last]));
            shape.likeness[index] = match like {
                Some(last) => shape.likeness[last],
                None => shape.likeness_of(index, entry),
            };
            leaf = if is_leaf { Some(index) } else { leaf };
            match entry.parent {
                Some(parent) => {
                    shape.below[parent].push(index);
                    shape.size[parent] += shape.size[index];
                }
                None => shape.roots.push(index),
            }
        }
        shape.roots.reverse();
        shape
    }

    fn likeness_of(&self, index: usize, entry: &Entry) -> u64 {
        let mut hasher = DefaultHasher::new();
        pattern(entry.short_name()).hash(&mut hasher);
        entry.looks().hash(&mut hasher);
        for held in &entry.held {
            held.looks().hash(&mut hasher);
        }
        for group in self.folded(&self.below[index]) {
            (self.likeness[group[0]], group.len()).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Siblings that are alike, put together, in order of their first.
    fn folded(&self, siblings: &[usize]) -> Vec<Vec<usize>> {
        let mut indices: HashMap<u64, usize> = HashMap::new();
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for run in siblings.chunk_by(|&a, &b| self.likeness[a] == self.likeness[b]) {
            let group = *indices.entry(self.likeness[run[0]]).or_insert(groups.len());
            if group == groups.len() {
                groups.push(Vec::new());
            }
            groups[group].extend_from_slice(run);
        }
        groups
    }

    /// What siblings that are alike are called, on one line.
    fn name_of(&self, group: &[usize]) -> String {
        let entries = &self.tree.entries;
        let first = &entries[group[0]];
        let has_name =
            |entry: &Entry| entry.name == first.name || entry.short_name() == first.short_name();
        let name = if group.iter().all(|&index| has_name(&entries[index])) {
            first.short_name().to_owned()
        } else {
            pattern(first.short_name())
        };
        name.replace(char::is_control, " ")
    }

    fn alike(&self, group: &[usize]) -> Alike<'a> {
        let ages = group
            .iter()
            .map(|&index| self.tree.entries[index].shown_for());
        let (youngest, oldest) = ages.fold((Duration::MAX, Duration::ZERO), |(young, old), age| {
            (young.min(age), old.max(age))
        });
        let first = &self.tree.entries[group[0]];
        Alike {
            first,
            count: group.len(),
            name: self.name_of(group),
            youngest,
            oldest,
            waits_for: first.body_ended.then(|| self.waited_for(group[0])),
        }
    }

    /// What is waited for below an entry. Services are, once nothing else is there.
    fn waited_for(&self, index: usize) -> WaitsFor {
        let below = &self.below[index];
        let is_service = |index: &usize| self.tree.entries[*index].service;
        let only_services = below.iter().all(is_service);
        let waited: Vec<usize> = below
            .iter()
            .copied()
            .filter(|index| only_services || !is_service(index))
            .collect();
        let mut groups = self.folded(&waited);
        let rest = groups.split_off(groups.len().min(MOST_WAITED));
        WaitsFor {
            named: groups
                .iter()
                .map(|group| (self.name_of(group), group.len()))
                .collect(),
            more: rest.iter().map(Vec::len).sum(),
        }
    }
}

/// Whether entries are alike, but for what is below them. Most share their name.
fn is_like(one: &Entry, other: &Entry) -> bool {
    let held = other.held.iter().map(Held::looks);
    one.name == other.name
        && one.looks() == other.looks()
        && one.held.iter().map(Held::looks).eq(held)
}

/// A name in which numbers are all the same.
fn pattern(name: &str) -> String {
    let is_digit = |char: char| char.is_ascii_digit();
    let mut pattern = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find(is_digit) {
        pattern.push_str(&rest[..at]);
        if !pattern.ends_with('#') {
            pattern.push('#');
        }
        rest = rest[at..].trim_start_matches(is_digit);
    }
    pattern + rest
}

/// A group of siblings, or what is left of them, with the row above.
struct PlannedRow {
    group: Option<Vec<usize>>,
    hidden: usize,
    parent: Option<usize>,
    more: Vec<bool>,
}

/// The rows to be shown, from the top down.
pub(super) fn rows(tree: &Tree) -> Vec<Row<'_>> {
    let shape = Shape::of(tree);
    let mut rows = Vec::new();
    let mut stack = Vec::new();
    push_below(&shape, &shape.roots, None, &[], &mut stack);
    while let Some(next) = stack.pop() {
        let here = rows.len();
        let full = here + 1 == MOST_ROWS;
        let content = match next.group {
            Some(group) if !full => {
                let below = &shape.below[group[0]];
                push_below(&shape, below, Some(here), &next.more, &mut stack);
                RowContent::Alike(shape.alike(&group))
            }
            _ => RowContent::Hidden(next.hidden),
        };
        rows.push(Row {
            content,
            parent: next.parent,
            more: next.more,
        });
        if full {
            break;
        }
    }
    rows
}

fn push_below(
    shape: &Shape<'_>,
    siblings: &[usize],
    parent: Option<usize>,
    above: &[bool],
    stack: &mut Vec<PlannedRow>,
) {
    let size = |group: &[usize]| -> usize { group.iter().map(|&index| shape.size[index]).sum() };
    let mut groups = shape.folded(siblings);
    let room = if above.len() < MOST_DEEP {
        MOST_SIBLINGS
    } else {
        0
    };
    let cut = groups.split_off(room.min(groups.len()));
    let hidden = cut.iter().map(|group| size(group)).sum();
    let rows = groups.len() + usize::from(hidden > 0);
    let next = |number: usize, group: Option<Vec<usize>>, hidden| PlannedRow {
        hidden: group.as_deref().map_or(hidden, size),
        group,
        parent,
        more: above.iter().copied().chain([number + 1 < rows]).collect(),
    };
    if hidden > 0 {
        stack.push(next(rows - 1, None, hidden));
    }
    for (number, group) in groups.into_iter().enumerate().rev() {
        stack.push(next(number, Some(group), 0));
    }
}
