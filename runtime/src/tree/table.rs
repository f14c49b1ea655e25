//! The regions of one node: the code inside it that must unwind before it is dropped.
//!
//! A *region* is code that cannot just be dropped: an armed `defer!`, a shield,
//! a group, a nested scope. Regions form a tree below the node (the root). Before
//! a boundary drops its body it asks this table whether a region still counts.
//!
//! Invariants
//! 1. A region *counts* when it holds (must unwind itself) or a region inside it
//!    counts; a dormant one never counts.
//! 2. `live` of a region, or of the root, is the number of regions directly
//!    inside it that count.
//! 3. The parent of a region is open: closing a region hands what is inside it
//!    to its own parent. So a parent index is never stale; an index kept
//!    outside the table is told from a later one by its generation.
//! 4. A *pass* is one poll of the node's future while it unwinds. A region is
//!    *missed* when its parent was polled and the region was not. It is *dormant*
//!    when its future sits where nobody polls it, which only a search can tell.
//! 5. Only a pass can desert a region. So when a pass misses one, a search
//!    begins in that pass, or a timer will have the task polled again.
//!
//! # The search for dormant regions
//!
//! ```text
//!       a region is missed: wake all         one is missed for 50 ms and in 3 more passes
//! Idle ──────────────────────────────▶ Searching ───────────────────────────────────────▶ Idle
//!  ▲                                     │   ▲                it is dormant
//!  │ none is missed then    all have been│   │ one is missed
//!  └──────────────── Resting ◀───────────┘   │ then
//!                       └────────────────────┘
//! ```
//!
//! Combinators such as `FuturesUnordered` poll only the children that were
//! woken, so a pass that misses a region shows little. A search wakes all regions
//! by their own wakers. Even then a region that is alive may be missed: a wake
//! may be under way in a thread that is not running just now, where a combinator
//! has marked its child as woken and not yet queued it. Hence the patience, in
//! real time. The passes after it are for a thread that polls and was itself not
//! running meanwhile.
//!
//! During a search the task wakes itself after each pass. To wait for a timer
//! instead would cost less, and break tests on a paused clock of tokio's: it goes
//! on to the next timer as soon as nothing runs, so the grace period would be
//! over at once.
//!
//! A search in which all were polled proves nothing about later passes. But
//! `FuturesUnordered` wakes itself once it has polled all its children, and that
//! pass, which polls none of them, would begin the next search, for as long as a
//! cleanup takes. So the table rests after a search, each time for longer.

use std::panic::Location;
use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;

/// The parent index that stands for the node itself.
const ROOT: u32 = u32::MAX;

/// How long a wake that is under way may take, in real time.
const PATIENCE: Duration = Duration::from_millis(50);

/// In how many passes after that a region may be missed before it is dormant.
const MAX_MISSES: u8 = 3;

/// The rest after the first search, in real time. Each rest is twice as long as the one
/// before.
const SHORTEST_REST: Duration = Duration::from_millis(1);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The name of an open region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RegionId {
    index: u32,
    generation: u32,
}

impl RegionId {
    pub(crate) const ROOT: RegionId = RegionId {
        index: ROOT,
        generation: 0,
    };
}

/// What a region is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RegionKind {
    /// Only keeps the count of what is inside it apart; holds nothing itself.
    Branch,
    /// A scope or group inside this node, which has a node of its own.
    Boundary,
    Defer,
    OnCancel,
    Shield,
    /// The cleanups deferred to a group's end.
    Deferred,
}

impl RegionKind {
    /// Whether it must unwind itself.
    pub(crate) fn holds(self) -> bool {
        self != RegionKind::Branch
    }

    /// In the user's words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RegionKind::Branch => "a branch",
            RegionKind::Boundary => "a scope",
            RegionKind::Defer => "`defer!`",
            RegionKind::OnCancel => "`on_cancel!`",
            RegionKind::Shield => "`shield`",
            RegionKind::Deferred => "deferred cleanups",
        }
    }

    /// The code of this region that no cancellation reaches, in the user's words.
    pub(crate) fn shielded_code(self) -> String {
        match self {
            RegionKind::Shield => "a shielded future".to_owned(),
            RegionKind::Deferred => "a deferred cleanup".to_owned(),
            kind => format!("the cleanup of {}", kind.name()),
        }
    }
}

