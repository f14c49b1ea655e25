//! What should happen: computed from the tree alone.
//!
//! A piece of work is a function of when it starts and when it is cancelled. A
//! scope or group that is cancelled from inside (by a failure, by a `Cancel`) is
//! computed again with the first such request: what came before that does not
//! depend on it.
//!
//! Times are in ticks, `STEPS` to the millisecond: what follows from an event in
//! the same millisecond comes one step later.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use taskscope::OnFailure;

use super::trace::{CutBy, Event, Fault, Outcome, What, Why};
use super::tree::{Body, Cut, GroupWork, How, Kind, TaskWork, Work};

type Tick = u64;
const STEPS: u64 = 1 << 16;
const NEVER: Tick = Tick::MAX;

fn later(at: Tick, millis: u64) -> Tick {
    (at / STEPS + millis) * STEPS
}

/// When something is cancelled, and why.
#[derive(Clone, Copy, Debug)]
struct Cancel {
    at: Tick,
    why: Why,
}

impl Cancel {
    const NEVER: Cancel = Cancel {
        at: NEVER,
        why: Why::Other,
    };

    fn first(self, other: Cancel) -> Cancel {
        if other.at < self.at { other } else { self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Value,
    Error(usize),
    Panic(usize),
    Left,
}

/// When and how a piece of work ended.
#[derive(Clone, Copy, Debug)]
struct End {
    at: Tick,
    exit: Exit,
}

/// What a piece of work runs in.
#[derive(Clone, Debug)]
struct Place {
    cancel: Cancel,
    /// The boundaries around it, up to the next shield, and when they are
    /// cancelled; the outermost first.
    chain: Vec<(usize, Tick)>,
    /// All scopes and groups around it.
    scopes: Vec<usize>,
}

impl Place {
    fn shielded(&self) -> Place {
        Place {
            cancel: Cancel::NEVER,
            chain: Vec::new(),
            scopes: self.scopes.clone(),
        }
    }

    /// In a boundary of its own that is cancelled then.
    fn inside(&self, id: usize, cancel: Cancel) -> Place {
        let mut chain = self.chain.clone();
        chain.push((id, cancel.at));
        Place {
            cancel,
            chain,
            scopes: self.scopes.clone(),
        }
    }

    fn scope(&self, id: usize, cancel: Cancel) -> Place {
        let mut place = self.inside(id, cancel);
        place.scopes.push(id);
        place
    }

    fn is_cancelled(&self, at: Tick) -> bool {
        self.cancel.at <= at
    }

    /// The boundary that absorbs what is cancelled at this time.
    fn absorbing(&self, at: Tick) -> Option<usize> {
        self.chain.iter().find(|(_, c)| *c <= at).map(|(id, _)| *id)
    }
}

/// All that should be seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) events: Vec<Event>,
    pub(crate) outcomes: Vec<(usize, Outcome)>,
    /// Failures that are reported: nobody is told, or not whose panic it was.
    pub(crate) reported: Vec<Fault>,
    pub(crate) panic: Option<usize>,
    pub(crate) end: u64,
    /// Whether two things happen at once, in an order that is nobody's business:
    /// a task ends while the body that awaits it, or the task that waits for its
    /// place, is cancelled by a task.
    pub(crate) open: bool,
    attached: Vec<(usize, Fault)>,
    requests: Vec<(usize, Cancel)>,
}

impl Model {
    pub(crate) fn of(root: &Work) -> Model {
        let mut model = Model::default();
        let place = Place {
            cancel: Cancel::NEVER,
            chain: Vec::new(),
            scopes: Vec::new(),
        };
        let end = model.work(root, 0, &place);
        model.end = end.at / STEPS;
        if let Exit::Panic(id) = end.exit {
            model.panic = Some(id);
        }
        model
    }

    fn add(&mut self, at: Tick, id: usize, what: What) {
        let at = at / STEPS;
        self.events.push(Event { at, id, what });
    }

    /// The failures that were attached to a boundary.
    fn take_attached(&mut self, id: usize) -> Vec<Fault> {
        let (mine, others): (Vec<_>, Vec<_>) =
            self.attached.drain(..).partition(|(at, _)| *at == id);
        self.attached = others;
        mine.into_iter().map(|(_, fault)| fault).collect()
    }

    fn attach(&mut self, place: &Place, at: Tick, faults: Vec<Fault>) {
        if let Some(id) = place.absorbing(at) {
            self.attached
                .extend(faults.into_iter().map(|fault| (id, fault)));
        }
    }

