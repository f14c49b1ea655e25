//! The situations: annotated code beside its plain twin.
//!
//! ```text
//! == name
//! want: names, that a completion must offer
//! inherent: why the two differ, where they must
//! -- annotated
//! code with the cursor at $0
//! -- plain
//! the same code without the attribute
//! ```

use crate::lsp::Position;

/// What all code begins with.
const PRELUDE: &str = "\
use std::{io, time::Duration};
use taskscope::*;
use tokio::{sync::mpsc, time::sleep};
use crate::conn::{Connection, Reply};
";

/// One situation.
pub struct Situation {
    pub name: &'static str,
    /// What a completion must offer.
    pub want: Vec<&'static str>,
    /// Why the annotated code differs, where it has to.
    pub inherent: Option<&'static str>,
    pub annotated: Code,
    pub plain: Code,
}

/// The text of a file, and the cursor in it.
pub struct Code {
    pub text: String,
    pub cursor: Position,
}

impl Code {
    /// The code behind the prelude.
    pub fn parse(code: &str) -> Self {
        let marked = format!("{PRELUDE}{code}");
        let text = marked.replacen("$0", "", 1);
        let offset = marked.find("$0").unwrap_or(text.len());
        let cursor = Position::of(&text, offset);
        Self { text, cursor }
    }
}

/// Reads a file of situations.
///
/// # Panics
///
/// If the file does not have the form that it must have.
pub fn parse(file: &'static str) -> Vec<Situation> {
    file.split("\n== ").skip(1).map(parse_one).collect()
}

fn parse_one(text: &'static str) -> Situation {
    let (head, code) = text.split_once("\n-- annotated\n").expect("annotated code");
    let (annotated, plain) = code.split_once("\n-- plain\n").expect("plain code");
    let mut head = head.lines();
    let name = head.next().unwrap_or_default();
    let option = |key| {
        let mut values = head.clone().filter_map(move |line| line.strip_prefix(key));
        values.next()
    };
    Situation {
        name,
        want: option("want: ").map_or(Vec::new(), |want| want.split(", ").collect()),
        inherent: option("inherent: "),
        annotated: Code::parse(annotated),
        plain: Code::parse(plain),
    }
}
