//! The database: one writer, a few readers.
//!
//! A write is a [`Unit`]: all or nothing, and whichever way its function is left, the transaction has
//! ended before anything further out is left. So the next writer never waits for a rollback that
//! somebody has yet to do.

use std::fmt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteQueryResult,
    SqliteSynchronous,
};
use sqlx::{Execute, Executor, Sqlite, SqlitePool};
use taskscope::{cancellable, defer, shield};

use crate::error::Error;
use crate::order::{Order, Progress, Task};

const SCHEMA: &str = include_str!("schema.sql");

#[derive(Clone, Debug)]
pub(crate) struct Store {
    write: SqlitePool,
    read: SqlitePool,
    counts: Arc<Counts>,
}

/// What became of the transactions.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    begun: AtomicU64,
    committed: AtomicU64,
    rolled_back: AtomicU64,
    /// Dropped while open, so that the database has to clean up.
    lost: AtomicU64,
}

impl Counts {
    /// Begun, committed, rolled back, lost.
    pub(crate) fn read(&self) -> [u64; 4] {
        [&self.begun, &self.committed, &self.rolled_back, &self.lost]
            .map(|count| count.load(Ordering::Relaxed))
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [begun, committed, rolled_back, lost] = self.read();
        write!(
            f,
            "{begun} transactions, {committed} committed, {rolled_back} rolled back, {lost} lost"
        )
    }
}

/// A task of an order that is yet to be done.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(crate) row: i64,
    pub(crate) order: String,
    pub(crate) task: Task,
    /// How often it was tried in vain.
    pub(crate) attempts: u32,
}

/// What a statement does.
type Running<'a> = Pin<Box<dyn Future<Output = sqlx::Result<SqliteQueryResult>> + Send + 'a>>;

/// A row of the outbox, as it is read.
type Row = (i64, String, String, u32);