    /// A panic that is not resumed is reported, unless a group below has done so.
    fn report_panic(&mut self, by: usize) {
        let panic = Fault::Panic(by);
        if !self.reported.contains(&panic) {
            self.reported.push(panic);
        }
    }

    /// What fails once the group is cancelled for something else is not its own failure:
    /// it is reported and attached. Gives the others back.
    fn without_late(
        &mut self,
        failed: Vec<(Tick, Fault)>,
        first_failure: Tick,
        cancel: Cancel,
        place: &Place,
    ) -> (Vec<Fault>, bool) {
        let failing = first_failure <= cancel.at;
        let is_late = |at: Tick| !failing && at >= cancel.at;
        let (late, own): (Vec<_>, Vec<_>) = failed.into_iter().partition(|(at, _)| is_late(*at));
        for &(at, fault) in &late {
            self.reported.push(fault);
            self.attach(place, at, vec![fault]);
        }
        let own = own.into_iter().map(|(_, fault)| fault).collect();
        (own, !late.is_empty())
    }

    /// The first request of those since `from` to cancel this scope.
    fn request(&self, from: usize, id: usize) -> Cancel {
        let mine = self.requests[from..].iter().filter(|(to, _)| *to == id);
        mine.fold(Cancel::NEVER, |first, (_, cancel)| first.first(*cancel))
    }

    fn sequence(&mut self, body: &Body, start: Tick, place: &Place) -> End {
        let mut at = start;
        for work in body.iter() {
            if place.is_cancelled(at) {
                return End {
                    at,
                    exit: Exit::Left,
                };
            }
            let end = self.work(work, at, place);
            if end.exit != Exit::Value {
                return end;
            }
            at = end.at;
        }
        End {
            at,
            exit: Exit::Value,
        }
    }

    fn work(&mut self, work: &Work, start: Tick, place: &Place) -> End {
        let id = work.id;
        self.add(start, id, What::Begins);
        let end = self.kind(work, start, place);
        match end.exit {
            Exit::Value => self.add(end.at, id, What::Ends(true)),
            Exit::Error(_) => self.add(end.at, id, What::Ends(false)),
            Exit::Panic(_) | Exit::Left => {}
        }
        self.add(end.at, id, What::Gone);
        end
    }

    fn kind(&mut self, work: &Work, start: Tick, place: &Place) -> End {
        let id = work.id;
        match &work.kind {
            Kind::Sleep(takes) => pause(*takes, start, place, Exit::Value),
            Kind::Fail(takes) => pause(*takes, start, place, Exit::Error(id)),
            Kind::Panic(takes) => pause(*takes, start, place, Exit::Panic(id)),
            Kind::Cancel { after, up } => {
                let mut end = pause(*after, start, place, Exit::Value);
                if end.exit == Exit::Value {
                    let index = place.scopes.len().saturating_sub(up + 1);
                    end.at += 1;
                    let cancel = Cancel {
                        at: end.at,
                        why: Why::By(id),
                    };
                    self.requests.push((place.scopes[index], cancel));
                }
                end
            }
            Kind::CancelTask { after, task } => {
                let mut end = pause(*after, start, place, Exit::Value);
                if end.exit == Exit::Value {
                    end.at += 1;
                    let cancel = Cancel {
                        at: end.at,
                        why: Why::Requested,
                    };
                    self.requests.extend(task.map(|task| (task, cancel)));
                }
                end
            }
            Kind::Defer {
                only_cancelled,
                body,
                cleanup,
            } => {
                let end = self.sequence(body, start, place);
                if *only_cancelled && end.exit != Exit::Left {
                    return end;
                }
                self.add(end.at, id, What::CleanupBegins);
                let cleaned = self.sequence(cleanup, end.at, &place.shielded());
                let mut exit = end.exit;
                if let Exit::Panic(by) = cleaned.exit {
                    if matches!(exit, Exit::Panic(_)) {
                        self.report_panic(by);
                    } else {
                        exit = cleaned.exit;
                    }
                } else {
                    self.add(cleaned.at, id, What::CleanupEnds);
                }
                End {
                    at: cleaned.at,
                    exit,
                }
            }
            Kind::Shield(body) => self.sequence(body, start, &place.shielded()),
            Kind::Catch(body) => {
                let mut end = self.sequence(body, start, place);
                if let Exit::Panic(by) = end.exit {
                    self.add(end.at, id, What::Caught(by));
                    end.exit = Exit::Value;
                }
                end
            }
            Kind::Scope { cut, after, body } => {
                let own = match cut {
                    Cut::Never => Cancel::NEVER,
                    Cut::Timeout(_) => Cancel {
                        at: later(start, *after),
                        why: Why::Deadline,
                    },
                    Cut::When(_) => Cancel {
                        at: later(start, *after),
                        why: Why::Requested,
                    },
                };
                self.scope(id, place.cancel.first(own), body, start, place)
            }
            Kind::Join { fallible, branches } => {
                self.branches(id, *fallible, branches, start, place)
            }
            Kind::Group(group) => self.group(id, group, start, place),
        }
    }

