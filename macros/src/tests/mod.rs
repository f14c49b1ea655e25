//! Expansions as text: what good input becomes, and that half-typed input is kept.

mod blocking;
mod checks;
mod docs;
mod entry;
mod errors;
mod expansion;
mod half_typed;
mod join;
mod names;
mod race;
mod send;

use crate::cancellable::cancellable;
use crate::group::task_group;
use crate::syntax::witness;
use proc_macro2::TokenStream;

fn tokens(text: &str) -> TokenStream {
    text.parse().expect("balanced text")
}

/// The expansion of `#[cancellable(args)] item`.
fn attribute(args: &str, item: &str) -> String {
    cancellable(tokens(args), tokens(item)).to_string()
}

/// The expansion of `task_group!(input)`.
fn group(input: &str) -> String {
    task_group(tokens(input)).to_string()
}

/// The same text as a token stream prints it.
fn printed(text: &str) -> String {
    tokens(text).to_string()
}

/// `text` without spaces, and with the paths of the runtime and the witnesses cut short.
fn short(text: &str) -> String {
    let dense = |text: &str| -> String { text.split_whitespace().collect() };
    let names = ["defer", "on_cancel", "race", "task_group"];
    let witnesses =
        names.map(|name| dense(&witness::input(&syn::parse_str(name).unwrap()).to_string()));
    let witnesses = witnesses.iter();
    witnesses
        .fold(dense(text), |text, witness| text.replace(witness, "W"))
        .replace("::taskscope::__private::", "P::")
        .replace("::core::option::Option::", "")
        .replace("::core::convert::", "")
        .replace("__taskscope_", "__")
}

#[track_caller]
fn assert_same(expansion: &str, expected: &str) {
    let dense = short(&printed(expected));
    assert!(
        short(expansion) == dense,
        "\nexpansion: {expansion}\n\nexpected:  {expected}\n"
    );
}

/// The expansion, less what is put into the body of a function that was not read.
fn without_refusal(expansion: &str) -> String {
    let Some((before, refusal)) = expansion.split_once("const { :: core :: panic ! (") else {
        return expansion.to_owned();
    };
    let (_, rest) = refusal.split_once(") } ; ").unwrap_or_default();
    let guards = rest.rsplit_once("let _ = async { $ ($ cleanup) * } ; } } ");
    let rest = guards.map_or(rest, |(_, rest)| rest);
    printed(&format!("{before} {rest}"))
}
