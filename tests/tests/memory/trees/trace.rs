//! What is seen of a run, and what the model says should be seen.

use std::sync::Mutex;

use taskscope::{Cancelled, Reason, TaskError};
use tokio::time::Instant;

/// A failure: by whom, and whether it was a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Error(usize),
    Panic(usize),
}

impl Fault {
    /// The one that a text names.
    pub(crate) fn in_text(text: &str) -> Option<Fault> {
        let number = |mark: &str| -> Option<usize> {
            let from = text.find(mark)? + mark.len();
            let digits = text[from..].split(|c: char| !c.is_ascii_digit()).next()?;
            digits.parse().ok()
        };
        let error = number("fault-").map(Fault::Error);
        error.or_else(|| number("panic-").map(Fault::Panic))
    }

    #[track_caller]
    pub(crate) fn of_text(text: &str) -> Fault {
        Fault::in_text(text).unwrap_or_else(|| panic!("a failure of nobody: {text}"))
    }
}

/// Why something was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Requested,
    Deadline,
    Sibling,
    /// The body and the tasks of its group have ended.
    Ended,
    By(usize),
    Other,
}

impl Why {
    pub(crate) fn of(reason: &Reason) -> Why {
        match reason {
            Reason::Requested => Why::Requested,
            Reason::Deadline => Why::Deadline,
            Reason::SiblingFailed => Why::Sibling,
            Reason::Ended => Why::Ended,
            Reason::Other(error) => error.to_string().parse().map_or(Why::Other, Why::By),
            _ => Why::Other,
        }
    }
}

/// The reason, and the failures attached, sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CutBy {
    pub(crate) why: Why,
    pub(crate) attached: Vec<Fault>,
}

impl CutBy {
    pub(crate) fn new(why: Why, mut attached: Vec<Fault>) -> CutBy {
        attached.sort_unstable();
        CutBy { why, attached }
    }

    pub(crate) fn of(cancelled: &Cancelled) -> CutBy {
        let texts = cancelled.attached().iter();
        let attached = texts.map(|text| Fault::of_text(text)).collect();
        CutBy::new(Why::of(cancelled.reason()), attached)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Begins,
    /// Returned; false with an error.
    Ends(bool),
    /// Its future was dropped.
    Gone,
    CleanupBegins,
    CleanupEnds,
    /// A scope returned `Cancelled`.
    Cut(CutBy),
    /// A group returned an error.
    GroupFailed {
        failures: Vec<Fault>,
        cancelled: Option<CutBy>,
    },
    Caught(usize),
}

/// One event, at a time in milliseconds from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: u64,
    pub(crate) id: usize,
    pub(crate) what: What,
}

/// What a task's handle says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Value,
    Failed,
    Panicked(usize),
    Cancelled(CutBy),
    Other,
}

impl Outcome {
    pub(crate) fn of(id: usize, outcome: Option<Result<usize, TaskError>>) -> Outcome {
        match outcome {
            Some(Ok(value)) if value == id => Outcome::Value,
            Some(Err(TaskError::Failed)) => Outcome::Failed,
            Some(Err(TaskError::Panicked(text))) => match Fault::of_text(&text) {
                Fault::Panic(id) => Outcome::Panicked(id),
                Fault::Error(_) => Outcome::Other,
            },
            Some(Err(TaskError::Cancelled(cancelled))) => Outcome::Cancelled(CutBy::of(&cancelled)),
            _ => Outcome::Other,
        }
    }
}

/// Events as they come.
#[derive(Debug)]
pub(crate) struct Recorder {
    start: Instant,
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    pub(crate) fn new() -> Recorder {
        Recorder {
            start: Instant::now(),
            events: Mutex::default(),
        }
    }

    pub(crate) fn add(&self, id: usize, what: What) {
        let at = self.now();
        self.events.lock().unwrap().push(Event { at, id, what });
    }

    pub(crate) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}