    fn scope(
        &mut self,
        id: usize,
        mut cancel: Cancel,
        body: &Body,
        start: Tick,
        place: &Place,
    ) -> End {
        let before = self.clone();
        let end = loop {
            let end = self.sequence(body, start, &place.scope(id, cancel));
            let first = cancel.first(self.request(before.requests.len(), id));
            if first.at == cancel.at {
                break end;
            }
            cancel = first;
            *self = before.clone();
        };
        let attached = self.take_attached(id);
        let outer = place.is_cancelled(end.at);
        match end.exit {
            Exit::Panic(_) => end,
            Exit::Left if !outer => {
                self.add(end.at, id, What::Cut(CutBy::new(cancel.why, attached)));
                End {
                    at: end.at,
                    exit: Exit::Value,
                }
            }
            _ => {
                self.attach(place, end.at, attached);
                end
            }
        }
    }

    fn branches(
        &mut self,
        id: usize,
        fallible: bool,
        branches: &[Body],
        start: Tick,
        place: &Place,
    ) -> End {
        let before = self.clone();
        let mut cancel = place.cancel;
        let ends = loop {
            let inside = place.inside(id, cancel);
            let ends: Vec<_> = branches
                .iter()
                .map(|branch| self.sequence(branch, start, &inside))
                .collect();
            let failed = ends.iter().filter(|end| match end.exit {
                Exit::Panic(_) => true,
                Exit::Error(_) => fallible,
                _ => false,
            });
            let first = failed.map(|end| end.at + 1).min().unwrap_or(NEVER);
            if first >= cancel.at {
                break ends;
            }
            cancel = Cancel {
                at: first,
                why: Why::Sibling,
            };
            *self = before.clone();
        };
        let at = ends.iter().map(|end| end.at).max().unwrap_or(start);
        let attached = self.take_attached(id);
        self.attach(place, at, attached);
        let exit = joined(fallible, &ends);
        for end in ends.iter().filter(|end| end.exit != exit) {
            if let Exit::Panic(by) = end.exit {
                self.report_panic(by);
            }
        }
        End { at, exit }
    }

    fn group(&mut self, id: usize, group: &GroupWork, start: Tick, place: &Place) -> End {
        let own = group.timeout.map_or(Cancel::NEVER, |after| Cancel {
            at: later(start, after),
            why: Why::Deadline,
        });
        let mut cancel = place.cancel.first(own);
        let mut alone = vec![Cancel::NEVER; group.tasks.len()];
        let before = self.clone();
        loop {
            let members = self.members(id, group, start, &place.scope(id, cancel), &alone);
            let failed = Cancel {
                at: members.first_failure(group.on_failure),
                why: Why::Sibling,
            };
            let request = self.request(before.requests.len(), id);
            let first = cancel.first(failed).first(request);
            let tasks =
                group.tasks.iter().zip(&alone).map(|(task, cancel)| {
                    cancel.first(self.request(before.requests.len(), task.id))
                });
            let (single, index) = earliest_new(tasks, &alone);
            if first.at == cancel.at && single.at == NEVER {
                return self.group_ended(id, group, &members, cancel, place);
            }
            // What comes later may not come at all.
            if first.at < cancel.at && first.at <= single.at {
                cancel = first;
            } else {
                alone[index] = single;
            }
            *self = before.clone();
        }
    }