/// A region that holds, for those who want to see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HeldRegion {
    pub(crate) kind: RegionKind,
    pub(crate) location: Option<&'static Location<'static>>,
    /// Its cleanup is under way, as far as the last pass has shown.
    pub(crate) cleaning: bool,
}

#[derive(Debug)]
struct RegionRow {
    parent: u32,
    generation: u32,
    kind: RegionKind,
    location: Option<&'static Location<'static>>,
    /// When it was polled last in a pass, it was inside its cleanup.
    cleaning: bool,
    /// Lies in a shield: a cancellation does not reach it, so that it need not
    /// be polled when its node unwinds.
    shielded: bool,
    dormant: bool,
    live: u32,
    /// The pass in which it was last polled.
    pass: u64,
    /// Its own waker, where that is not the task's.
    waker: Option<Waker>,
}

impl RegionRow {
    /// Invariant 1.
    fn counts(&self) -> bool {
        !self.dormant && (self.kind.holds() || self.live > 0)
    }
}

/// What a pass has shown.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// No region counts.
    Clear,
    /// Regions are still unwinding, and will wake the task.
    Wait,
    /// A search is under way: wake these, and poll again at once.
    Again(Vec<Waker>),
    /// Some were missed during a rest: poll again at its end.
    Later(Instant),
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    regions: Slab<RegionRow>,
    generation: u32,
    live: u32,
    pass: u64,
    search: Search,
    /// How long the last rest was.
    rest: Duration,
}

/// Where the search for dormant regions stands.
#[derive(Clone, Copy, Debug, Default)]
enum Search {
    /// The next one begins when a pass misses a region.
    #[default]
    Idle,
    /// All regions were woken.
    Searching(Asked),
    /// All were polled: none begins before this.
    Resting(Instant),
    /// The same, and a timer will have the task polled then.
    RestingTimed(Instant),
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    /// The pass in which the search began.
    since: u64,
    /// Whether the search reaches into shields. What an abort wakes there later has a search,
    /// and a patience, of its own.
    aborting: bool,
    patient_until: Instant,
    /// How many passes after that have missed a region.
    misses: u8,
}

impl Table {
    /// The innermost open regions, each with those around it, from the inside out.
    pub(crate) fn innermost(&self) -> Vec<(RegionKind, Vec<RegionId>)> {
        let is_parent = |index| {
            self.regions
                .iter()
                .any(|(_, region)| region.parent == index)
        };
        let innermost = self.regions.iter().filter_map(|(index, region)| {
            let index = u32::try_from(index).ok()?;
            (!is_parent(index)).then(|| (region.kind, self.around(index)))
        });
        innermost.collect()
    }

    /// This region and those around it, the root last.
    fn around(&self, mut index: u32) -> Vec<RegionId> {
        let mut around = Vec::new();
        while let Some(region) = self.regions.get(index as usize) {
            let generation = region.generation;
            around.push(RegionId { index, generation });
            index = region.parent;
        }
        around.push(RegionId::ROOT);
        around
    }

    pub(crate) fn open(
        &mut self,
        parent: RegionId,
        kind: RegionKind,
        location: Option<&'static Location<'static>>,
        shielded: bool,
    ) -> RegionId {
        self.generation = self.generation.wrapping_add(1);
        let (generation, pass) = (self.generation, self.pass);
        let parent = if self.get(parent).is_some() {
            parent.index
        } else {
            ROOT
        };
        let index = self.regions.insert(RegionRow {
            parent,
            generation,
            kind,
            location,
            cleaning: false,
            shielded,
            dormant: false,
            live: 0,
            pass,
            waker: None,
        });
        if kind.holds() {
            self.change_live(parent, |live| *live += 1);
        }
        RegionId {
            index: index as u32,
            generation,
        }
    }

    /// Gives back the region's waker, to be dropped outside of the lock.
    pub(crate) fn close(&mut self, id: RegionId) -> Option<Waker> {
        self.get(id)?;
        let region = self.regions.remove(id.index as usize);
        if region.counts() {
            self.change_live(region.parent, |live| *live -= 1);
        }
        if region.live > 0 {
            self.hand_over(id.index, region.parent);
        }
        region.waker
    }

