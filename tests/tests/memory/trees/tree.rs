//! The trees: as they are generated and printed, and numbered to be run.

use std::fmt;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use taskscope::OnFailure;

/// A delay, in units of some 17 minutes; each gets some milliseconds more that
/// depend on its place, so that no two timers go off together.
pub(crate) type Delay = u8;

/// One piece of work. A list of them is run one after the other.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Sleep(Delay),
    Fail(Delay),
    Panic(Delay),
    /// Cancels an enclosing scope or group: `up` = 0 means the innermost.
    Cancel {
        after: Delay,
        up: usize,
    },
    Defer {
        body: Vec<Tree>,
        cleanup: Vec<Tree>,
    },
    OnCancel {
        body: Vec<Tree>,
        cleanup: Vec<Tree>,
    },
    Shield(Vec<Tree>),
    /// Cancels one task of the innermost group around, not a shielded one.
    CancelTask {
        after: Delay,
        which: usize,
    },
    /// Catches panics.
    Catch(Vec<Tree>),
    Scope {
        cut: Cut,
        body: Vec<Tree>,
    },
    Join(Vec<Vec<Tree>>),
    TryJoin(Vec<Vec<Tree>>),
    Group {
        on_failure: OnFailure,
        limit: Option<usize>,
        timeout: Option<Delay>,
        /// Whether its failure is the failure of what it stands in.
        pass_on: bool,
        /// Whether the body awaits the handles of the tasks at its end.
        awaits: bool,
        /// Whether the errors are of a type of the user's own.
        own_error: bool,
        body: Vec<Tree>,
        tasks: Vec<(How, Vec<Tree>)>,
        /// Each takes its time; then it fails or not.
        deferred: Vec<(Delay, bool)>,
    },
}

/// What cuts a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    Never,
    Timeout(Delay),
    When(Delay),
}

/// How a task is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Spawn,
    SpawnScoped,
    SpawnShielded,
    Service,
    /// A service that has no end of its own.
    EndlessService,
}

impl How {
    pub(crate) fn is_service(self) -> bool {
        matches!(self, How::Service | How::EndlessService)
    }
}

/// A whole test case: a scope and what runs in it.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) clock: Clock,
    pub(crate) cut: Cut,
    pub(crate) body: Vec<Tree>,
}

/// Prints what can be pasted into a test.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { clock, cut, body } = self;
        let text = format!("check(Case {{ clock: {clock:?}, cut: {cut:?}, body: {body:?} }})");
        f.write_str(&text.replace('[', "vec!["))
    }
}

/// How long the delays of a case are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// All end at times of their own, so that everything can be predicted.
    Apart,
    /// Few milliseconds or none at all, so that much happens at once.
    Crowded,
}

/// Which trees are generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing fails or is cancelled.
    Fair,
    /// Deadlines and cancellations, no failures.
    Cancelling,
    /// Everything.
    Foul,
}

fn delay() -> impl Strategy<Value = Delay> + Clone {
    1u8..24
}

/// What ends something comes later than the rest, so that there is something to
/// be ended.
fn late() -> impl Strategy<Value = Delay> + Clone {
    prop_oneof![1u8..24, 1u8..100]
}

fn leaf(weather: Weather) -> BoxedStrategy<Tree> {
    let sleep = delay().prop_map(Tree::Sleep);
    let cancel = (late(), 0usize..3).prop_map(|(after, up)| Tree::Cancel { after, up });
    let cancel_task = (late(), 0usize..4);
    let cancel_task = cancel_task.prop_map(|(after, which)| Tree::CancelTask { after, which });
    let cancel = prop_oneof![2 => cancel, 1 => cancel_task];
    match weather {
        Weather::Fair => sleep.boxed(),
        Weather::Cancelling => prop_oneof![6 => sleep, 1 => cancel].boxed(),
        Weather::Foul => prop_oneof![
            9 => sleep,
            2 => cancel,
            2 => late().prop_map(Tree::Fail),
            1 => late().prop_map(Tree::Panic),
        ]
        .boxed(),
    }
}

fn cut(weather: Weather) -> BoxedStrategy<Cut> {
    if weather == Weather::Fair {
        return Just(Cut::Never).boxed();
    }
    prop_oneof![
        2 => Just(Cut::Never),
        3 => late().prop_map(Cut::Timeout),
        2 => late().prop_map(Cut::When),
    ]
    .boxed()
}

fn how() -> impl Strategy<Value = How> + Clone {
    prop_oneof![
        6 => Just(How::Spawn),
        3 => Just(How::SpawnScoped),
        2 => Just(How::SpawnShielded),
        1 => Just(How::Service),
        1 => Just(How::EndlessService),
    ]
}

