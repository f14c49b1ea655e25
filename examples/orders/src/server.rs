//! Connections, and what becomes of them at the end.

use std::pin::pin;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use taskscope::{BoxError, OnFailure, cancellable, race, shield, stopping, task_group};
use tokio::net::{TcpListener, TcpStream};

use crate::http::App;

const MOST_CONNECTIONS: usize = 1000;

/// Accepts until it is asked to stop, then waits for the connections and their requests.
///
/// Requests have a group of their own: a connection waits for its request, and waiting for a place in the
/// group that one fills oneself could last for ever.
#[cancellable]
pub(crate) async fn serve(listener: TcpListener, app: App) -> Result<(), BoxError> {
    task_group!(name = "requests", on_failure = OnFailure::Continue, |requests| {
        let router = app.router(&requests);
        task_group!(name = "connections", limit = MOST_CONNECTIONS, |g| {
            loop {
                let permit = g.reserve().await;
                race! {
                    accepted = listener.accept() => match accepted {
                        Ok((socket, _)) => drop(permit.spawn_named("connection", connection(socket, router.clone()))),
                        Err(error) => pause(&error).await,
                    },
                    () = stopping() => break,
                }
            }
            // Nobody is kept waiting for an answer.
            drop(listener);
            Ok(())
        })
        .await?;
        Ok(())
    })
    .await?;
    Ok(())
}

/// As when there are too many open files: some will be closed.
#[cancellable]
async fn pause(error: &std::io::Error) {
    eprintln!("orders: cannot accept: {error}");
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
}

/// Serves one client, which may go away at any time.
#[cancellable]
async fn connection(socket: TcpStream, router: Router) {
    let mut server = http1::Builder::new();
    let mut serving = pin!(
        server
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router))
    );
    race! {
        // An error says that the client has gone.
        _ = serving.as_mut() => return,
        () = stopping() => serving.as_mut().graceful_shutdown(),
    }
    // The answer under way is the last one. It goes out also if it only says that the request was cancelled.
    let _ = shield(serving).await;
}
