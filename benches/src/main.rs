//! Prints the table of what structure costs; see `README.md`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use taskscope_benches::family::{Family, Size};
use taskscope_benches::instructions::{self, Baseline, Key};
use taskscope_benches::report::{self, Row};
use taskscope_benches::{families, plot};

const USAGE: &str = "usage: taskscope-benches [--json] [--only NAME]… [--quick] [--plot FILE]
       taskscope-benches --instructions [--json] [--only NAME]… [--baseline FILE] [--save FILE]

  --json       one JSON object per line
  --only NAME  this row alone; may be given more than once
  --quick      little work and one round: shows that all of it runs, the times mean nothing
  --plot FILE  draws the cost per task over the number of tasks, instead of the table

  --instructions   instructions on one thread instead of times; needs valgrind
  --baseline FILE  fails where a row takes more than FILE says, by three hundredths
  --save FILE      writes what FILE would have to say";

/// Rounds that count, after one of warm-up.
const ROUNDS: usize = 11;

#[derive(Default)]
struct Options {
    json: bool,
    quick: bool,
    only: Vec<String>,
    plot: Option<PathBuf>,
    instructions: bool,
    counted_work: bool,
    baseline: Option<PathBuf>,
    save: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = match options(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}\n\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
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
            "--instructions" => options.instructions = true,
            // For the run under callgrind.
            "--counted-work" => options.counted_work = true,
            "--baseline" => options.baseline = Some(value()?.into()),
            "--save" => options.save = Some(value()?.into()),
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
    if options.counted_work {
        instructions::work(&wanted);
        return Ok(());
    }
    if options.instructions {
        return count(&options, &wanted);
    }
    for family in &mut families {
        family.retain(wanted);
    }
    families.retain(|family| !family.peers.is_empty());
    let rows = families.iter().flat_map(|family| family.measure(rounds));
    print(rows, options.json);
    Ok(())
}

fn count(options: &Options, wanted: &dyn Fn(&str) -> bool) -> Result<(), String> {
    let key = Key::current()?;
    let counted = instructions::count(&options.only, wanted)?;
    print(counted.rows.iter().cloned(), options.json);
    if let Some(file) = &options.save {
        fs::write(file, Baseline::text(&key, &counted))
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let Some(file) = &options.baseline else {
        return Ok(());
    };
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match Baseline::read(&text)?.grown(&key, &counted) {
        Some(grown) if grown.is_empty() => Ok(()),
        Some(grown) => Err(format!("rows have grown:\n{}", grown.join("\n"))),
        None => {
            eprintln!(
                "{} is of another toolchain: nothing compared",
                file.display()
            );
            Ok(())
        }
    }
}

/// Prints each row as soon as it is known.
fn print(rows: impl Iterator<Item = Row>, json: bool) {
    if !json {
        println!("{}", report::head());
    }
    for row in rows {
        if json {
            println!("{}", row.json());
        } else {
            println!("{row}");
        }
    }
}
