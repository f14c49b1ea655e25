//! The parts of `heartbeat`: the services, and the registry they look after.

mod registry;

use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use taskscope::{BoxError, cancellable, on_cancel, task_group};
use tokio::time::{interval, sleep};

use crate::seconds::parse_seconds;
use registry::Registry;

/// What the node holds, in the order in which it is taken.
const RESOURCES: [&str; 3] = ["database", "cache", "queue"];

/// Holds resources, and renews what it holds, until its work is done
#[derive(Debug, Parser)]
#[command(name = "heartbeat")]
pub struct Args {
    /// How long the work takes
    #[arg(long, value_name = "SECS", default_value = "2", value_parser = parse_seconds)]
    pub seconds: Duration,

    /// How often the heart beats, and the registry is looked through
    #[arg(long, value_name = "SECS", default_value = "0.2", value_parser = parse_period)]
    pub period: Duration,

    /// How long a resource is held that is not renewed
    #[arg(long, value_name = "SECS", default_value = "0.5", value_parser = parse_period)]
    pub ttl: Duration,
}

fn parse_period(text: &str) -> Result<Duration, String> {
    match parse_seconds(text)? {
        Duration::ZERO => Err("a time above zero is needed".to_owned()),
        period => Ok(period),
    }
}

/// Takes the resources, works, and releases them.
///
/// # Errors
/// None of these tasks fails; others would.
///
/// # Cancel safety
/// Cancelled, it releases what it holds.
#[cancellable]
pub async fn run(args: &Args) -> Result<(), BoxError> {
    let registry = Arc::new(Registry::default());
    task_group!(name = "node", |g| {
        g.service(beat(args.period));
        g.service(expire(Arc::clone(&registry), args.period));
        for name in RESOURCES {
            registry.take(name, args.ttl);
            g.defer(release(Arc::clone(&registry), name));
            if name != "cache" {
                g.service(renew(Arc::clone(&registry), name, args.ttl));
            }
        }
        g.spawn(work(args.seconds));
        Ok(())
    })
    .await?;
    println!("done, {} held", registry.len());
    Ok(())
}

/// What the node is there for.
#[cancellable]
async fn work(length: Duration) {
    on_cancel! { println!("work is cut short"); }
    sleep(length).await;
    println!("work is done");
}

/// Shows that the node lives.
#[cancellable]
async fn beat(period: Duration) -> ! {
    let mut ticks = interval(period);
    loop {
        ticks.tick().await;
        println!("beat");
    }
}

/// Renews a resource well before it expires.
#[cancellable]
async fn renew(registry: Arc<Registry>, name: &'static str, ttl: Duration) -> ! {
    loop {
        sleep(ttl / 3).await;
        registry.renew(name, ttl);
    }
}

/// Throws out what was not renewed in time.
#[cancellable]
async fn expire(registry: Arc<Registry>, period: Duration) -> ! {
    let mut ticks = interval(period);
    loop {
        ticks.tick().await;
        for name in registry.expire() {
            println!("{name} has expired");
        }
    }
}

/// Gives a resource back, which takes a moment.
#[cancellable]
async fn release(registry: Arc<Registry>, name: &'static str) {
    sleep(Duration::from_millis(20)).await;
    if registry.release(name) {
        println!("{name} is released");
    }
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
    fn a_period_is_above_zero() {
        assert_eq!(parse_period("0.2"), Ok(Duration::from_millis(200)));
        assert!(parse_period("0").is_err());
    }
}