    /// Invariant 3. Only for a future that was moved out of the one that has
    /// unwound, so it may be slow. Regions that do not count are handed over too.
    fn hand_over(&mut self, from: u32, to: u32) {
        let mut counting = 0;
        for (_, region) in &mut self.regions {
            if region.parent == from {
                region.parent = to;
                counting += u32::from(region.counts());
            }
        }
        for _ in 0..counting {
            self.change_live(to, |live| *live += 1);
        }
    }

    /// How many regions directly inside this one count.
    pub(crate) fn live(&self, id: RegionId) -> u32 {
        if id == RegionId::ROOT {
            self.live
        } else {
            self.get(id).map_or(0, |region| region.live)
        }
    }

    /// Notes that a region was polled in this pass, in its cleanup or not; a
    /// dormant one counts again.
    pub(crate) fn polled(&mut self, id: RegionId, cleaning: bool) {
        let pass = self.pass;
        let Some(region) = self.get_mut(id) else {
            return;
        };
        region.pass = pass;
        region.cleaning = cleaning;
        if region.dormant {
            region.dormant = false;
            let (counts, parent) = (region.counts(), region.parent);
            if counts {
                self.change_live(parent, |live| *live += 1);
            }
        }
    }

    /// Gives back the former waker, to be dropped outside of the lock.
    pub(crate) fn set_waker(&mut self, id: RegionId, waker: &Waker) -> Option<Waker> {
        self.get_mut(id)?.waker.replace(waker.clone())
    }

    pub(crate) fn wakers(&self) -> impl Iterator<Item = &Waker> {
        self.regions
            .iter()
            .filter_map(|(_, region)| region.waker.as_ref())
    }

    /// What holds, the innermost first.
    pub(crate) fn held(&self) -> Vec<HeldRegion> {
        let mut held: Vec<_> = self
            .regions
            .iter()
            .filter(|(_, region)| region.kind.holds() && region.kind != RegionKind::Boundary)
            .map(|(_, region)| region)
            .collect();
        held.sort_unstable_by_key(|region| std::cmp::Reverse(region.generation));
        held.iter()
            .map(|region| HeldRegion {
                kind: region.kind,
                location: region.location,
                cleaning: region.cleaning,
            })
            .collect()
    }

    pub(crate) fn begin_pass(&mut self) {
        self.pass += 1;
    }

    /// Judges the pass that ends. `aborting` reaches into shields.
    pub(crate) fn end_pass(&mut self, aborting: bool) -> Verdict {
        if self.live == 0 {
            return Verdict::Clear;
        }
        match self.search {
            Search::Searching(asked) => self.go_on_searching(asked, aborting),
            Search::Resting(until) if Instant::now() < until => self.rest_until(until, aborting),
            Search::RestingTimed(until) if Instant::now() < until => Verdict::Wait,
            _ => self.begin_search(aborting),
        }
    }

    fn begin_search(&mut self, aborting: bool) -> Verdict {
        if self.missed(self.pass, aborting).next().is_none() {
            self.search = Search::Idle;
            return Verdict::Wait;
        }
        self.ask(Asked {
            since: self.pass,
            aborting,
            patient_until: Instant::now() + PATIENCE,
            misses: 0,
        })
    }

    fn go_on_searching(&mut self, mut asked: Asked, aborting: bool) -> Verdict {
        if self.missed(asked.since, asked.aborting).next().is_none() {
            self.rest = (self.rest * 2).clamp(SHORTEST_REST, LONGEST_REST);
            return self.rest_until(Instant::now() + self.rest, aborting);
        }
        if Instant::now() < asked.patient_until {
            return Verdict::Again(Vec::new());
        }
        asked.misses += 1;
        if asked.misses > MAX_MISSES {
            return self.give_up(asked);
        }
        self.ask(asked)
    }

    /// Has all regions polled, also those inside of the ones that were missed.
    fn ask(&mut self, asked: Asked) -> Verdict {
        self.search = Search::Searching(asked);
        Verdict::Again(self.wakers().cloned().collect())
    }

    /// What was missed is dormant. The next search begins at once: what was polled may lie in
    /// the same place.
    fn give_up(&mut self, asked: Asked) -> Verdict {
        let missed: Vec<_> = self.missed(asked.since, asked.aborting).collect();
        for index in missed {
            let region = &mut self.regions[index];
            region.dormant = true;
            let parent = region.parent;
            self.change_live(parent, |live| *live -= 1);
        }
        self.search = Search::Idle;
        Verdict::Again(Vec::new())
    }

