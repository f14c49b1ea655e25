//! A small order service: an HTTP API, SQLite, workers, and an orderly end.
//!
//! ```text
//! orders --listen 127.0.0.1:8080 --database orders.db
//! curl -d '{"id":"a1","customer":"ann@shop.example","lines":[{"item":"tea","quantity":2,"price":350}]}' \
//!      -H 'content-type: application/json' http://127.0.0.1:8080/orders
//! ```
//!
//! This file is the tree of tasks, and the order in which it ends:
//!
//! ```text
//! main                the database is closed last
//! └─ orders
//!    ├─ http          on SIGTERM: stops accepting, answers what has begun
//!    │  ├─ requests   one task for each request, whatever becomes of its client
//!    │  └─ connections
//!    ├─ outbox        ends when no request can add to it any more
//!    │  └─ deliveries
//!    └─ carts         a service: cancelled when the others are gone
//! ```

mod carts;
mod debug;
mod error;
mod http;
mod options;
mod order;
mod outbox;
mod server;
mod store;

use std::time::Duration;

use clap::Parser;
use taskscope::observe::Kind;
use taskscope::{BoxError, cancellable, defer, task_group};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::http::App;
use crate::options::Options;
use crate::store::Store;

#[taskscope::main(drain = Duration::from_secs(5), grace = Duration::from_secs(5))]
async fn main() -> Result<(), BoxError> {
    let options = Options::parse();
    let path = &options.database;
    let store = Store::open(path).await;
    let store = store.map_err(|error| format!("{}: {error}", path.display()))?;
    defer! {
        store.close().await;
        eprintln!("orders: {}, {} tasks left", store.counts(), tasks());
    }
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.map_err(|error| format!("{}: {error}", options.listen))?;
    println!("listening on http://{}", listener.local_addr()?);
    orders(listener, &store, &options).await
}

/// How many tasks run.
fn tasks() -> usize {
    let tree = taskscope::observe::tree();
    tree.entries()
        .filter(|entry| entry.kind() == Kind::Task)
        .count()
}

#[cancellable]
async fn orders(listener: TcpListener, store: &Store, options: &Options) -> Result<(), BoxError> {
    // Whoever stores an order holds a sender: when all are gone, so is the work.
    let (wake, wakeups) = mpsc::channel(1);
    let app = App::new(store.clone(), wake);
    task_group!(name = "orders", |g| {
        g.service(carts::expire(store.clone(), options.carts()));
        g.spawn_named(
            "outbox",
            outbox::run(store.clone(), wakeups, options.retries()),
        );
        g.spawn_named("http", server::serve(listener, app));
        Ok(())
    })
    .await?;
    Ok(())
}
