//! The parts of `graceful`: who is let in, what a connection does, and where it is noted.

mod connection;
mod log;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use clap::Parser;
use taskscope::{BoxError, Group, cancellable, defer, group::Permit, race, stopping, task_group};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use connection::echo;
use log::Log;

/// How long to wait after an `accept` that failed: by then, other connections may have ended.
const PAUSE: Duration = Duration::from_millis(100);

/// Sends back what it is sent, until it is told to end
#[derive(Debug, Parser)]
#[command(name = "graceful")]
pub struct Args {
    /// Where to listen; port 0 takes a free one
    #[arg(default_value = "127.0.0.1:7000")]
    pub listen: String,

    /// Note each connection in this file
    #[arg(long, value_name = "FILE", default_value = "graceful.log")]
    pub log: PathBuf,

    /// Serve this many connections at a time; more have to wait
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = parse_limit)]
    pub limit: usize,
}

fn parse_limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(limit @ 1..=100_000) => Ok(limit),
        _ => Err("a number from 1 to 100000 is needed".to_owned()),
    }
}

/// Serves until the scope is asked to stop, and then until the last connection is gone.
///
/// # Errors
/// What the system says about the address or the log file.
///
/// # Cancel safety
/// Cancelled, it closes each connection, and then the log.
#[cancellable]
pub async fn serve(args: &Args) -> Result<(), BoxError> {
    let log = Arc::new(Log::create(&args.log).await?);
    // Declared first, so it runs last: the connections below are gone by then.
    defer! { log.close().await; }
    let listener = TcpListener::bind(&args.listen).await;
    let listener = listener.map_err(|error| format!("{}: {error}", args.listen))?;
    println!("listening on {}", listener.local_addr()?);
    task_group!(name = "connections", limit = args.limit, |g| {
        while let Some((permit, socket)) = admit(&g, &listener).await {
            permit.spawn(echo(socket, Arc::clone(&log)));
        }
        // Who was connected before we stop listening is served.
        while let Some(socket) = connected(&listener) {
            g.spawn(echo(socket, Arc::clone(&log)));
        }
        drop(listener);
        log.line("stopped").await;
        Ok(())
    })
    .await?;
    Ok(())
}

/// The next connection, and its place in the group; `None` when the server is asked to stop.
#[cancellable]
async fn admit<'g>(
    g: &Group<'g, BoxError>,
    listener: &TcpListener,
) -> Option<(Permit<BoxError>, TcpStream)> {
    let next = async {
        // First the place: a client that comes when all are taken waits in the system's queue.
        let permit = g.reserve().await;
        (permit, accept(listener).await)
    };
    race! {
        next = next => Some(next),
        () = stopping() => None,
    }
}

/// The next connection. If `accept` fails, the server goes on: the client may have disconnected
/// already, or too many files are open.
#[cancellable]
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return socket,
            Err(error) => {
                cannot_accept(&error);
                sleep(PAUSE).await;
            }
        }
    }
}

/// A connection that waits to be accepted, if there is one.
fn connected(listener: &TcpListener) -> Option<TcpStream> {
    match listener.poll_accept(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok((socket, _))) => Some(socket),
        Poll::Ready(Err(error)) => {
            cannot_accept(&error);
            None
        }
        Poll::Pending => None,
    }
}

fn cannot_accept(error: &io::Error) {
    eprintln!("graceful: cannot accept: {error}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn the_limit_is_bounded() {
        assert_eq!(parse_limit("1"), Ok(1));
        for wrong in ["0", "100001", "-1", "many", ""] {
            assert!(parse_limit(wrong).is_err(), "{wrong}");
        }
    }
}
