//! What must hold in the database, whatever has happened to the service.

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};

pub(crate) async fn open(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap()
}

pub(crate) async fn count(database: &mut SqliteConnection, query: &str) -> i64 {
    sqlx::query_scalar(query).fetch_one(database).await.unwrap()
}

/// Nothing is torn: each order has all its lines, and each of its tasks is in one place.
pub(crate) async fn check(path: &Path) {
    let mut database = open(path).await;
    let sound: String = sqlx::query_scalar("PRAGMA integrity_check")
        .fetch_one(&mut database)
        .await
        .unwrap();
    assert_eq!(sound, "ok");
    for (what, query) in [
        (
            "orders without all their lines",
            "SELECT count(*) FROM orders WHERE total != (SELECT coalesce(sum(quantity * price), 0) FROM lines WHERE order_id = id)",
        ),
        (
            "lines without their order",
            "SELECT count(*) FROM lines WHERE order_id NOT IN (SELECT id FROM orders)",
        ),
        (
            "orders whose reward is not in exactly one place",
            "SELECT count(*) FROM orders WHERE 1 !=
                (SELECT count(*) FROM outbox WHERE order_id = orders.id AND task = 'reward')
                + (SELECT count(*) FROM dead_letters WHERE order_id = orders.id AND task = 'reward')
                + (SELECT count(*) FROM rewards WHERE order_id = orders.id)",
        ),
        (
            "orders whose message is not in exactly one place",
            "SELECT count(*) FROM orders WHERE 1 !=
                (SELECT count(*) FROM outbox WHERE order_id = orders.id AND task = 'notify')
                + (SELECT count(*) FROM dead_letters WHERE order_id = orders.id AND task = 'notify')
                + (SELECT count(*) FROM messages WHERE order_id = orders.id)",
        ),
    ] {
        assert_eq!(count(&mut database, query).await, 0, "{what}");
    }
}

/// Every order that was confirmed is there.
pub(crate) async fn has_all(path: &Path, confirmed: &[String]) {
    let mut database = open(path).await;
    let ids: Vec<String> = sqlx::query_scalar("SELECT id FROM orders")
        .fetch_all(&mut database)
        .await
        .unwrap();
    let ids: std::collections::HashSet<_> = ids.into_iter().collect();
    let lost: Vec<_> = confirmed.iter().filter(|id| !ids.contains(*id)).collect();
    assert!(lost.is_empty(), "confirmed and lost: {lost:?}");
}
