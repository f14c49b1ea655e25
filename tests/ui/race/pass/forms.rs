#![deny(warnings, clippy::all, clippy::pedantic)]

use std::future::{pending, ready};
use taskscope::{cancellable, race, defer};

#[cancellable]
async fn forms(limit: u32, text: &mut String) -> Result<u32, std::num::ParseIntError> {
    let mut borrowed = std::pin::pin!(ready(1));
    let one = race! {
        biased;
        n = &mut borrowed => n,
        _ = ready(()), if (limit > 1) => { 2 }
        n = async { text.len() } => match u32::try_from(n) {
            Ok(n) => n,
            Err(_) => return Ok(0),
        },
        else => return Ok(3),
    };
    race! {
        Some(n) = ready(text.pop()) => text.push(n),
        _ = ready(()) => {}
        () = pending() => unreachable!(),
    }
    loop {
        defer! { ready(()).await; }
        race! {
            Ok(n) | Err(n) = async { Err::<u32, u32>(limit) } => {
                defer! { ready(n).await; }
                if n > limit {
                    break;
                }
                text.parse::<u32>()?;
            },
            mut list = ready(vec![limit]) => list.push(1),
        }
    }
    Ok(one)
}

async fn plain(text: &mut String) -> usize {
    taskscope::race! {
        length = async { text.len() } => {
            text.clear();
            ready(length).await
        }
        [first, .., ref last] = ready([String::new(), String::from("b"), String::from("c")])
            => first.len() + last.len(),
        else => 0
    }
}

#[allow(clippy::unused_async)]
async fn only_else() -> u32 {
    race! { biased; else => { 4 } }
}

// Names of the expansion are not the user's.
async fn hygiene() -> u32 {
    let __taskscope_future_0 = ready(5);
    let __taskscope_won = 1;
    race! {
        n = __taskscope_future_0 => n + __taskscope_won,
        n = ready(__taskscope_won) => n,
    }
}

macro_rules! first {
    ($future:expr, $or:expr, $pattern:pat => $handler:expr) => {
        race! {
            $pattern = $future => $handler,
            _ = $or => 0,
        }
    };
}

#[cancellable]
async fn from_macro_rules() -> u32 {
    first!(ready(Some(1)), pending::<()>(), Some(n) => n)
}

fn is_send<T: Send>(_: &T) {}

fn main() {
    let mut text = String::new();
    is_send(&forms(1, &mut text));
    is_send(&plain(&mut text));
    is_send(&only_else());
    is_send(&hygiene());
    is_send(&from_macro_rules());
}
