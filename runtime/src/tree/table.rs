//! The regions of one node: what must still be left in order inside it.
//!
//! A *region* is code that cannot just be dropped: an armed `defer!`, a shield,
//! a group, a nested scope. Regions form a tree below the node (the root).
//!
//! Invariants
//! 1. A region *counts* when it holds (is itself to be left in order) or a
//!    region inside it counts; a dormant one never counts.
//! 2. `live` of a region, or of the root, is the number of regions directly
//!    inside it that count.
//! 3. The parent of a region is open: closing a region hands what is inside it
//!    to its own parent. So a parent index is never stale; an index kept
//!    outside the table is told from a later one by its generation.
//! 4. A *pass* is one poll of the node's future while it is being left. A
//!    region is missed in a pass when its parent was polled and it was not.
//!    After `MAX_MISSES` passes in which it was woken and missed, and no sooner
//!    than `PATIENCE` after the first, it is dormant: its future sits where
//!    nobody polls it. Passes follow each other within microseconds, while a
//!    wake may be under way in a thread that is not running just now: a
//!    combinator that has marked its child as woken, and not yet queued it.
//! 5. A *round* of wakes ends when every region that counts was polled in it.
//!    None begins soon after that: `FuturesUnordered` wakes itself once it has
//!    polled all its children, and that pass, which polls none of them, would
//!    begin the next round, for as long as a cleanup takes. But what was polled
//!    in the round may have been deserted since: the look is put off, ever
//!    longer, and never given up.

use std::panic::Location;
use std::task::Waker;
use std::time::{Duration, Instant};

use slab::Slab;

/// The parent index that stands for the node itself.
const ROOT: u32 = u32::MAX;

/// How often a region may be woken in vain before it is dormant.
const MAX_MISSES: u8 = 3;

/// How long a wake that is under way may take, in real time.
const PATIENCE: Duration = Duration::from_millis(50);

/// How soon after the first round the next one may begin, in real time; after each
/// twice as late, up to a second.
const QUIET: Duration = Duration::from_millis(1);
const MOST_QUIET: Duration = Duration::from_secs(1);

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
    /// Whether it is itself to be left in order.
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
    /// be polled when its node is left.
    shielded: bool,
    dormant: bool,
    misses: u8,
    /// When it was missed first, since it was polled last.
    missed_since: Option<Instant>,
    live: u32,
    /// The pass in which it was last polled.
    pass: u32,
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
    /// Nothing is left that must be left in order.
    Clear,
    /// Regions are still leaving; they will wake the task.
    Wait,
    /// Some were missed: wake these, and poll again.
    Again(Vec<Waker>),
    /// Some were missed, which may mean nothing: poll again after this time.
    Later(Duration),
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    regions: Slab<RegionRow>,
    generation: u32,
    live: u32,
    pass: u32,
    /// The pass in which the round that is under way began.
    round: Option<u32>,
    quiet: Quiet,
}

/// The time after a round (invariant 5).
#[derive(Debug, Default)]
struct Quiet {
    length: Duration,
    end: Option<Instant>,
    /// A poll at its end was asked for.
    asked: bool,
}

impl Quiet {
    fn begin(&mut self) {
        self.length = (self.length * 2).clamp(QUIET, MOST_QUIET);
        self.end = Some(Instant::now() + self.length);
        self.asked = false;
    }

