//! Random trees of groups, tasks, scopes, shields, cleanups and joins, with
//! failures, panics and cancellations, are run on the paused clock and compared
//! with a model: every strand of work must do exactly what the model says, at
//! the same virtual time.
//!
//! `PROPTEST_CASES` sets how many trees are tried. A tree that fails is printed
//! in a form that can be pasted into a test.

mod check;
mod interpret;
mod model;
mod trace;
mod tree;

use proptest::test_runner::{Config, TestCaseError, TestRunner};

use self::check::try_check;
use self::tree::{Clock, Weather, case};

fn cases() -> u32 {
    let cases = std::env::var("PROPTEST_CASES").ok();
    cases.and_then(|cases| cases.parse().ok()).unwrap_or(300)
}

#[track_caller]
fn trees(weather: Weather, clock: Clock) {
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&case(weather, clock), |case| {
        try_check(&case).map_err(TestCaseError::fail)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Neither failures nor cancellations.
#[test]
fn trees_in_fair_weather() {
    trees(Weather::Fair, Clock::Apart);
}

/// Deadlines and cancellations, no failures.
#[test]
fn trees_that_are_cancelled() {
    trees(Weather::Cancelling, Clock::Apart);
}

/// Everything at once.
#[test]
fn trees_in_foul_weather() {
    trees(Weather::Foul, Clock::Apart);
}

/// Much happens at the same time: the order is open, the rules are not.
#[test]
fn crowded_trees_that_are_cancelled() {
    trees(Weather::Cancelling, Clock::Crowded);
}

/// Everything at once, at the same time.
#[test]
fn crowded_trees_in_foul_weather() {
    trees(Weather::Foul, Clock::Crowded);
}
