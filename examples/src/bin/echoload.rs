//! `echoload ADDR`: many clients at a time for `graceful`, each of which checks its answers.
//!
//! ```text
//! graceful 127.0.0.1:7000 &
//! echoload 127.0.0.1:7000 --clients 500
//! kill %1       # from another terminal
//! ```
//!
//! It ends when the server does, or on Ctrl-C, and prints a line for each client: its address, how its connection
//! ended, and how many bytes were sent and answered. A wrong answer ends all of it.
//!
//! This file is the spine; a client is in `src/echoload`.

use std::process::ExitCode;

use clap::Parser;
use taskscope_examples::echoload::{Args, run};

#[taskscope::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(ends) => {
            for end in ends {
                println!("{end}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("echoload: {error}");
            ExitCode::FAILURE
        }
    }
}