    /// Body, tasks and services; when each ended.
    fn members(
        &mut self,
        id: usize,
        group: &GroupWork,
        start: Tick,
        place: &Place,
        alone: &[Cancel],
    ) -> Members {
        debug_assert_eq!(place.scopes.last(), Some(&id));
        let mut body = self.sequence(&group.body, start, place);
        let mut tasks = vec![None; group.tasks.len()];
        let mut free: BinaryHeap<_> = vec![Reverse(start); group.limit.unwrap_or(0)].into();
        for ((task, slot), alone) in group.tasks.iter().zip(&mut tasks).zip(alone) {
            if task.how.is_service() {
                continue;
            }
            let limited = group.limit.is_some() && task.how != How::SpawnScoped;
            let from = match free.peek() {
                Some(&Reverse(at)) if limited => at,
                _ => start,
            };
            let inside = match task.how {
                How::SpawnShielded => place.shielded(),
                _ => place.clone(),
            };
            let inside = inside.inside(task.id, inside.cancel.first(*alone));
            let at_once = from > start && from / STEPS == inside.cancel.at / STEPS;
            self.open |= at_once && inside.cancel.why != Why::Sibling;
            let end = self.task(task, from, &inside);
            if limited && !inside.is_cancelled(from) {
                free.pop();
                free.push(Reverse(end.at + 1));
            }
            *slot = Some(end);
        }
        if group.awaits {
            if body.exit == Exit::Value && place.is_cancelled(body.at) {
                body.exit = Exit::Left;
            }
            for task in tasks.iter().flatten() {
                let inside = !matches!(place.cancel.why, Why::Deadline | Why::Requested);
                self.open |= inside && task.at == place.cancel.at && body.exit == Exit::Value;
                body = awaited(body, *task, place.cancel);
            }
        }
        let others = tasks.iter().flatten().map(|end| end.at);
        let others = others.fold(body.at, Tick::max);
        let done = Cancel {
            at: others + 1,
            why: Why::Ended,
        };
        for ((task, slot), alone) in group.tasks.iter().zip(&mut tasks).zip(alone) {
            if task.how.is_service() {
                let inside = place.shielded().inside(task.id, done.first(*alone));
                *slot = Some(self.task(task, start, &inside));
            }
        }
        Members {
            body,
            tasks: tasks.into_iter().flatten().collect(),
        }
    }

    fn task(&mut self, task: &TaskWork, start: Tick, place: &Place) -> End {
        let id = task.id;
        let mut end = End {
            at: place.cancel.at,
            exit: Exit::Left,
        };
        if !place.is_cancelled(start) {
            self.add(start, id, What::Begins);
            end = self.sequence(&task.body, start, place);
            if end.exit == Exit::Value && task.how == How::EndlessService {
                end.exit = Exit::Left;
                end.at = end.at.max(place.cancel.at);
            }
            match end.exit {
                Exit::Value => self.add(end.at, id, What::Ends(true)),
                Exit::Error(_) => self.add(end.at, id, What::Ends(false)),
                Exit::Panic(_) | Exit::Left => {}
            }
            self.add(end.at, id, What::Gone);
        }
        let attached = self.take_attached(id);
        let outcome = match end.exit {
            Exit::Value => Outcome::Value,
            Exit::Error(_) => Outcome::Failed,
            Exit::Panic(by) => Outcome::Panicked(by),
            Exit::Left => Outcome::Cancelled(CutBy::new(place.cancel.why, attached)),
        };
        self.outcomes.push((id, outcome));
        end
    }