    /// Rests without a timer as long as no pass deserts a region (invariant 5).
    fn rest_until(&mut self, until: Instant, aborting: bool) -> Verdict {
        if self.missed(self.pass, aborting).next().is_none() {
            self.search = Search::Resting(until);
            return Verdict::Wait;
        }
        self.search = Search::RestingTimed(until);
        Verdict::Later(until)
    }

    /// The regions that were not polled since a pass, although their parents were.
    fn missed(&self, since: u64, aborting: bool) -> impl Iterator<Item = usize> {
        let polled = move |region: &RegionRow| region.pass >= since;
        let reached = move |at| at == ROOT || polled(&self.regions[at as usize]);
        self.regions
            .iter()
            .filter(move |(_, region)| region.counts() && !polled(region))
            .filter(move |(_, region)| (aborting || !region.shielded) && reached(region.parent))
            .map(|(index, _)| index)
    }

    /// One more region directly inside `at` counts, or one fewer (invariant 2).
    fn change_live(&mut self, mut at: u32, change: fn(&mut u32)) {
        while at != ROOT {
            let region = &mut self.regions[at as usize];
            let counted = region.counts();
            change(&mut region.live);
            if region.counts() == counted {
                return;
            }
            at = region.parent;
        }
        change(&mut self.live);
    }

    fn get(&self, id: RegionId) -> Option<&RegionRow> {
        self.regions
            .get(id.index as usize)
            .filter(|region| region.generation == id.generation)
    }

    fn get_mut(&mut self, id: RegionId) -> Option<&mut RegionRow> {
        self.regions
            .get_mut(id.index as usize)
            .filter(|region| region.generation == id.generation)
    }
}

#[cfg(all(test, not(taskscope_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_branch_counts_only_while_something_inside_it_does() {
        let mut table = Table::default();
        let branch = table.open(RegionId::ROOT, RegionKind::Branch, None, false);
        assert_eq!(table.live(RegionId::ROOT), 0);
        let frame = table.open(branch, RegionKind::Defer, None, false);
        assert_eq!(table.live(branch), 1);
        assert_eq!(table.live(RegionId::ROOT), 1);
        table.close(frame);
        assert_eq!(table.live(RegionId::ROOT), 0);
    }

    #[test]
    fn closing_hands_what_is_inside_to_the_parent() {
        let mut table = Table::default();
        let outer = table.open(RegionId::ROOT, RegionKind::Defer, None, false);
        let inner = table.open(outer, RegionKind::Defer, None, false);
        table.close(outer);
        assert_eq!(table.live(RegionId::ROOT), 1);
        let other = table.open(RegionId::ROOT, RegionKind::Defer, None, false);
        assert_ne!(other, outer, "a reused index is another region");
        table.close(inner);
        table.close(other);
        assert_eq!(table.live(RegionId::ROOT), 0);
    }

    #[test]
    fn a_region_missed_in_several_passes_is_dormant_until_polled() {
        let mut table = Table::default();
        let outer = table.open(RegionId::ROOT, RegionKind::Defer, None, false);
        let inner = table.open(outer, RegionKind::Defer, None, false);
        let start = Instant::now();
        let mut passes = 0;
        while table.live(outer) > 0 {
            passes += 1;
            table.begin_pass();
            table.polled(outer, false);
            assert!(!matches!(table.end_pass(false), Verdict::Clear));
        }
        assert!(passes > MAX_MISSES.into());
        assert!(start.elapsed() >= PATIENCE);
        table.polled(inner, false);
        assert_eq!(table.live(outer), 1);
        table.close(inner);
        table.close(outer);
        assert_eq!(table.live(RegionId::ROOT), 0);
    }

    #[test]
    fn regions_in_a_shield_are_not_missed_unless_aborted() {
        let mut table = Table::default();
        let shield = table.open(RegionId::ROOT, RegionKind::Defer, None, false);
        table.open(shield, RegionKind::Defer, None, true);
        for _ in 0..20 {
            table.begin_pass();
            table.polled(shield, false);
            assert!(matches!(table.end_pass(false), Verdict::Wait));
        }
        table.begin_pass();
        table.polled(shield, false);
        assert!(matches!(table.end_pass(true), Verdict::Again(_)));
    }
}
