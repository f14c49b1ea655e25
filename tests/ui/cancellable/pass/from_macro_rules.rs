#![deny(warnings)]

use taskscope::{cancellable, defer};

macro_rules! function {
    ($(#[$meta:meta])* $vis:vis fn $name:ident() -> $output:ty $body:block) => {
        #[cancellable]
        $(#[$meta])*
        $vis async fn $name() -> $output $body
    };
}

macro_rules! item {
    ($item:item) => {
        #[cancellable]
        $item
    };
}

macro_rules! awaited {
    ($future:expr) => {
        $future.await
    };
}

function! {
    #[must_use]
    pub fn number() -> u32 {
        defer! { std::future::ready(()).await; }
        std::future::ready(1).await
    }
}

item! {
    async fn item(text: &str) -> Result<u32, std::num::ParseIntError> {
        for _ in 0..2 {
            defer! { let _ = awaited!(number()); }
            awaited!(std::future::ready(text)).parse::<u32>()?;
        }
        Ok(awaited!(number()))
    }
}

fn main() {
    fn send<F: Send>(_: F) {}
    send(number());
    send(item("1"));
}
