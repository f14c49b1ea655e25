use std::future::ready;
use taskscope::{cancellable, race};

// Expanded by the attribute, a race is shown as when its own macro expands it.
#[cancellable]
async fn no_future() {
    race! { _ = 1 + 1 => {} }
}

#[cancellable]
async fn two_types() {
    let _ = race! {
        _ = ready(1) => 1,
        _ = ready(2) => "two",
    };
}

#[cancellable]
async fn no_condition(open: u32) {
    race! { _ = ready(1), if open => {} }
}

fn main() {}
