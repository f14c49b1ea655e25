//! One connection, from its first byte to its last.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use taskscope::{cancellable, defer, race, stopping, timeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::log::Log;

/// How long a client may say nothing, or read nothing. One that has vanished without a word would
/// keep its place otherwise.
const IDLE: Duration = Duration::from_secs(600);

/// How long a client may take to see that the connection ends.
const LINGER: Duration = Duration::from_secs(2);

/// How often what has arrived is looked for after the server is to stop.
const LAST: usize = 4;

/// Sends back what comes, and closes the connection in order, whatever happens.
#[cancellable]
pub(super) async fn echo(mut socket: TcpStream, log: Arc<Log>) {
    let peer = socket
        .peer_addr()
        .map_or_else(|_| "somebody".to_owned(), |peer| peer.to_string());
    let mut echoed = 0;
    log.line(format!("{peer} opened")).await;
    defer! {
        // A client that has gone away needs no farewell.
        let _ = farewell(&mut socket).await;
        log.line(format!("{peer} closed, {echoed} bytes")).await;
    }
    if let Err(error) = answer(&mut socket, &mut echoed).await {
        log.line(format!("{peer} failed: {error}")).await;
    }
}

/// Until the client has no more to say, or the server is to stop.
#[cancellable]
async fn answer(socket: &mut TcpStream, echoed: &mut usize) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let read = race! {
            read = socket.read(&mut buffer) => read?,
            () = sleep(IDLE) => return Err(io::ErrorKind::TimedOut.into()),
            () = stopping() => break,
        };
        if read == 0 {
            return Ok(());
        }
        timeout(IDLE, socket.write_all(&buffer[..read])).await??;
        *echoed += read;
    }
    // What has arrived by now is answered. Who never pauses is not waited for.
    for _ in 0..LAST {
        let Ok(read @ 1..) = socket.try_read(&mut buffer) else {
            break;
        };
        socket.write_all(&buffer[..read]).await?;
        *echoed += read;
    }
    Ok(())
}

/// Tells the client that this was all, and waits until it has understood.
///
/// A connection that is closed with something unread is reset, and the last answers are lost with it.
#[cancellable]
async fn farewell(socket: &mut TcpStream) -> io::Result<()> {
    socket.shutdown().await?;
    let mut late = vec![0; 64 << 10];
    let gone = timeout(LINGER, async {
        while socket.read(&mut late).await? > 0 {}
        Ok(())
    });
    gone.await?
}
