//! Writes the random programs of `tests/it/rewriter`.

use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs};

#[path = "tests/it/rewriter/grow.rs"]
mod grow;
#[path = "tests/it/rewriter/interpret.rs"]
mod interpret;
#[path = "tests/it/rewriter/print.rs"]
mod print;
#[path = "tests/it/rewriter/program.rs"]
mod program;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for file in ["grow", "interpret", "print", "program"] {
        println!("cargo::rerun-if-changed=tests/it/rewriter/{file}.rs");
    }
    let count = number("TASKSCOPE_PROGRAMS").unwrap_or(120);
    let seed = number("TASKSCOPE_SEED").unwrap_or(1);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("programs.rs"), programs(count, seed)).expect("OUT_DIR can be written to");
}

fn number(name: &str) -> Option<usize> {
    println!("cargo::rerun-if-env-changed={name}");
    let value = env::var(name).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{name}={value} is not a number")),
    )
}

fn programs(count: usize, seed: usize) -> String {
    let mut text = format!(
        "pub(crate) const COUNT: usize = {count};\n\
         pub(crate) fn seed(index: usize) -> u64 {{ {seed} + index as u64 }}\n"
    );
    let mut annotated = String::new();
    let mut plain = String::new();
    for index in 0..count {
        let program = grow::program((seed + index) as u64);
        let name = print::name(index);
        text += &print::function(&name, &program, true);
        writeln!(annotated, "{index} => running({name}(trace)),").expect("a String takes all");
        if !program.guarded {
            text += &print::function(&format!("{name}_plain"), &program, false);
            writeln!(plain, "{index} => running({name}_plain(trace)),")
                .expect("a String takes all");
        }
    }
    for (name, arms) in [("annotated", annotated), ("plain", plain)] {
        text += &format!(
            "pub(crate) fn {name}(index: usize, trace: &Trace) -> Running<'_> {{\n\
             match index {{\n{arms}_ => unreachable!(),\n}}\n}}\n"
        );
    }
    text
}
