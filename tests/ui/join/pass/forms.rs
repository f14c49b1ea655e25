#![deny(warnings, clippy::pedantic)]

use std::num::ParseIntError;
use taskscope::{cancellable, join, try_join};

async fn part(n: u32) -> u32 {
    n
}

async fn parse(text: &str) -> Result<u32, ParseIntError> {
    text.parse()
}

#[cancellable]
async fn forms(text: &str) -> Result<u32, ParseIntError> {
    let (one,) = join!(part(1));
    let (two, three) = join!(part(2), async { part(3).await },);
    let (four, five, _, _) = try_join!(parse(text), parse("5"), async { Ok(()) }, parse("7"))?;
    let mut sum = 0;
    // Branches may borrow, one of them mutably.
    join!(
        async { sum += parse(text).await.unwrap_or(0) },
        async { part(one).await },
    );
    let nested = join!(async { join!(part(1), part(2)) }, part(3));
    Ok(one + two + three + four + five + sum + nested.1)
}

async fn plain(text: &str) -> Result<u32, ParseIntError> {
    let (a, b) = taskscope::try_join!(parse(text), parse(text))?;
    Ok(taskscope::join!(part(a), part(b)).0)
}

// Like `tokio::join!`, whose branches also leave in order here.
#[cancellable]
async fn foreign() -> u32 {
    let (a, b) = tokio::join!(part(1), async { part(2).await });
    let (c, d) = futures::join!(part(3), part(4));
    a + b + c + d
}

// Lints take the code below a branch that does not return for what it is.
async fn endless() -> u32 {
    async fn runs() -> ! {
        std::future::pending().await
    }
    join!(runs(), part(1));
    join!(async { panic!("endless") }, part(1));
    taskscope::race! {
        _ = runs() => {}
        _ = part(1) => {}
    }
    1
}

fn main() {
    fn is_send<F: Send>(_: F) {}
    is_send(endless());
    is_send(forms(""));
    is_send(plain(""));
    is_send(foreign());
}
