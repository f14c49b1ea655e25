//! The jobs of `shielded`.

use std::time::Duration;

use clap::Parser;
use taskscope::{BoxError, cancellable, on_cancel, task_group};
use tokio::time::sleep;

use crate::seconds::parse_seconds;

/// How many jobs there are of each kind.
const JOBS: u32 = 3;

/// Runs three jobs that Ctrl-C waits for, and three that it does not
#[derive(Debug, Parser)]
#[command(name = "shielded")]
pub struct Args {
    /// What each job takes
    #[arg(long, value_name = "SECS", default_value = "3", value_parser = parse_seconds)]
    pub seconds: Duration,
}

/// Runs the jobs side by side.
///
/// # Errors
/// None of these jobs fails; others would.
///
/// # Cancel safety
/// Cancelled, it waits for the shielded jobs.
#[cancellable]
pub async fn run(args: &Args) -> Result<(), BoxError> {
    task_group!(name = "jobs", |g| {
        for number in 1..=JOBS {
            g.spawn_shielded(job("shielded", number, args.seconds));
            g.spawn(job("plain", number, args.seconds));
        }
        Ok(())
    })
    .await?;
    println!("all jobs are gone");
    Ok(())
}

/// The same code for both kinds.
#[cancellable]
async fn job(kind: &'static str, number: u32, length: Duration) {
    on_cancel! {
        println!("{kind} job {number}: left");
    }
    println!("{kind} job {number}: begun");
    for step in 1..=3 {
        sleep(length / 3).await;
        println!("{kind} job {number}: {step}/3");
    }
    println!("{kind} job {number}: done");
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
