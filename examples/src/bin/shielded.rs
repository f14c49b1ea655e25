//! `shielded`: three jobs that Ctrl-C waits for, and three that it does not.
//!
//! ```text
//! shielded --seconds 5       # and Ctrl-C
//! ```
//!
//! The plain jobs leave at once, each with its cleanup; the shielded ones run to their end, and the program
//! ends with them. It takes them no code: they are spawned by another name. A second Ctrl-C does not wait.
//!
//! This file is the spine; the jobs are in `src/shielded`.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use taskscope_examples::shielded::{Args, run};

#[taskscope::main(grace = Duration::from_secs(60))]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shielded: {error}");
            ExitCode::FAILURE
        }
    }
}
