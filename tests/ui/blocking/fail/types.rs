use std::num::ParseIntError;
use taskscope::cancellable;

#[derive(Debug)]
enum OwnError {
    Parse,
}

#[cancellable(blocking)]
fn foreign(lines: &[String]) -> Result<u64, ParseIntError> {
    let mut sum = 0;
    for line in lines {
        sum += line.parse::<u64>()?;
    }
    while sum > 100 {
        sum -= 100;
    }
    Ok(sum)
}

#[cancellable(blocking)]
fn own(lines: &[String]) -> Result<(), OwnError> {
    for line in lines {
        if line.is_empty() {
            return Err(OwnError::Parse);
        }
    }
    Ok(())
}

type Alias = u64;

#[cancellable(blocking)]
fn alias(n: u64) -> Alias {
    let mut sum = 0;
    for n in 0..n {
        sum += n;
    }
    sum
}

fn main() {
    drop(foreign(&[]));
    drop(own(&[]));
    let _ = alias(1);
}
