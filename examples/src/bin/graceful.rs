//! `graceful ADDR`: a TCP echo server that ends in order.
//!
//! ```text
//! graceful 127.0.0.1:7000 --log graceful.log &
//! echo hello | nc -N 127.0.0.1 7000
//! kill %1; tail -n 2 graceful.log
//! ```
//!
//! SIGTERM or Ctrl-C: it accepts nobody any more, answers what has arrived, tells each client that this was
//! all, and closes the log when the last connection is gone. Clients that do not care are cut off after
//! three seconds, in order, too. No line of code counts connections, and none of it looks for a signal.
//!
//! This file is the spine; the parts are in `src/graceful`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use taskscope_examples::graceful::{Args, serve};

#[taskscope::main(drain = Duration::from_secs(3), grace = Duration::from_secs(3))]
async fn main() -> ExitCode {
    match serve(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("graceful: {error}");
            ExitCode::FAILURE
        }
    }
}
