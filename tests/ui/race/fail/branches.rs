use std::future::ready;
use taskscope::{cancellable, race};

async fn none() {
    race! {}
}

async fn no_pattern() {
    race! { ready(()) => {} }
}

async fn no_handler() {
    race! { _ = ready(()), _ = ready(()) => {} }
}

async fn no_last_handler() {
    race! { _ = ready(()) => {}, _ = ready(()) }
}

async fn no_comma() {
    race! { _ = ready(()) => drop(1) _ = ready(()) => {} }
}

async fn guard_in_front(open: bool) {
    race! { n if open = ready(1) => drop(n) }
}

#[cancellable]
async fn guard_without_comma(open: bool) {
    race! { _ = ready(()) if open => {} }
}

async fn behind_else() {
    race! { else => {}, _ = ready(()) => {} }
}

async fn biased() {
    race! { biased, _ = ready(()) => {} }
    race! { _ = ready(()) => {}, biased; }
}

fn main() {}
