#![deny(warnings)]

use std::future::ready;
use taskscope::{cancellable, defer, race};

// In annotated code a race is expanded in place, wherever an expression can stand.
#[cancellable]
async fn positions(list: Vec<u32>) -> u32 {
    race! { n = ready(list.len()) => Some(n) }.unwrap();
    let sum = |n: u32| async move { race!(m = ready(n) => m) + 1 };
    #[allow(unused_variables)]
    race! { n = ready(1) => {} }
    #[cfg(any())]
    race! { n = nothing() => {} }
    #[cfg(not(any()))]
    race!(() = ready(()) => {});
    let Some(first) = race!(n = ready(list.first()) => n) else {
        return 0;
    };
    let next = |n: u32| async move { race! { m = ready(n + 1) => m } };
    if race! { even = ready(first % 2 == 0) => even } {
        return race! { n = ready(2) => n };
    }
    for n in race! { list = ready(list.clone()) => list } {
        defer! { race! { () = ready(()) => {} } }
        next(sum(n).await).await;
    }
    match race! { n = ready(2u8) => n } {
        2 => println!("{}", race! { n = ready(2) => n }),
        _ => {}
    }
    _ = Some(race! {
        outer = async { race! { n = ready(1) => n } }, if race! { b = ready(true) => b } => {
            race! { n = ready(outer) => n + outer }
        }
    });
    #[cfg(any())]
    race! { n = nothing() => n }
    #[cfg(not(any()))]
    race! { n = ready(1) => n }
}

macro_rules! first_of {
    ($name:ident, $future:expr, $pattern:pat => $handler:expr) => {
        #[cancellable]
        async fn $name() -> u32 {
            race! { $pattern = $future => $handler, else => 0 }
        }
    };
}

first_of!(from_macro_rules, ready(Some(1)), Some(n) => n);

fn main() {
    drop(from_macro_rules());
    drop(positions(Vec::new()));
}
