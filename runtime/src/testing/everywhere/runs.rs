//! The runs: one that counts the points, then one for each point to try.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Handle};

use super::point::{Point, PointAction, TargetPoint};
use super::text::{hung, wrong_at};
use super::{Coverage, Everywhere};
use crate::base::alarm::{Countdown, abort};
use crate::base::caught::{Panic, catch};
use crate::poll::budget;
use crate::poll::probe::{PointHook, Probe, Reached};
use crate::scope::scope::Scope;
use crate::testing::invariant::{Invariant, ask};
use crate::testing::trial::{Trial, run};
use crate::tree::node::Node;
use crate::tree::reason::Reason;

/// How long a run may block the thread, in real time, before the process ends.
const DEADLOCK: Duration = Duration::from_secs(60);

/// How one run went.
pub(super) struct RunReport {
    points: usize,
    pub(super) reached: Option<Reached>,
    /// What was wrong, one text each.
    pub(super) wrong: Vec<String>,
}

impl<F, Fut> Everywhere<F>
where
    F: FnMut() -> Fut,
    Fut: Future,
{
    /// Tries all points, and asks after each run whether the invariant holds.
    ///
    /// # Panics
    ///
    /// At the first run that goes wrong, with its point. Inside a runtime.
    #[track_caller]
    pub fn check<I: Invariant>(mut self, mut invariant: impl FnMut() -> I) -> Coverage {
        assert!(
            Handle::try_current().is_err(),
            "cancel_everywhere: each run has a runtime of its own, which cannot start inside \
             another, help: call it in a plain `#[test]` function that is not `async`"
        );
        let since = Instant::now();
        let first = self.attempt(None, &mut invariant);
        assert!(
            first.wrong.is_empty(),
            "cancel_everywhere: wrong even if nothing is cancelled\n  {}",
            first.wrong.join("\n  ")
        );
        let mut coverage = Coverage {
            points: first.points,
            runs: 1,
            missed: 0,
            elapsed: Duration::ZERO,
        };
        for target in self.plan(first.points) {
            let attempt = self.attempt(Some(target), &mut invariant);
            coverage.runs += 1;
            coverage.missed += usize::from(attempt.reached.is_none());
            if !attempt.wrong.is_empty() {
                panic!("{}", wrong_at(target, first.points, &attempt));
            }
        }
        coverage.elapsed = since.elapsed();
        coverage
    }

    fn attempt<I: Invariant>(
        &mut self,
        target: Option<TargetPoint>,
        invariant: &mut impl FnMut() -> I,
    ) -> RunReport {
        let _countdown = abort_if_stuck(target);
        let mut scope = Scope::at(self.location).name("cancel_everywhere");
        if let Some(grace) = self.grace {
            scope = scope.grace(grace);
        }
        let act = target.map(|target| self.act(target, scope.node()));
        let probe = Arc::new(Probe::new(self.suspensions_only, budget::BUDGET, act));
        let mut trial = Trial::new("the run".to_owned());
        let ended = trial.collect(|trial| catch(|| self.run_once(trial, scope, &probe)));
        let panicked = |panic: Panic| Err(format!("it panicked: {}", panic.message()));
        let failed = ended.unwrap_or_else(panicked).err();
        let found = failed.into_iter().chain(trial.findings());
        RunReport {
            wrong: found.chain(ask(invariant)).collect(),
            points: probe.points() as usize,
            reached: probe.reached(),
        }
    }

    fn run_once(
        &mut self,
        trial: &mut Trial,
        scope: Scope<'_>,
        probe: &Arc<Probe>,
    ) -> Result<(), String> {
        let on_pool = self.blocking.then(|| probe.clone());
        let builder = Builder::new_current_thread();
        let runtime = trial.runtime(builder, self.start_paused, move || {
            if let Some(probe) = &on_pool {
                probe.install_for_good();
            }
        });
        let future = {
            // What it makes may need the timer at once.
            let _inside = runtime.enter();
            (self.run)()
        };
        let (root, patience, paused) = (
            scope.node().clone(),
            self.patience_or_default(),
            self.start_paused,
        );
        let hangs = async move {
            tokio::time::sleep(patience).await;
            hung(&root, patience, paused)
        };
        trial.block_on(runtime, async {
            let _installed = (probe.install(), budget::probed());
            // The scope waits for tasks that are still running when the run returns: no leak.
            run(scope, future, hangs).await.map(drop)
        })
    }
}

impl<F> Everywhere<F> {
    /// What is to be tried.
    fn plan(&self, points: usize) -> Vec<TargetPoint> {
        if let Some(only) = TargetPoint::from_env() {
            return vec![only];
        }
        let tried = self.limit.unwrap_or(points).min(points);
        let numbers = (0..tried).map(|at| at * points / tried + 1);
        let actions = [
            Some(PointAction::Cancel),
            self.stop.then_some(PointAction::Stop),
            self.fail.is_some().then_some(PointAction::Fail),
        ];
        let actions = actions.into_iter().flatten();
        numbers
            .flat_map(|number| {
                actions
                    .clone()
                    .map(move |action| TargetPoint { action, number })
            })
            .collect()
    }

    fn act(&self, target: TargetPoint, root: &Arc<Node>) -> (u32, PointHook) {
        let TargetPoint { action, number } = target;
        let (root, fail) = (Arc::downgrade(root), self.fail.clone());
        let act = move |reached: &Reached| {
            let Some(root) = root.upgrade() else { return };
            match (action, &fail) {
                (PointAction::Cancel, _) => drop(root.cancel(Reason::Requested)),
                (PointAction::Stop, _) => root.stop(),
                (PointAction::Fail, Some(fail)) => fail(&Point {
                    number,
                    reached: reached.clone(),
                }),
                (PointAction::Fail, None) => {}
            }
        };
        (u32::try_from(number).unwrap_or(u32::MAX), Arc::new(act))
    }

    fn patience_or_default(&self) -> Duration {
        let default = if self.start_paused { 3600 } else { 10 };
        self.patience.unwrap_or(Duration::from_secs(default))
    }
}

/// Ends the process when a run does not come back to its runtime: nothing else
/// can end a thread.
fn abort_if_stuck(target: Option<TargetPoint>) -> Countdown {
    let test = std::thread::current().name().unwrap_or("?").to_owned();
    Countdown::start("taskscope-alarm", move |is_over| {
        if is_over(DEADLOCK) {
            let point = target.map(|target| target.to_string());
            let point = point.as_deref().unwrap_or("nothing cancelled");
            abort(format_args!(
                "cancel_everywhere: `{test}` has kept its thread for {DEADLOCK:?} ({point}); \
                 this is what runs:\n{}",
                crate::tree()
            ));
        }
    })
}
