//! The points of a run, and what is done at one of them.

use std::env;
use std::fmt;
use std::panic::Location;

use crate::poll::probe::{PointKind, Reached};

/// Which single point to try, and how: `cancel:17`.
const VARIABLE: &str = "TASKSCOPE_POINT";

/// A point at which a run can be cancelled.
///
/// ```
/// use std::sync::mpsc;
/// use taskscope::testing::{PointKind, cancel_everywhere};
///
/// let (tell, told) = mpsc::channel();
/// cancel_everywhere(|| async { taskscope::checkpoint().await })
///     .also_fail(move |point| tell.send(point.clone()).unwrap())
///     .check(|| true);
/// let point = told.recv().unwrap();
/// assert_eq!((point.number(), point.kind()), (1, PointKind::Checkpoint));
/// assert_eq!(point.location().file(), file!());
/// ```
#[derive(Clone, Debug)]
pub struct Point {
    pub(super) number: usize,
    pub(super) reached: Reached,
}

impl Point {
    /// Returns the point's number in the run, from one on.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Returns whether the point is a checkpoint or an await at which a task waits.
    pub fn kind(&self) -> PointKind {
        self.reached.kind
    }

    /// Returns the source line of the checkpoint that was passed last.
    pub fn location(&self) -> &'static Location<'static> {
        self.reached.place.location
    }
}

/// What is done at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PointAction {
    Cancel,
    Stop,
    Fail,
}

impl PointAction {
    /// What the environment calls it, and what the messages do.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            PointAction::Cancel => ("cancel", "cancelled"),
            PointAction::Stop => ("stop", "asked to stop"),
            PointAction::Fail => ("fail", "made to fail"),
        }
    }
}

/// A point to try. `Display` writes what to set in the environment, to try this one alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct TargetPoint {
    pub(super) action: PointAction,
    /// From one on.
    pub(super) number: usize,
}

impl fmt::Display for TargetPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VARIABLE}={}:{}", self.action.words().0, self.number)
    }
}

impl TargetPoint {
    /// The one point that the environment asks for.
    pub(super) fn from_env() -> Option<TargetPoint> {
        let text = env::var(VARIABLE).ok()?;
        let target = TargetPoint::parse(&text);
        assert!(
            target.is_some(),
            "{VARIABLE}=`{text}` is not a point, help: write `cancel:17`, `stop:17` or `fail:17`"
        );
        target
    }

    fn parse(text: &str) -> Option<TargetPoint> {
        let (name, number) = text.split_once(':')?;
        let mut actions = [PointAction::Cancel, PointAction::Stop, PointAction::Fail].into_iter();
        Some(TargetPoint {
            action: actions.find(|action| action.words().0 == name)?,
            number: number.parse().ok()?,
        })
    }
}
