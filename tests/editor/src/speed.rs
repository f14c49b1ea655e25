//! How long a completion takes in a long function, right after a change of it.

use std::io;
use std::time::{Duration, Instant};

use crate::ask::complete;
use crate::lsp::Server;
use crate::situation::Code;

/// What stands before the function, by name. The first is the plain twin.
const VARIANTS: &[(&str, &str, &str)] = &[
    ("plain", "", ""),
    ("#[tokio::main]", "#[tokio::main]", ""),
    ("#[cancellable]", "#[cancellable]", ""),
    (
        "with a defer!",
        "#[cancellable]",
        "defer! { println!(\"end\"); }",
    ),
];

/// How often each is asked, in turn.
const ROUNDS: usize = 15;

/// How many lines the function has.
const LINES: usize = 300;

/// How much longer than in plain code it may take.
const LIMIT: f64 = 1.5;

/// How many variants take too long.
pub fn count(server: &mut Server) -> io::Result<usize> {
    let mut times = vec![Vec::new(); VARIANTS.len()];
    for round in 0..ROUNDS {
        for (variant, times) in VARIANTS.iter().zip(&mut times) {
            let code = function(variant, round);
            server.change(&code.text)?;
            let begin = Instant::now();
            let shown = complete(server, &code)?;
            times.push(begin.elapsed());
            assert!(
                shown.contains("status_code"),
                "{} offers {shown:?}",
                variant.0
            );
        }
    }
    let medians: Vec<_> = times.into_iter().map(median).collect();
    let ratios = medians
        .iter()
        .map(|time| time.as_secs_f64() / medians[0].as_secs_f64());
    for ((variant, time), ratio) in VARIANTS.iter().zip(&medians).zip(ratios.clone()) {
        println!(
            "speed: {}: {} ms, {ratio:.2} of plain",
            variant.0,
            time.as_millis()
        );
    }
    Ok(ratios.filter(|ratio| *ratio > LIMIT).count())
}

fn function((_, attribute, first): &(&str, &str, &str), round: usize) -> Code {
    let steps = (0..LINES / STEP.lines().count()).map(|at| STEP.replace("AT", &at.to_string()));
    let steps: String = steps.collect();
    Code::parse(&format!(
        "{attribute}
async fn main() -> io::Result<()> {{
    let mut c = Connection::open(\"a\").await?;
    let mut total = {round};
    {first}
    {steps}
    let last = c.ask(\"b\").await?;
    last.$0;
    Ok(())
}}
"
    ))
}

/// Some lines of it.
const STEP: &str = r#"
    let rAT = c.ask("b").await?;
    let nAT = c.count().await?;
    if rAT.is_good() {
        total += nAT;
    }
    let wAT = rAT.body.chars().filter(|x| x.is_ascii()).count();
    println!("{} {}", wAT, c.count().await?);
    total += wAT as u64 + c.sync_part() as u64;
    sleep(Duration::from_millis(total)).await;
"#;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
