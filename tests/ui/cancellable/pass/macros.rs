#![deny(warnings)]

use anyhow::{Context, anyhow, bail, ensure};
use std::fmt::Write;
use taskscope::cancellable;
use tracing::{debug, error, event, info, info_span, trace, warn};

async fn step(n: u32) -> u32 {
    n
}

#[cancellable]
async fn with_anyhow(n: u32) -> anyhow::Result<u32> {
    ensure!(step(n).await < 10);
    ensure!(step(n).await < 9, "{} is too much", step(n).await);
    ensure!(step(n).await != 8, anyhow!("{n} and {}", step(n).await));
    if step(n).await == 7 {
        bail!("bad: {}", step(n).await);
    }
    if n == 6 {
        return Err(anyhow!(step(n).await));
    }
    let parsed: u32 = "1".parse().with_context(|| format!("{n}"))?;
    Ok(step(n).await + parsed)
}

#[cancellable]
async fn with_tracing(n: u32) -> u32 {
    info!("plain");
    info!("{}", step(n).await);
    info!(n, "field {}", step(n).await);
    debug!(n = step(n).await, text = %n, other = ?n);
    trace!(target: "own", n, "message {}", step(n).await);
    warn!(%n, ?n, "literal \"quoted\" {}", n);
    error!(error = ?anyhow!("x"), "x");
    event!(tracing::Level::INFO, n, "event {}", n);
    let span = info_span!("name", n, later = tracing::field::Empty);
    span.in_scope(|| info!("inside"));
    n
}

#[cancellable]
async fn with_std(n: u32) -> String {
    let mut text = String::new();
    write!(text, "{}", step(n).await).unwrap();
    writeln!(text, "{a}{}", step(n).await, a = step(1).await).unwrap();
    assert!(step(n).await > 0, "{}", step(n).await);
    assert_eq!(step(n).await, n, "{n}");
    assert_ne!(step(n).await, n + 1);
    debug_assert!(matches!(step(n).await, 1..=9 if n > 0));
    let list = vec![step(n).await, step(2).await];
    let repeated = vec![step(n).await; list.len()];
    let nested = format!("{:?}", vec![format!("{}", step(n).await)]);
    text + &format!("{list:?}{repeated:?}{nested}")
}

#[cancellable]
async fn with_joins(n: u32) -> Result<u32, anyhow::Error> {
    let (a, b) = tokio::join!(step(n), async { step(n).await + 1 });
    let (c, d) = futures::join!(step(n), step(step(n).await));
    let (e, f) = taskscope::join!(step(n), async { step(n).await });
    let (g, h) = taskscope::try_join!(with_anyhow(n), async { anyhow::Ok(step(n).await) })?;
    Ok(a + b + c + d + e + f + g + h)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(with_anyhow(1).await.unwrap(), 2);
    for n in 6..12 {
        assert!(with_anyhow(n).await.is_err());
    }
    assert_eq!(with_tracing(1).await, 1);
    assert_eq!(with_std(3).await, "3\n13[3, 2][3, 3][\"3\"]".replacen("3\n13", "313\n", 1));
    assert_eq!(with_joins(1).await.unwrap(), 10);
}