fn group(weather: Weather, body: BoxedStrategy<Vec<Tree>>) -> impl Strategy<Value = Tree> {
    let fair = weather == Weather::Fair;
    let timeout = (option::weighted(0.3, late())).prop_map(move |at| at.filter(|_| !fair));
    let foul = weather == Weather::Foul;
    let fails = prop::bool::weighted(0.2).prop_map(move |fails| fails && foul);
    (
        prop_oneof![3 => Just(OnFailure::Cancel), 2 => Just(OnFailure::Continue)],
        option::weighted(0.3, 1usize..3),
        timeout,
        any::<(bool, bool, bool)>(),
        body.clone(),
        vec((how(), body), 0..4),
        vec((delay(), fails), 0..3),
    )
        .prop_map(
            |(on_failure, limit, timeout, (pass_on, awaits, own_error), body, tasks, deferred)| {
                Tree::Group {
                    on_failure,
                    limit,
                    timeout,
                    pass_on,
                    awaits,
                    own_error,
                    body,
                    tasks,
                    deferred,
                }
            },
        )
}

fn tree(weather: Weather) -> BoxedStrategy<Tree> {
    leaf(weather)
        .prop_recursive(5, 48, 4, move |inner| {
            let body = vec(inner.clone(), 1..4).boxed();
            let cleanup = vec(inner, 0..3);
            prop_oneof![
                4 => (body.clone(), cleanup.clone())
                    .prop_map(|(body, cleanup)| Tree::Defer { body, cleanup }),
                1 => (body.clone(), cleanup)
                    .prop_map(|(body, cleanup)| Tree::OnCancel { body, cleanup }),
                2 => body.clone().prop_map(Tree::Shield),
                1 => body.clone().prop_map(Tree::Catch),
                3 => (cut(weather), body.clone()).prop_map(|(cut, body)| Tree::Scope { cut, body }),
                2 => vec(body.clone(), 2..4).prop_map(Tree::Join),
                1 => vec(body.clone(), 2..4).prop_map(Tree::TryJoin),
                5 => group(weather, body),
            ]
        })
        .boxed()
}

pub(crate) fn case(weather: Weather, clock: Clock) -> impl Strategy<Value = Case> {
    let body = vec(tree(weather), 1..4);
    (cut(weather), body).prop_map(move |(cut, body)| Case { clock, cut, body })
}

/// A numbered piece of work.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) id: usize,
    pub(crate) kind: Kind,
}

pub(crate) type Body = Arc<[Work]>;

/// As [`Tree`], with delays in milliseconds.
#[derive(Debug)]
pub(crate) enum Kind {
    Sleep(u64),
    Fail(u64),
    Panic(u64),
    Cancel {
        after: u64,
        up: usize,
    },
    Defer {
        only_cancelled: bool,
        body: Body,
        cleanup: Body,
    },
    CancelTask {
        after: u64,
        /// None where there is no such task.
        task: Option<usize>,
    },
    Shield(Body),
    Catch(Body),
    Scope {
        cut: Cut,
        after: u64,
        body: Body,
    },
    Join {
        fallible: bool,
        branches: Vec<Body>,
    },
    Group(GroupWork),
}

#[derive(Debug)]
pub(crate) struct GroupWork {
    pub(crate) on_failure: OnFailure,
    pub(crate) limit: Option<usize>,
    pub(crate) timeout: Option<u64>,
    pub(crate) pass_on: bool,
    pub(crate) awaits: bool,
    pub(crate) own_error: bool,
    pub(crate) body: Body,
    pub(crate) tasks: Vec<TaskWork>,
    pub(crate) deferred: Vec<DeferredWork>,
}

#[derive(Debug)]
pub(crate) struct TaskWork {
    pub(crate) id: usize,
    pub(crate) how: How,
    pub(crate) body: Body,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct DeferredWork {
    pub(crate) id: usize,
    pub(crate) takes: u64,
    pub(crate) fails: bool,
}

/// Where a numbered piece of work stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct At {
    /// What runs one after the other: a task or a branch.
    pub(crate) strand: usize,
    pub(crate) parent: Option<usize>,
    pub(crate) role: Role,
}

/// What must hold for a piece of work beside the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    None,
    /// Its cleanup always runs.
    Defer,
    /// It always runs to its end.
    Shield,
    /// It always starts, and runs to its end.
    ShieldedTask,
    Panic,
}

/// Numbers the pieces of a case.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) at: Vec<At>,
    /// All delays together, in milliseconds.
    pub(crate) total: u64,
    clock: Clock,
    /// The tasks that can be cancelled, of each group around.
    tasks: Vec<Vec<usize>>,
}

impl Plan {
    pub(crate) fn of(case: &Case) -> (Plan, Work) {
        let mut plan = Plan {
            at: Vec::new(),
            total: 0,
            clock: case.clock,
            tasks: Vec::new(),
        };
        let root = Tree::Scope {
            cut: case.cut,
            body: case.body.clone(),
        };
        let work = plan.work(&root, 0, None);
        (plan, work)
    }

