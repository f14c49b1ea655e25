//! The HTTP API.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use taskscope::tower::ScopeLayer;
use taskscope::{Group, Reason, TaskError, cancellable};
use tokio::sync::mpsc;

use crate::debug;
use crate::error::Error;
use crate::order::{Order, Progress};
use crate::store::Store;

/// The header with the time that a client gives its request, in milliseconds.
const TIMEOUT: &str = "x-timeout-ms";

#[derive(Clone, Debug)]
pub(crate) struct App {
    store: Store,
    wake: mpsc::Sender<()>,
}

impl App {
    pub(crate) fn new(store: Store, wake: mpsc::Sender<()>) -> App {
        App { store, wake }
    }

    /// Each request runs in a task of `requests`.
    pub(crate) fn router(self, requests: &Group<'_>) -> Router {
        let scopes = ScopeLayer::new(requests, answer)
            .name(|request: &Request| format!("{} {}", request.method(), request.uri().path()))
            .timeout(timeout);
        Router::new()
            .route("/carts", post(open_cart).get(count_carts))
            .route("/orders", post(place_order))
            .route("/orders/{id}", get(order))
            .layer(scopes)
            .route("/debug/stats", get(stats))
            .merge(debug::routes())
            .with_state(self)
    }
}

fn timeout(request: &Request) -> Option<Duration> {
    let timeout = request.headers().get(TIMEOUT)?.to_str().ok()?;
    Some(Duration::from_millis(timeout.parse().ok()?))
}

/// What a client is told whose request has no answer of its own.
fn answer(error: TaskError) -> Response {
    let status = match &error {
        TaskError::Cancelled(cancelled) => match cancelled.reason() {
            Reason::Deadline => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        },
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, error.to_string()).into_response()
}

#[cancellable]
async fn place_order(
    State(app): State<App>,
    Json(order): Json<Order>,
) -> Result<(StatusCode, String), Error> {
    order.check()?;
    let new = app.store.place(&order).await?;
    // Full means that the outbox will look soon.
    let _ = app.wake.try_send(());
    let status = if new {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, order.id))
}

#[cancellable]
async fn order(State(app): State<App>, Path(id): Path<String>) -> Result<Json<Progress>, Error> {
    Ok(Json(app.store.progress(&id).await?))
}

#[derive(Debug, Deserialize)]
struct NewCart {
    customer: String,
}

#[cancellable]
async fn open_cart(
    State(app): State<App>,
    Json(cart): Json<NewCart>,
) -> Result<(StatusCode, String), Error> {
    let id = app.store.open_cart(&cart.customer).await?;
    Ok((StatusCode::CREATED, id.to_string()))
}

#[cancellable]
async fn count_carts(State(app): State<App>) -> Result<String, Error> {
    Ok(app.store.carts().await?.to_string())
}

/// What is asked for when something seems wrong.
#[derive(Debug, Serialize)]
struct Stats {
    open_transactions: u64,
    committed: u64,
    rolled_back: u64,
    lost_transactions: u64,
    lost_cleanups: u64,
    overruns: u64,
}

async fn stats(State(app): State<App>) -> Json<Stats> {
    let [begun, committed, rolled_back, lost] = app.store.counts().read();
    let stats = taskscope::observe::stats();
    Json(Stats {
        open_transactions: begun.saturating_sub(committed + rolled_back + lost),
        committed,
        rolled_back,
        lost_transactions: lost,
        lost_cleanups: stats.lost_cleanups,
        overruns: stats.overruns,
    })
}
