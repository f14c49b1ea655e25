//! What has failed in a group: the rules by which a failure is listed.
//!
//! 1. A failure is listed in order of occurrence. Under `OnFailure::Continue`, where a
//!    group may live for months, the first [`KEPT`] are; the others are counted, and
//!    reported at once.
//! 2. An error that only repeats a listed one is not listed again. What may be such an
//!    error is kept apart, to be attached to what the group returns. What says of a task
//!    that it failed as none here has is no such error: it comes from elsewhere.
//! 3. What fails after the group was cancelled is not the group's own failure, unless
//!    the group is cancelled since one of its tasks, or its body, failed. It is reported
//!    at once, and attached. An aborted task is listed all the same: the group did not
//!    wait for it.
//! 4. Once the group's future was dropped, nothing is returned to anybody.

use crate::base::caught::Panic;
use crate::task::describe::Echo;
use crate::task::error::{Cause, Failure, TaskError};

/// How many failures a group keeps that goes on after them.
pub(crate) const KEPT: usize = 64;

/// What has failed in a group so far.
pub(crate) struct Book<E> {
    failures: Vec<Failure<E>>,
    /// Errors that may only repeat one of those.
    echoes: Vec<Failure<E>>,
    /// Errors that came after the cancellation, attached already.
    late: Vec<Failure<E>>,
    /// How many failures were not kept.
    omitted: usize,
    /// A task returned an error that was not noted, since it repeats another one.
    repeated: bool,
    /// To be resumed at the end.
    panic: Option<Panic>,
    /// The group is cancelled since something in it failed, or will be at once.
    failing: bool,
    /// The group's future was dropped: nobody will be given these.
    group_dropped: bool,
}

/// What the group returns, or hands up.
pub(crate) struct Entries<E> {
    pub(crate) failures: Vec<Failure<E>>,
    pub(crate) echoes: Vec<Failure<E>>,
    pub(crate) late: Vec<Failure<E>>,
    pub(crate) omitted: usize,
    pub(crate) panic: Option<Panic>,
}

/// How a failure came about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) echo: Echo,
    /// The group is cancelled because of it, if it is not cancelled yet.
    pub(crate) cancels: bool,
    /// The group was cancelled before.
    pub(crate) cancelled: bool,
    /// The group goes on after failures, so that there may be any number.
    pub(crate) unbounded: bool,
}

/// What is done with a failure that is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// One too many: it is reported.
    Omitted,
    /// It came after the cancellation: it is reported, and attached.
    Late,
    /// Nobody is left to return it to: it is reported, and attached above.
    Deserted,
}

impl<E> Book<E> {
    pub(crate) fn new() -> Book<E> {
        Book {
            failures: Vec::new(),
            echoes: Vec::new(),
            late: Vec::new(),
            omitted: 0,
            repeated: false,
            panic: None,
            failing: false,
            group_dropped: false,
        }
    }

    pub(crate) fn has_failures(&self) -> bool {
        !self.failures.is_empty()
    }

    /// A task's error is not noted, since it repeats one that is.
    pub(crate) fn repeats(&mut self) {
        self.repeated = true;
    }

    /// Whether an error that says this of a task of some group repeats what is noted here.
    pub(crate) fn echo(&self, told: &TaskError) -> Echo {
        let noted = self.failures.iter().chain(&self.echoes).chain(&self.late);
        let mut causes = noted.map(|failure| &failure.cause);
        let (is_noted, may_be) = match told {
            TaskError::Cancelled(_) => (false, false),
            TaskError::Failed => (
                self.repeated || causes.any(|cause| matches!(cause, Cause::Error(_))),
                false,
            ),
            TaskError::Panicked(told) => (
                causes.any(|cause| matches!(cause, Cause::Panic(noted) if noted == told)),
                self.panic.is_some(),
            ),
            // One that is aborted after its cancellation need not be noted.
            TaskError::Aborted => (causes.any(|cause| matches!(cause, Cause::Aborted)), true),
        };
        match (is_noted, may_be || self.omitted > 0) {
            (true, _) => Echo::Yes,
            (false, true) => Echo::Maybe,
            (false, false) => Echo::No,
        }
    }

    pub(crate) fn is_group_dropped(&self) -> bool {
        self.group_dropped
    }

    /// Something in the group has failed, for which it is about to be cancelled, unless it
    /// was `cancelled` before.
    pub(crate) fn fail(&mut self, cancelled: bool) {
        self.failing |= !cancelled;
    }

    /// Lists a failure, or returns what is to be done with it.
    pub(crate) fn record(
        &mut self,
        failure: Failure<E>,
        how: Circumstances,
    ) -> Option<(Failure<E>, Fate)> {
        if self.group_dropped {
            return Some((failure, Fate::Deserted));
        }
        let aborted = matches!(failure.cause, Cause::Aborted);
        if how.cancelled && !self.failing && !aborted {
            return Some((failure, Fate::Late));
        }
        self.failing |= how.cancels;
        let is_echo = how.echo != Echo::No;
        // The one that ends the group is what its caller has to know.
        let kept = self.failures.len() + self.echoes.len();
        if how.unbounded && !how.cancels && kept >= KEPT {
            self.omitted += usize::from(!is_echo);
            return Some((failure, Fate::Omitted));
        }
        let list = if is_echo {
            &mut self.echoes
        } else {
            &mut self.failures
        };
        list.push(failure);
        None
    }

    /// Keeps a failure that came after the cancellation, and was reported.
    pub(crate) fn keep_late(&mut self, failure: Failure<E>) -> Option<Failure<E>> {
        if self.group_dropped {
            return Some(failure);
        }
        self.late.push(failure);
        None
    }

    /// Notes a panic that is resumed at the end. The first one is; a later one is
    /// given back.
    pub(crate) fn record_panic(&mut self, panic: Panic, cancelled: bool) -> Option<Panic> {
        self.fail(cancelled);
        if self.panic.is_some() {
            return Some(panic);
        }
        self.panic = Some(panic);
        None
    }

    /// Takes all out, to be returned.
    pub(crate) fn take(&mut self) -> Entries<E> {
        Entries {
            failures: std::mem::take(&mut self.failures),
            echoes: std::mem::take(&mut self.echoes),
            late: std::mem::take(&mut self.late),
            omitted: std::mem::take(&mut self.omitted),
            panic: self.panic.take(),
        }
    }

    /// The group's future is dropped. Takes out what was not returned.
    pub(crate) fn on_group_dropped(&mut self) -> Entries<E> {
        self.group_dropped = true;
        self.take()
    }
}

impl<E> Entries<E> {
    /// What is to be reported, where no caller gets it as it is.
    pub(crate) fn unreported(&self) -> impl Iterator<Item = &Failure<E>> {
        self.failures.iter().chain(&self.echoes)
    }

    pub(crate) fn into_all(self) -> impl Iterator<Item = Failure<E>> {
        let all = self.failures.into_iter().chain(self.echoes);
        all.chain(self.late)
    }
}