impl Store {
    #[cancellable]
    pub(crate) async fn open(path: &Path) -> Result<Store, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An answered order survives a power cut, too.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        let write = pool(1).connect_with(options.clone()).await?;
        sqlx::raw_sql(SCHEMA).execute(&write).await?;
        let read = pool(4).connect_with(options.read_only(true)).await?;
        let counts = Arc::default();
        Ok(Store {
            write,
            read,
            counts,
        })
    }

    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Stores an order and what is to be done for it. False if the order was there before.
    #[cancellable]
    pub(crate) async fn place(&self, order: &Order) -> Result<bool, Error> {
        let mut unit = self.begin().await?;
        defer! { unit.end().await; }
        let stored = unit
            .run(
                sqlx::query("INSERT INTO orders VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
                    .bind(&order.id)
                    .bind(&order.customer)
                    .bind(order.total()?)
                    .bind(now()),
            )
            .await?;
        if stored.rows_affected() == 0 {
            self.check_sent_again(order).await?;
            return Ok(false);
        }
        for line in &order.lines {
            unit.run(
                sqlx::query("INSERT INTO lines VALUES (?, ?, ?, ?)")
                    .bind(&order.id)
                    .bind(&line.item)
                    .bind(line.quantity)
                    .bind(line.price),
            )
            .await?;
        }
        for task in Task::ALL {
            unit.run(
                sqlx::query("INSERT INTO outbox (order_id, task, due) VALUES (?, ?, ?)")
                    .bind(&order.id)
                    .bind(task.name())
                    .bind(now()),
            )
            .await?;
        }
        unit.run(sqlx::query("DELETE FROM carts WHERE id = ?").bind(order.cart))
            .await?;
        unit.commit().await?;
        Ok(true)
    }

    /// What is sent once more under an id is what was stored under it.
    #[cancellable]
    async fn check_sent_again(&self, order: &Order) -> Result<(), Error> {
        let stored: (String, i64) =
            sqlx::query_as("SELECT customer, total FROM orders WHERE id = ?")
                .bind(&order.id)
                .fetch_one(&self.read)
                .await?;
        if stored == (order.customer.clone(), order.total()?) {
            Ok(())
        } else {
            Err(Error::Taken)
        }
    }

    #[cancellable]
    pub(crate) async fn progress(&self, id: &str) -> Result<Progress, Error> {
        let row: Option<(i64, bool, bool, i64)> = sqlx::query_as(include_str!("progress.sql"))
            .bind(id)
            .fetch_optional(&self.read)
            .await?;
        let (total, rewarded, notified, dead) = row.ok_or(Error::Unknown)?;
        let id = id.to_owned();
        Ok(Progress {
            id,
            total,
            rewarded,
            notified,
            dead,
        })
    }

    /// The next deliveries that are due, the longest due first.
    #[cancellable]
    pub(crate) async fn due(&self, most: usize) -> Result<Vec<Delivery>, Error> {
        let query =
            "SELECT id, order_id, task, attempts FROM outbox WHERE due <= ? ORDER BY due LIMIT ?";
        let rows: Vec<Row> = sqlx::query_as(query)
            .bind(now())
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .fetch_all(&self.read)
            .await?;
        let deliveries = rows.into_iter().filter_map(|(row, order, task, attempts)| {
            let task = Task::named(&task)?;
            Some(Delivery {
                row,
                order,
                task,
                attempts,
            })
        });
        Ok(deliveries.collect())
    }

    /// How long until something is due that is not due yet.
    #[cancellable]
    pub(crate) async fn until_due(&self) -> Result<Option<Duration>, Error> {
        let now = now();
        let due: Option<i64> = sqlx::query_scalar("SELECT min(due) FROM outbox WHERE due > ?")
            .bind(now)
            .fetch_one(&self.read)
            .await?;
        Ok(due.map(|due| Duration::from_millis(due.abs_diff(now))))
    }

    #[cancellable]
    pub(crate) async fn customer(&self, order: &str) -> Result<String, Error> {
        let customer: Option<String> =
            sqlx::query_scalar("SELECT customer FROM orders WHERE id = ?")
                .bind(order)
                .fetch_optional(&self.read)
                .await?;
        customer.ok_or(Error::Unknown)
    }

    /// Notes what a delivery has done, and takes it out of the outbox.
    #[cancellable]
    pub(crate) async fn done(&self, delivery: &Delivery) -> Result<(), Error> {
        let mut unit = self.begin().await?;
        defer! { unit.end().await; }
        let effect = match delivery.task {
            Task::Reward => {
                "INSERT INTO rewards SELECT id, customer, total / 100 FROM orders WHERE id = ?"
            }
            Task::Notify => "INSERT INTO messages SELECT id, customer FROM orders WHERE id = ?",
        };
        unit.run(sqlx::query(effect).bind(&delivery.order)).await?;
        unit.run(sqlx::query("DELETE FROM outbox WHERE id = ?").bind(delivery.row))
            .await?;
        unit.commit().await
    }

    /// Notes that a delivery has failed: to be tried again after a pause.
    #[cancellable]
    pub(crate) async fn again(&self, delivery: &Delivery, pause: Duration) -> Result<(), Error> {
        let due = now().saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX));
        let mut unit = self.begin().await?;
        defer! { unit.end().await; }
        unit.run(
            sqlx::query("UPDATE outbox SET attempts = attempts + 1, due = ? WHERE id = ?")
                .bind(due)
                .bind(delivery.row),
        )
        .await?;
        unit.commit().await
    }

    /// Gives up a delivery: for somebody to look at.
    #[cancellable]
    pub(crate) async fn bury(&self, delivery: &Delivery, why: &str) -> Result<(), Error> {
        let mut unit = self.begin().await?;
        defer! { unit.end().await; }
        unit.run(sqlx::query("INSERT INTO dead_letters SELECT order_id, task, attempts + 1, ? FROM outbox WHERE id = ?")
            .bind(why)
            .bind(delivery.row)).await?;
        unit.run(sqlx::query("DELETE FROM outbox WHERE id = ?").bind(delivery.row))
            .await?;
        unit.commit().await
    }

    #[cancellable]
    pub(crate) async fn open_cart(&self, customer: &str) -> Result<i64, Error> {
        let mut unit = self.begin().await?;
        defer! { unit.end().await; }
        let cart = unit
            .run(
                sqlx::query("INSERT INTO carts (customer, opened) VALUES (?, ?)")
                    .bind(customer)
                    .bind(now()),
            )
            .await?;
        unit.commit().await?;
        Ok(cart.last_insert_rowid())
    }

    /// Removes the carts that nobody has touched for `age`; tells how many.
    #[cancellable]
    pub(crate) async fn expire_carts(&self, age: Duration) -> Result<u64, Error> {
        let before = now().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let mut unit = self.begin().await?;
        defer! { unit.end().await; }
        let expired = unit
            .run(sqlx::query("DELETE FROM carts WHERE opened <= ?").bind(before))
            .await?;
        unit.commit().await?;
        Ok(expired.rows_affected())
    }

    #[cancellable]
    pub(crate) async fn carts(&self) -> Result<i64, Error> {
        let carts = sqlx::query_scalar("SELECT count(*) FROM carts");
        Ok(carts.fetch_one(&self.read).await?)
    }

    /// Begins a transaction. Behind it belongs `defer! { unit.end().await; }`.
    #[cancellable]
    async fn begin(&self) -> Result<Unit, Error> {
        // Cancelled while it waits for its turn, nothing has begun.
        let connection = self.write.acquire().await?;
        let mut unit = Unit {
            connection,
            open: true,
            counts: self.counts.clone(),
        };
        unit.counts.begun.fetch_add(1, Ordering::Relaxed);
        // From here on there is something to be ended.
        shield(unit.run(sqlx::raw_sql("BEGIN IMMEDIATE"))).await?;
        Ok(unit)
    }
}

/// A transaction on the only connection that writes.
#[derive(Debug)]
struct Unit {
    connection: PoolConnection<Sqlite>,
    open: bool,
    counts: Arc<Counts>,
}

impl Unit {
    /// Not `RawSql::execute`: rustc takes its future for not `Send`, in plain async functions as well.
    fn run<'a, Q: Execute<'a, Sqlite> + 'a>(&'a mut self, query: Q) -> Running<'a> {
        self.connection.execute(query)
    }

    /// Once the database was told to commit, the answer is waited for.
    #[cancellable]
    async fn commit(&mut self) -> Result<(), Error> {
        shield(self.run(sqlx::raw_sql("COMMIT"))).await?;
        self.open = false;
        self.counts.committed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Rolls back what was not committed.
    async fn end(&mut self) {
        if !self.open {
            return;
        }
        match self.run(sqlx::raw_sql("ROLLBACK")).await {
            Ok(_) => {
                self.open = false;
                self.counts.rolled_back.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => eprintln!("orders: cannot roll back: {error}"),
        }
    }
}

impl Drop for Unit {
    /// Nobody could end it in order: the connection is not used again.
    fn drop(&mut self) {
        if self.open {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
            self.connection.close_on_drop();
        }
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false)
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
