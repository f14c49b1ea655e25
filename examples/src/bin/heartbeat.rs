//! `heartbeat`: a node that holds resources for as long as it lives.
//!
//! ```text
//! heartbeat --seconds 2
//! heartbeat --seconds 60      # and Ctrl-C: the same end, only earlier
//! ```
//!
//! Services beat, renew and expire in the background. Nothing tells them to end: they are gone when the work is
//! done, whichever way it ends. Then the resources are released, the last taken first. The one called
//! `cache` is renewed by nobody, and expires.
//!
//! This file is the spine; the parts are in `src/heartbeat`.

use std::process::ExitCode;

use clap::Parser;
use taskscope_examples::heartbeat::{Args, run};

#[taskscope::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("heartbeat: {error}");
            ExitCode::FAILURE
        }
    }
}