    fn id(&mut self, strand: usize, parent: Option<usize>) -> usize {
        self.at.push(At {
            strand,
            parent,
            role: Role::None,
        });
        self.at.len() - 1
    }

    /// A new strand, named after the number that comes next.
    fn strand(&self) -> usize {
        self.at.len()
    }

    fn body(&mut self, trees: &[Tree], strand: usize, parent: usize) -> Body {
        let each = trees
            .iter()
            .map(|tree| self.work(tree, strand, Some(parent)));
        each.collect()
    }

    fn work(&mut self, tree: &Tree, strand: usize, parent: Option<usize>) -> Work {
        let id = self.id(strand, parent);
        let kind = match tree {
            Tree::Sleep(delay) => Kind::Sleep(self.millis(*delay, id)),
            Tree::Fail(delay) => Kind::Fail(self.millis(*delay, id)),
            Tree::Panic(delay) => {
                self.at[id].role = Role::Panic;
                Kind::Panic(self.millis(*delay, id))
            }
            Tree::CancelTask { after, which } => {
                let tasks = self.tasks.last();
                let task = tasks.and_then(|tasks| tasks.iter().cycle().nth(*which));
                Kind::CancelTask {
                    task: task.copied(),
                    after: self.millis(*after, id),
                }
            }
            Tree::Cancel { after, up } => Kind::Cancel {
                after: self.millis(*after, id),
                up: *up,
            },
            Tree::Defer { body, cleanup } | Tree::OnCancel { body, cleanup } => {
                let only_cancelled = matches!(tree, Tree::OnCancel { .. });
                if !only_cancelled {
                    self.at[id].role = Role::Defer;
                }
                Kind::Defer {
                    only_cancelled,
                    body: self.body(body, strand, id),
                    cleanup: self.body(cleanup, strand, id),
                }
            }
            Tree::Shield(body) => {
                self.at[id].role = Role::Shield;
                Kind::Shield(self.body(body, strand, id))
            }
            Tree::Catch(body) => Kind::Catch(self.body(body, strand, id)),
            Tree::Scope { cut, body } => Kind::Scope {
                cut: *cut,
                after: match cut {
                    Cut::Never => 0,
                    Cut::Timeout(delay) | Cut::When(delay) => self.millis(*delay, id),
                },
                body: self.body(body, strand, id),
            },
            Tree::Join(branches) | Tree::TryJoin(branches) => {
                let mut numbered = Vec::new();
                for branch in branches {
                    let strand = self.strand();
                    numbered.push(self.body(branch, strand, id));
                }
                Kind::Join {
                    fallible: matches!(tree, Tree::TryJoin(_)),
                    branches: numbered,
                }
            }
            Tree::Group {
                on_failure,
                limit,
                timeout,
                pass_on,
                awaits,
                own_error,
                body,
                tasks,
                deferred,
            } => {
                let ids: Vec<_> = tasks
                    .iter()
                    .map(|(how, _)| self.task_id(*how, id))
                    .collect();
                let cancellable = ids.iter().copied();
                let cancellable =
                    cancellable.filter(|&task| self.at[task].role != Role::ShieldedTask);
                let cancellable = cancellable.collect();
                self.tasks.push(cancellable);
                let tasks = tasks.iter().zip(&ids).map(|((how, body), &id)| TaskWork {
                    id,
                    how: *how,
                    body: self.body(body, id, id),
                });
                let tasks = tasks.collect();
                let group = GroupWork {
                    on_failure: *on_failure,
                    limit: *limit,
                    timeout: timeout.map(|delay| self.millis(delay, id)),
                    pass_on: *pass_on,
                    awaits: *awaits,
                    own_error: *own_error,
                    body: self.body(body, strand, id),
                    tasks,
                    deferred: deferred
                        .iter()
                        .map(|&(takes, fails)| self.deferred(takes, fails, strand, id))
                        .collect(),
                };
                self.tasks.pop();
                Kind::Group(group)
            }
        };
        Work { id, kind }
    }

    fn task_id(&mut self, how: How, group: usize) -> usize {
        let id = self.id(self.strand(), Some(group));
        if how == How::SpawnShielded {
            self.at[id].role = Role::ShieldedTask;
        }
        id
    }

    fn deferred(&mut self, takes: Delay, fails: bool, strand: usize, group: usize) -> DeferredWork {
        let id = self.id(strand, Some(group));
        DeferredWork {
            id,
            takes: self.millis(takes, id),
            fails,
        }
    }

    fn millis(&mut self, delay: Delay, id: usize) -> u64 {
        let millis = match self.clock {
            Clock::Apart => apart(delay, id),
            Clock::Crowded => u64::from(delay % 4),
        };
        self.total += millis;
        millis
    }
}

/// Mixed from the number, so that sums of delays do not meet.
fn apart(delay: Delay, id: usize) -> u64 {
    let mixed = (id as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    u64::from(delay) * 1_000_000 + (mixed >> 40) % 900_000
}
