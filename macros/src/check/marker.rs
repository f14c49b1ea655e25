//! `#[checkpoint]` and `#[no_checkpoint]`: on a loop, once, and with nothing in them.

use crate::diag::{Diag, Mistake};
use crate::syntax::item::is_marker;
use syn::{Attribute, Meta};

/// The markers of one loop.
pub(super) fn check_loop(attrs: &[Attribute], diag: &mut Diag) {
    let mut seen: Option<&'static str> = None;
    for (attr, name) in markers(attrs) {
        if !matches!(attr.meta, Meta::Path(_)) {
            report(
                attr,
                &format!("`#[{name}]` with something in it"),
                "how often a checkpoint lets others run follows from its time budget, not from a number",
                &format!("write `#[{name}]` alone"),
                diag,
            );
        }
        match seen.replace(name) {
            Some(first) if first == name => report(
                attr,
                &format!("`#[{name}]` is given twice"),
                "one of the two says it all",
                "remove one of the two",
                diag,
            ),
            Some(first) => report(
                attr,
                &format!("`#[{name}]` beside `#[{first}]`"),
                "a loop has a checkpoint or has none",
                "remove one of the two",
                diag,
            ),
            None => {}
        }
    }
}

/// A marker on anything else.
pub(super) fn check_other(attr: &Attribute, diag: &mut Diag) {
    for (attr, name) in markers(std::slice::from_ref(attr)) {
        report(
            attr,
            &format!("`#[{name}]` on what is no loop"),
            "an await is a checkpoint as it is, and other code is atomic between two of them",
            "put it on a `for`, `while` or `loop`, or write `taskscope::checkpoint().await` here",
            diag,
        );
    }
}

fn markers(attrs: &[Attribute]) -> impl Iterator<Item = (&Attribute, &'static str)> {
    const MARKERS: [&str; 2] = ["checkpoint", "no_checkpoint"];
    attrs.iter().filter_map(|attr| {
        let name = MARKERS.into_iter().find(|name| is_marker(attr, name))?;
        Some((attr, name))
    })
}

fn report(attr: &Attribute, what: &str, why: &str, help: &str, diag: &mut Diag) {
    diag.report_over(attr, &Mistake { what, why, help });
}