    fn group_ended(
        &mut self,
        id: usize,
        group: &GroupWork,
        members: &Members,
        cancel: Cancel,
        place: &Place,
    ) -> End {
        let (mut failed, panic) = members.failures(group.on_failure);
        let mut at = members.end();
        for deferred in group.deferred.iter().rev() {
            self.add(at, deferred.id, What::Begins);
            at = later(at, deferred.takes);
            self.add(at, deferred.id, What::Ends(!deferred.fails));
            self.add(at, deferred.id, What::Gone);
            if deferred.fails {
                failed.push((at, Fault::Error(deferred.id)));
            }
        }
        let first_failure = members.first_failure(group.on_failure);
        let inside = place.inside(id, cancel);
        let (failures, late) = self.without_late(failed, first_failure, cancel, &inside);
        let attached = self.take_attached(id);
        let outer = place.is_cancelled(at);
        // The first one of the body is resumed.
        for (is_body, by) in members.panics(group.on_failure) {
            if !is_body || panic != Some(by) {
                self.report_panic(by);
            }
        }
        if let Some(by) = panic {
            self.reported.extend(failures);
            return End {
                at,
                exit: Exit::Panic(by),
            };
        }
        let why = (cancel.at <= at).then_some(cancel.why);
        let cut = members.is_cut(group);
        let complete =
            failures.is_empty() && !late && (!cut || (!outer && why != Some(Why::Deadline)));
        if complete && members.body.exit == Exit::Value {
            return End {
                at,
                exit: Exit::Value,
            };
        }
        if outer {
            self.reported.extend(&failures);
            self.attach(place, at, attached.into_iter().chain(failures).collect());
            return End {
                at,
                exit: Exit::Left,
            };
        }
        let fails = group.pass_on && !failures.is_empty();
        let cancelled = why
            .filter(|why| *why != Why::Sibling)
            .map(|why| CutBy::new(why, attached));
        let what = What::GroupFailed {
            failures,
            cancelled,
        };
        self.add(at, id, what);
        End {
            at,
            exit: if fails { Exit::Error(id) } else { Exit::Value },
        }
    }
}

/// The earliest of the tasks' cancellations that was not known before.
fn earliest_new(now: impl Iterator<Item = Cancel>, known: &[Cancel]) -> (Cancel, usize) {
    let mut first = (Cancel::NEVER, 0);
    for (index, (now, known)) in now.zip(known).enumerate() {
        if now.at < known.at && now.at < first.0.at {
            first = (now, index);
        }
    }
    first
}

fn pause(takes: u64, start: Tick, place: &Place, exit: Exit) -> End {
    let at = later(start, takes);
    if place.cancel.at < at {
        return End {
            at: place.cancel.at,
            exit: Exit::Left,
        };
    }
    End { at, exit }
}

/// When and how a body goes on that awaits a task's handle.
fn awaited(mut body: End, task: End, cancel: Cancel) -> End {
    if body.exit != Exit::Value {
        return body;
    }
    if body.at >= cancel.at {
        body.exit = Exit::Left;
    } else if task.at >= cancel.at {
        // Both are told at once, and the body is polled first.
        body.exit = Exit::Left;
        body.at = cancel.at;
    } else {
        // Where the task's failure cancels the group, that comes first.
        body.at = body.at.max(task.at + 1);
    }
    body
}

fn joined(fallible: bool, ends: &[End]) -> Exit {
    let of = |wanted: fn(&Exit) -> bool| ends.iter().filter(move |end| wanted(&end.exit));
    let panics = of(|exit| matches!(exit, Exit::Panic(_)));
    if let Some(end) = panics.min_by_key(|end| end.at) {
        return end.exit;
    }
    let mut errors = of(|exit| matches!(exit, Exit::Error(_)));
    if fallible && let Some(end) = errors.clone().min_by_key(|end| end.at) {
        return end.exit;
    }
    if of(|exit| *exit == Exit::Left).next().is_some() {
        return Exit::Left;
    }
    errors.next().map_or(Exit::Value, |end| end.exit)
}

/// How the members of a group ended; the tasks in order of spawning.
#[derive(Debug)]
struct Members {
    body: End,
    tasks: Vec<End>,
}

impl Members {
    fn end(&self) -> Tick {
        let tasks = self.tasks.iter().map(|end| end.at);
        tasks.fold(self.body.at, Tick::max)
    }

    /// When a member first cancelled the group by failing.
    fn first_failure(&self, on_failure: OnFailure) -> Tick {
        let tasks = self.tasks.iter();
        let tasks = tasks.filter(|_| on_failure == OnFailure::Cancel);
        let failed = tasks
            .chain([&self.body])
            .filter(|end| matches!(end.exit, Exit::Error(_) | Exit::Panic(_)));
        failed.map(|end| end.at + 1).min().unwrap_or(NEVER)
    }

    /// Whether a task was left; a service has done its work then.
    fn is_cut(&self, group: &GroupWork) -> bool {
        let mut tasks = group.tasks.iter().zip(&self.tasks);
        tasks.any(|(task, end)| !task.how.is_service() && end.exit == Exit::Left)
    }

    /// The panics that are no failures of their own, and whether each is the body's.
    fn panics(&self, on_failure: OnFailure) -> Vec<(bool, usize)> {
        let tasks = self.tasks.iter();
        let tasks = tasks.filter(move |_| on_failure == OnFailure::Cancel);
        let members = tasks.map(|end| (false, end)).chain([(true, &self.body)]);
        let panics = members.filter_map(|(is_body, end)| match end.exit {
            Exit::Panic(by) => Some((is_body, by)),
            _ => None,
        });
        panics.collect()
    }

    /// The failures in order, and the panic that is resumed.
    fn failures(&self, on_failure: OnFailure) -> (Vec<(Tick, Fault)>, Option<usize>) {
        let mut failed: Vec<(Tick, Fault)> = Vec::new();
        let mut panics: Vec<(Tick, usize)> = Vec::new();
        let tasks = self.tasks.iter().map(|end| (end, on_failure));
        for (end, on_failure) in tasks.chain([(&self.body, OnFailure::Cancel)]) {
            match end.exit {
                Exit::Error(id) => failed.push((end.at, Fault::Error(id))),
                Exit::Panic(id) if on_failure == OnFailure::Continue => {
                    failed.push((end.at, Fault::Panic(id)));
                }
                Exit::Panic(id) => panics.push((end.at, id)),
                Exit::Value | Exit::Left => {}
            }
        }
        failed.sort_unstable();
        let panic = panics.into_iter().min().map(|(_, id)| id);
        (failed, panic)
    }
}
