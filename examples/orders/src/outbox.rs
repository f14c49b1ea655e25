//! The outbox: does what orders ask for, at least once each.
//!
//! A row stays in the outbox until what it asks for is done, so a process that is killed repeats it when
//! it runs again. What fails is tried again after a pause that doubles, and after the fifth time it
//! becomes a dead letter.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use taskscope::{BoxError, cancellable, race, task_group};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use crate::options::Retries;
use crate::order::Task;
use crate::store::{Delivery, Store};

const MOST_ATTEMPTS: u32 = 5;

/// How many rows are looked at in one go.
const BATCH: usize = 64;

/// Without news, how long until the outbox is looked at again.
const IDLE: Duration = Duration::from_secs(10);

/// Runs until nobody is left who could add a row; what is in hand is finished, what is not yet due stays
/// for the next start.
#[cancellable]
pub(crate) async fn run(
    store: Store,
    mut wakeups: mpsc::Receiver<()>,
    retries: Retries,
) -> Result<(), BoxError> {
    let in_hand = InHand::default();
    let freed = Arc::new(Notify::new());
    task_group!(name = "deliveries", limit = retries.workers, |g| {
        loop {
            // Read before the rows are: what is done meanwhile is still among them.
            let busy = in_hand.rows();
            for delivery in store.due(BATCH + busy.len()).await? {
                if busy.contains(&delivery.row) {
                    continue;
                }
                let held = in_hand.take(delivery.row);
                let permit = g.reserve().await;
                let name = format!("{} {}", delivery.task.name(), delivery.order);
                let (store, freed) = (store.clone(), freed.clone());
                permit.spawn_named(name, async move {
                    let tried = attempt(&store, &delivery, retries.pause).await;
                    drop(held);
                    freed.notify_one();
                    tried
                });
            }
            let next = store.until_due().await?.unwrap_or(IDLE);
            race! {
                woken = wakeups.recv() => if woken.is_none() { break },
                () = freed.notified() => {}
                () = sleep(next.min(IDLE)) => {}
            }
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// Tries one delivery. An error of the delivery is noted; what comes out is the database's.
#[cancellable]
async fn attempt(store: &Store, delivery: &Delivery, pause: Duration) -> Result<(), BoxError> {
    let attempts = delivery.attempts + 1;
    match deliver(store, delivery).await? {
        Ok(()) => {}
        Err(why) if attempts >= MOST_ATTEMPTS => store.bury(delivery, why).await?,
        Err(_) => {
            store
                .again(delivery, pause * 2_u32.pow(attempts - 1))
                .await?
        }
    }
    Ok(())
}

/// Does what a row asks for. The inner error is why that could not be done.
#[cancellable]
async fn deliver(store: &Store, delivery: &Delivery) -> Result<Result<(), &'static str>, BoxError> {
    if delivery.task == Task::Notify {
        let customer = store.customer(&delivery.order).await?;
        if let Err(why) = send(&customer, delivery.attempts).await {
            return Ok(Err(why));
        }
    }
    store.done(delivery).await?;
    Ok(Ok(()))
}

/// Stands for a mail server: it knows no address without an `@`, and is often busy at `@busy.example`.
#[cancellable]
async fn send(customer: &str, attempts: u32) -> Result<(), &'static str> {
    sleep(Duration::from_millis(1)).await;
    match customer.split_once('@') {
        None => Err("not an address"),
        Some((_, "busy.example")) if attempts < 2 => Err("the mailbox is busy"),
        Some(_) => Ok(()),
    }
}

/// The rows that are being worked on: they are still in the outbox.
#[derive(Clone, Debug, Default)]
struct InHand(Arc<Mutex<HashSet<i64>>>);

/// One of them; given back when dropped.
#[derive(Debug)]
struct Held {
    row: i64,
    rows: InHand,
}

impl InHand {
    fn take(&self, row: i64) -> Held {
        self.lock().insert(row);
        let rows = self.clone();
        Held { row, rows }
    }

    fn rows(&self) -> HashSet<i64> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.rows.lock().remove(&self.row);
    }
}
