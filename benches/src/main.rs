//! Prints the table of what structure costs; see `README.md`.

use std::path::PathBuf;
use std::process::ExitCode;

use taskscope_benches::family::{Family, Size};
use taskscope_benches::{families, plot, report};

const USAGE: &str = "usage: taskscope-benches [--json] [--only NAME]… [--quick] [--plot FILE]

  --json       one JSON object per line
  --only NAME  this row alone; may be given more than once
  --quick      little work and one round: shows that all of it runs, the times mean nothing
  --plot FILE  draws the cost per task over the number of tasks, instead of the table";

/// Rounds that count, after one of warm-up.
const ROUNDS: usize = 11;

#[derive(Default)]
struct Options {
    json: bool,
    quick: bool,
    only: Vec<String>,
    plot: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}\n\n{USAGE}");
            ExitCode::FAILURE
        }
    }
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("`{arg}` wants a value"));
        match arg.as_str() {
            "--json" => options.json = true,
            "--quick" => options.quick = true,
            "--only" => options.only.push(value()?),
            "--plot" => options.plot = Some(value()?.into()),
            _ => return Err(format!("unknown option `{arg}`")),
        }
    }
    Ok(options)
}

fn run(options: Options) -> Result<(), String> {
    let (size, rounds) = if options.quick {
        (Size::QUICK, 1)
    } else {
        (Size::FULL, ROUNDS)
    };
    if let Some(file) = &options.plot {
        return plot::draw(file, size, rounds).map_err(|error| error.to_string());
    }
    let mut families = families(size);
    for only in &options.only {
        let known = |family: &Family| family.peers.iter().any(|peer| peer.row == only);
        if !families.iter().any(known) {
            return Err(format!(
                "there is no row `{only}`, or its peer is not installed"
            ));
        }
    }
    let wanted = |row: &str| options.only.is_empty() || options.only.iter().any(|only| only == row);
    for family in &mut families {
        family.retain(wanted);
    }
    families.retain(|family| !family.peers.is_empty());
    print(&families, rounds, options.json);
    Ok(())
}

fn print(families: &[Family], rounds: usize, json: bool) {
    if !json {
        println!("{}", report::head());
    }
    for row in families.iter().flat_map(|family| family.measure(rounds)) {
        if json {
            println!("{}", row.json());
        } else {
            println!("{row}");
        }
    }
}
