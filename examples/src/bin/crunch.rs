//! `crunch TEXT`: a number whose SHA-256, with TEXT before it, begins with many zero bits.
//!
//! ```text
//! crunch hello --bits 24 --timeout 30
//! printf 'hello 27186582' | sha256sum
//! ```
//!
//! The search computes on the blocking pool and awaits nothing. All the same it ends at once when it is to: on
//! Ctrl-C, when its time is up, and when one of the jobs has found what all of them look for. Each round of a
//! loop under `#[cancellable(blocking)]` is a checkpoint, which costs about nothing.
//!
//! This file is the spine; the search is in `src/crunch`.

use std::process::ExitCode;

use clap::Parser;
use taskscope_examples::crunch::{Args, Outcome, search};

#[taskscope::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match search(&args).await {
        Ok(Outcome::Found(number)) => {
            println!("{} {number}", args.text);
            ExitCode::SUCCESS
        }
        Ok(Outcome::TimedOut) => {
            eprintln!("crunch: nothing was found in {:?}", args.timeout);
            ExitCode::from(124)
        }
        Err(error) => {
            eprintln!("crunch: {error}");
            ExitCode::FAILURE
        }
    }
}
