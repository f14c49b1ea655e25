//! What is ordered, and what follows from it.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// An order as the client sends it. The client chooses the id, so that it can send an order again when
/// it did not see the answer.
#[derive(Debug, Deserialize)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) customer: String,
    /// The cart that it empties.
    pub(crate) cart: Option<i64>,
    pub(crate) lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Line {
    pub(crate) item: String,
    pub(crate) quantity: u32,
    /// In cents.
    pub(crate) price: u32,
}

impl Order {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.id.is_empty() || self.id.len() > 64 {
            return Err(Error::Invalid("an order's id has 1 to 64 bytes"));
        }
        if self.lines.is_empty() {
            return Err(Error::Invalid("an order has at least one line"));
        }
        self.total().map(drop)
    }

    /// In cents.
    pub(crate) fn total(&self) -> Result<i64, Error> {
        let mut lines = self.lines.iter();
        let total = lines.try_fold(0_i64, |total, line| {
            let amount = i64::from(line.quantity).checked_mul(i64::from(line.price))?;
            total.checked_add(amount)
        });
        total.ok_or(Error::Invalid("an order's total is too large"))
    }
}

/// What is to be done for each order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Points for the customer.
    Reward,
    /// A message to the customer.
    Notify,
}

impl Task {
    pub(crate) const ALL: [Task; 2] = [Task::Reward, Task::Notify];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Task::Reward => "reward",
            Task::Notify => "notify",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Task> {
        Task::ALL.into_iter().find(|task| task.name() == name)
    }
}

/// How far an order is.
#[derive(Debug, Serialize)]
pub(crate) struct Progress {
    pub(crate) id: String,
    pub(crate) total: i64,
    pub(crate) rewarded: bool,
    pub(crate) notified: bool,
    /// Tasks that were given up.
    pub(crate) dead: i64,
}
