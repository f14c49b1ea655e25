//! The search of `crunch`.

use std::thread;
use std::time::Duration;

use clap::Parser;
use sha2::{Digest, Sha256};
use taskscope::{BoxError, Cancelled, TaskSet, cancellable, task_group};

use crate::seconds::parse_seconds;

/// Finds a number whose SHA-256, with TEXT and a space before it, begins with zero bits
#[derive(Debug, Parser)]
#[command(name = "crunch", after_help = EXIT_CODES)]
pub struct Args {
    /// What stands before the number
    pub text: String,

    /// How many zero bits are wanted
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=256))]
    pub bits: u32,

    /// Search with this many threads
    #[arg(short, long, value_name = "N", default_value_t = available_jobs(), value_parser = clap::value_parser!(u64).range(1..=256))]
    pub jobs: u64,

    /// Give up after this many seconds
    #[arg(long, value_name = "SECS", default_value = "60", value_parser = parse_seconds)]
    pub timeout: Duration,
}

const EXIT_CODES: &str = "\
Exit codes: 0 found, 2 wrong usage, 124 timed out, 130 interrupted (Ctrl-C), 143 terminated.";

fn available_jobs() -> u64 {
    thread::available_parallelism().map_or(1, |n| n.get().min(256) as u64)
}

/// How a search ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The first number that any of the jobs came upon.
    Found(u64),
    /// The time was up before.
    TimedOut,
}

/// Searches with several threads until one has found something.
///
/// # Errors
/// None of these jobs fails; others would.
///
/// # Cancel safety
/// Cancelled, each of the threads stops at its next number.
#[cancellable]
pub async fn search(args: &Args) -> Result<Outcome, BoxError> {
    let group = task_group!(name = "search", timeout = args.timeout, |g| {
        let mut jobs: TaskSet<u64> = (0..args.jobs)
            .map(|first| {
                let (text, bits, step) = (args.text.clone(), args.bits, args.jobs);
                g.spawn_blocking(move || find(&text, bits, first, step))
            })
            .collect();
        println!("searching for {} bits", args.bits);
        let first = jobs.next().await.transpose()?;
        // The others need not look any longer.
        g.cancel();
        Ok(first)
    });
    match group.await {
        Ok(Some(number)) => Ok(Outcome::Found(number)),
        Ok(None) => Err("there was nobody to search".into()),
        Err(error) if error.cancelled().is_some() => Ok(Outcome::TimedOut),
        Err(error) => Err(error.into()),
    }
}

/// Tries `first` and each `step`th number after it.
#[cancellable(blocking)]
fn find(text: &str, bits: u32, first: u64, step: u64) -> Result<u64, Cancelled> {
    let mut number = first;
    loop {
        if zero_bits(text, number) >= bits {
            return Ok(number);
        }
        number = number.wrapping_add(step);
    }
}

/// How many zero bits the hash of `text` and the number begins with.
#[must_use]
pub fn zero_bits(text: &str, number: u64) -> u32 {
    let hash = Sha256::digest(format!("{text} {number}"));
    let zeros = hash.iter().take_while(|byte| **byte == 0).count();
    let next = hash.get(zeros).map_or(0, |byte| byte.leading_zeros());
    8 * zeros as u32 + next
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
    fn zero_bits_are_counted_from_the_first() {
        let counted: Vec<u32> = (0..4096).map(|number| zero_bits("x", number)).collect();
        // Each further bit halves them, about.
        for bits in 1..5 {
            let many = counted.iter().filter(|count| **count >= bits).count();
            let expected = 4096 >> bits;
            assert!(
                (expected / 2..expected * 2).contains(&many),
                "{bits}: {many}"
            );
        }
    }

    #[taskscope::test]
    async fn what_is_found_has_the_bits() {
        let args = Args::parse_from(["crunch", "text", "--bits", "8", "--jobs", "3"]);
        let Ok(Outcome::Found(number)) = search(&args).await else {
            panic!("nothing was found");
        };
        assert!(zero_bits("text", number) >= 8);
    }

    #[taskscope::test]
    async fn it_gives_up_in_time() {
        let args = Args::parse_from(["crunch", "text", "--bits", "256", "--timeout", "0.01"]);
        assert_eq!(search(&args).await.unwrap(), Outcome::TimedOut);
    }
}
