//! Random async functions do the same with the attribute as an interpreter says,
//! and as without it where they contain no `defer!`; cancelled anywhere, they stop
//! there and clean up.
//!
//! The build script writes them, since the attribute works at compile time.
//! `TASKSCOPE_PROGRAMS` sets how many, `TASKSCOPE_SEED` where to begin.

mod grow;
mod interpret;
mod print;
mod program;
mod trace;

use std::pin::Pin;

use taskscope::Scope;
use taskscope_tests::{Driven, watched};

use self::interpret::Run;
use self::program::Program;
use self::trace::{Fault, Trace};

/// The generated functions.
mod generated {
    // Random code has no style.
    #![allow(warnings, clippy::all, clippy::pedantic)]

    use crate::rewriter::trace::*;
    use crate::rewriter::{Running, running};

    include!(concat!(env!("OUT_DIR"), "/programs.rs"));
}

/// A call of a generated function.
type Running<'t> = Pin<Box<dyn Future<Output = Result<u32, Fault>> + Send + 't>>;

/// What a generated function returns.
trait Output {
    fn into_result(self) -> Result<u32, Fault>;
}

impl Output for u32 {
    fn into_result(self) -> Result<u32, Fault> {
        Ok(self)
    }
}

impl Output for Result<u32, Fault> {
    fn into_result(self) -> Result<u32, Fault> {
        self
    }
}

fn running<'t, F>(call: F) -> Running<'t>
where
    F: Future<Output: Output> + Send + 't,
{
    Box::pin(async { call.await.into_result() })
}

fn finish(call: impl FnOnce(&Trace) -> Running<'_>) -> Run {
    let trace = Trace::default();
    let value = Driven::new(call(&trace))
        .finish()
        .map_err(|fault| Some(fault.0));
    let (log, ticks) = trace.into_parts();
    Run { log, ticks, value }
}

fn finish_cancelled(at: usize, call: impl FnOnce(&Trace) -> Running<'_>) -> Run {
    let scope = Scope::new();
    let trace = Trace::cancelling(at, scope.handle());
    let value = match Driven::new(scope.run(call(&trace))).finish() {
        Ok(value) => value.map_err(|fault| Some(fault.0)),
        Err(_) => Err(None),
    };
    let (log, ticks) = trace.into_parts();
    Run { log, ticks, value }
}

#[track_caller]
fn compare(index: usize, program: &Program, how: &str, actual: &Run, expected: &Run) {
    assert!(
        actual == expected,
        "{}\nseed {}, {how}\n     run: {actual:?}\nexpected: {expected:?}",
        print::function(&print::name(index), program, program.guarded),
        generated::seed(index),
    );
}

fn each(check: impl Fn(usize, &Program, &Run)) {
    watched(|| {
        for index in 0..generated::COUNT {
            let program = grow::program(generated::seed(index));
            let expected = interpret::run(&program, None).unwrap();
            check(index, &program, &expected);
        }
    });
}

/// The interpreter knows Rust.
#[test]
fn without_the_attribute() {
    each(|index, program, expected| {
        if !program.guarded {
            let actual = finish(|trace| generated::plain(index, trace));
            compare(index, program, "without the attribute", &actual, expected);
        }
    });
}

#[test]
fn not_cancelled() {
    each(|index, program, expected| {
        let actual = finish(|trace| generated::annotated(index, trace));
        compare(index, program, "not cancelled", &actual, expected);
    });
}

/// At every tick: behind each entry in the log, and where an await suspends.
#[test]
fn cancelled_everywhere() {
    each(|index, program, uncancelled| {
        for at in 1..=uncancelled.ticks.min(60) {
            let expected = interpret::run(program, Some(at)).unwrap();
            let actual = finish_cancelled(at, |trace| generated::annotated(index, trace));
            let how = format!("cancelled at tick {at}");
            compare(index, program, &how, &actual, &expected);
        }
    });
}
