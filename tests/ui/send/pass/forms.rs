#![deny(warnings, missing_docs, clippy::pedantic)]
#![allow(clippy::missing_errors_doc, clippy::must_use_candidate)]
//! Futures that say that they are `Send`, of every shape.

use std::fmt::Display;
use std::pin::Pin;
use std::sync::Arc;
use taskscope::{BoxError, cancellable, defer};

async fn step(n: u32) -> u32 {
    n
}

/// Borrows.
#[cancellable(send)]
pub async fn longest<'a>(first: &'a str, second: &'a str) -> &'a str {
    step(1).await;
    if first.len() > second.len() { first } else { second }
}

/// Elided.
#[cancellable(send)]
pub async fn elided(text: &str, other: &mut Vec<String>) -> usize {
    other.push(text.to_owned());
    step(1).await;
    text.len()
}

/// Generic.
#[cancellable(send, loops)]
#[inline]
pub(crate) async fn generic<T, const N: usize>(items: [T; N], mut sum: u64, (a, _b): (u64, u64), _: &T) -> u64
where
    T: Into<u64> + Send + Sync,
{
    for item in items {
        sum += item.into();
    }
    sum + a
}

/// Opaque in and out.
#[cancellable(send)]
pub async fn opaque(numbers: impl Iterator<Item = u32> + Send) -> impl Display {
    defer! { step(0).await; }
    let mut sum = 0;
    for n in numbers {
        sum += step(n).await;
    }
    sum
}

/// Unsized by coercion, with a `?` before.
#[cancellable(send)]
pub async fn coerced(text: &str) -> Result<Box<dyn Display + Send>, BoxError> {
    let n: u32 = text.parse()?;
    if n == 0 {
        return Ok(Box::new("none"));
    }
    Ok(Box::new(step(n).await))
}

/// Never.
#[cancellable(send)]
pub async fn never() -> ! {
    loop {
        step(1).await;
    }
}

/// Awaits itself.
#[cancellable(send)]
pub async fn countdown(n: u32) -> u32 {
    if n == 0 { 0 } else { Box::pin(countdown(n - 1)).await + 1 }
}

/// Unsafe.
///
/// # Safety
///
/// None needed.
#[cancellable(send)]
pub async unsafe fn risky(n: u32) -> u32 {
    step(n).await
}

/// Arguments with attributes.
#[cancellable(send)]
pub async fn attributes(#[cfg(windows)] gone: u32, #[allow(unused_variables)] there: u32) {
    #![allow(clippy::unused_unit)]
    #[cfg(windows)]
    step(gone).await;
    step(1).await;
}

/// Without an await.
#[cancellable(send)]
pub async fn constant() -> u32 {
    1
}

/// Has methods.
#[derive(Default)]
pub struct Counter(u32, String);

#[cancellable(send)]
impl Counter {
    /// By value.
    pub async fn into_name(self) -> String {
        step(1).await;
        self.1
    }

    /// Changes itself.
    pub async fn add(&mut self, n: u32) -> &mut Self {
        self.0 += step(n).await;
        self
    }

    /// Named lifetimes.
    pub async fn pick<'a>(&'a self, other: &'a str) -> &'a str {
        step(1).await;
        if self.1.is_empty() { other } else { &self.1 }
    }

    /// Shared.
    pub async fn shared(self: Arc<Self>) -> u32 {
        step(self.0).await
    }

    /// Pinned.
    pub async fn pinned(self: Pin<&mut Self>) -> u32 {
        step(self.0).await
    }

    /// Another `self`.
    pub async fn mutable(mut self, Self(n, _): Self) -> Self {
        self.0 += step(n).await;
        self
    }

    /// Plain.
    pub fn get(&self) -> u32 {
        self.0
    }
}

/// A trait with both kinds of methods.
#[cancellable(send)]
pub trait Source<T: Send> {
    /// Declared.
    async fn next(&mut self) -> Option<T>;

    /// Declared, with arguments.
    async fn skip(&mut self, n: usize, _: &str);

    /// By default.
    async fn all(&mut self) -> Vec<T>
    where
        Self: Send,
    {
        let mut all = Vec::new();
        while let Some(next) = self.next().await {
            all.push(next);
        }
        all
    }

    /// Plain.
    fn len(&self) -> usize;

    /// Plain, by default.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cancellable(send)]
impl<T: Send> Source<T> for Vec<T> {
    async fn next(&mut self) -> Option<T> {
        step(1).await;
        self.pop()
    }

    async fn skip(&mut self, mut n: usize, _: &str) {
        while n > 0 {
            n -= 1;
            self.next().await;
        }
    }

    fn len(&self) -> usize {
        self.len()
    }
}

/// An impl with plain `async fn`s fits.
impl Source<u32> for Counter {
    #[cancellable]
    async fn next(&mut self) -> Option<u32> {
        Some(step(1).await)
    }

    #[cancellable]
    async fn skip(&mut self, _: usize, _: &str) {}

    fn len(&self) -> usize {
        1
    }
}

/// Single methods.
pub trait Single {
    /// Declared.
    #[cancellable(send)]
    async fn one(&self) -> u32;

    /// By default.
    #[cancellable(send)]
    async fn two(&self) -> u32
    where
        Self: Sync,
    {
        self.one().await * 2
    }
}

impl Single for Counter {
    #[cancellable(send)]
    async fn one(&self) -> u32 {
        step(self.0).await
    }
}

/// In a module, by another name.
#[cancellable(send, crate = self::scope)]
pub mod inner {
    /// Never.
    pub async fn never() -> ! {
        loop {
            super::step(1).await;
        }
    }

    #[doc(hidden)]
    pub use taskscope as scope;
}

macro_rules! function {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $output:ty $body:block) => {
        $(#[$meta])*
        #[cancellable(send)]
        $vis async fn $name($($arg: $ty),*) -> $output $body
    };
}

function! {
    /// From a macro.
    pub fn from_macro(n: u32) -> Result<u32, BoxError> { Ok(step(n).await) }
}

fn spawnable<T, S: Source<T> + Send>(source: &mut S) -> impl Future<Output = Vec<T>> + Send
where
    T: Send,
{
    source.all()
}

fn main() {
    fn send<F: Future + Send>(_: F) {}
    let mut counter = Counter::default();
    send(longest("", ""));
    send(elided("", &mut Vec::new()));
    send(generic([1u32], 2, (3, 4), &5));
    send(opaque([].into_iter()));
    send(coerced(""));
    send(never());
    send(countdown(3));
    send(unsafe { risky(1) });
    send(attributes(1));
    send(constant());
    send(counter.add(1));
    send(counter.pick(""));
    send(counter.two());
    send(Arc::new(Counter::default()).shared());
    send(Pin::new(&mut counter).pinned());
    send(Counter::default().mutable(Counter::default()));
    send(Counter::default().into_name());
    send(spawnable(&mut vec![1]));
    send(inner::never());
    send(from_macro(counter.get()));
}