    fn left(&self) -> Duration {
        self.end.map_or(Duration::ZERO, |end| {
            end.saturating_duration_since(Instant::now())
        })
    }
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
        let parent = if self.contains(parent) {
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
            misses: 0,
            missed_since: None,
            live: 0,
            pass,
            waker: None,
        });
        if kind.holds() {
            self.count(parent);
        }
        RegionId {
            index: index as u32,
            generation,
        }
    }

    /// Gives back the region's waker, to be dropped outside of the lock.
    pub(crate) fn close(&mut self, id: RegionId) -> Option<Waker> {
        let region = self.remove(id)?;
        if region.counts() {
            self.uncount(region.parent);
        }
        if region.live > 0 {
            self.hand_over(id.index, region.parent);
        }
        region.waker
    }

    /// Invariant 3. Only for a future that was moved out of the one that was
    /// left, so it may be slow. Regions that do not count are handed over too.
    fn hand_over(&mut self, from: u32, to: u32) {
        let mut counting = 0;
        for (_, region) in &mut self.regions {
            if region.parent == from {
                region.parent = to;
                counting += u32::from(region.counts());
            }
        }
        for _ in 0..counting {
            self.count(to);
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
        region.misses = 0;
        region.missed_since = None;
        if region.dormant {
            region.dormant = false;
            let (counts, parent) = (region.counts(), region.parent);
            if counts {
                self.count(parent);
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
        self.pass = self.pass.wrapping_add(1);
    }

    /// Judges the pass that ends (invariant 4). `aborting` reaches into shields.
    pub(crate) fn end_pass(&mut self, aborting: bool) -> Verdict {
        if self.live == 0 {
            return Verdict::Clear;
        }
        let missed = self.missed(self.round.unwrap_or(self.pass), aborting);
        if missed.is_empty() {
            if self.round.take().is_some() {
                self.quiet.begin();
            }
            return Verdict::Wait;
        }
        if self.round.is_none() {
            let progressed = self.progressed();
            // To look for dormant regions costs a wake for each that merely waits,
            // so while others make progress it is done ever more rarely.
            if progressed && !self.pass.is_power_of_two() {
                return Verdict::Wait;
            }
            let left = self.quiet.left();
            if !left.is_zero() {
                let asks = !progressed && !std::mem::replace(&mut self.quiet.asked, true);
                return if asks {
                    Verdict::Later(left)
                } else {
                    Verdict::Wait
                };
            }
        }
        self.round.get_or_insert(self.pass);
        let wakers = self.probe(missed);
        if self.live == 0 {
            Verdict::Clear
        } else {
            Verdict::Again(wakers)
        }
    }

    /// The regions that were not polled since a pass, although their parents were.
    fn missed(&self, since: u32, aborting: bool) -> Vec<u32> {
        let polled = |region: &RegionRow| region.pass.wrapping_sub(since) <= i32::MAX as u32;
        let reached = |at: u32| at == ROOT || polled(&self.regions[at as usize]);
        self.regions
            .iter()
            .filter(|(_, region)| region.counts() && !polled(region))
            .filter(|(_, region)| (aborting || !region.shielded) && reached(region.parent))
            .map(|(index, _)| index as u32)
            .collect()
    }

    /// Whether an innermost region that still counts was polled in this pass.
    fn progressed(&self) -> bool {
        let pass = self.pass;
        self.regions
            .iter()
            .any(|(_, region)| region.pass == pass && region.counts() && region.live == 0)
    }

    fn probe(&mut self, missed: Vec<u32>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for index in missed {
            let region = &mut self.regions[index as usize];
            region.misses = region.misses.saturating_add(1);
            let since = *region.missed_since.get_or_insert_with(Instant::now);
            if region.misses <= MAX_MISSES || since.elapsed() < PATIENCE {
                wakers.extend(region.waker.clone());
            } else {
                region.dormant = true;
                let parent = region.parent;
                self.uncount(parent);
                // Those that answered before may lie in the same place.
                self.round = Some(self.pass.wrapping_add(1));
            }
        }
        wakers
    }

    /// One more region directly inside `at` counts (invariant 2).
    fn count(&mut self, mut at: u32) {
        while at != ROOT {
            let region = &mut self.regions[at as usize];
            let counted = region.counts();
            region.live += 1;
            if counted || region.dormant {
                return;
            }
            at = region.parent;
        }
        self.live += 1;
    }

    /// One region fewer directly inside `at` counts (invariant 2).
    fn uncount(&mut self, mut at: u32) {
        while at != ROOT {
            let region = &mut self.regions[at as usize];
            region.live -= 1;
            if region.counts() || region.dormant {
                return;
            }
            at = region.parent;
        }
        self.live -= 1;
    }

    fn contains(&self, id: RegionId) -> bool {
        self.get(id).is_some()
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

    fn remove(&mut self, id: RegionId) -> Option<RegionRow> {
        self.get(id)?;
        self.regions.try_remove(id.index as usize)
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
