//! The clients of `echoload`.

mod client;

use std::fmt;
use std::net::SocketAddr;

use clap::Parser;
use taskscope::{BoxError, TaskSet, cancellable, task_group};

/// Talks to an echo server until it ends, over many connections
#[derive(Debug, Parser)]
#[command(name = "echoload")]
pub struct Args {
    /// Where the server listens
    pub server: SocketAddr,

    /// How many clients there are; every fourth does not wait for answers
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub clients: usize,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// There was none.
    Refused,
    /// The server said that this was all.
    Closed,
    /// It was cut.
    Reset,
}

/// The end of a client.
#[derive(Debug)]
pub struct End {
    client: Option<SocketAddr>,
    how: How,
    sent: usize,
    answered: usize,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            How::Refused => "refused",
            How::Closed => "closed",
            How::Reset => "reset",
        };
        match self.client {
            Some(client) => write!(f, "{client} ")?,
            None => f.write_str("- ")?,
        }
        write!(f, "{how} {} {}", self.sent, self.answered)
    }
}

/// Lets the clients talk until the last of them has no connection any more.
///
/// # Errors
/// A wrong answer.
///
/// # Cancel safety
/// Cancelled, it drops the connections.
#[cancellable]
pub async fn run(args: &Args) -> Result<Vec<End>, BoxError> {
    let ends = task_group!(name = "clients", |g| {
        let mut clients: TaskSet<End> = (0..args.clients)
            .map(|number| g.spawn(client::talk(args.server, number)))
            .collect();
        let mut ends = Vec::new();
        while let Some(end) = clients.next().await {
            ends.push(end?);
        }
        Ok(ends)
    });
    Ok(ends.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }
}
