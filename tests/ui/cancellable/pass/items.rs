#![deny(warnings, missing_docs)]
//! Every item that the attribute takes.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use taskscope::cancellable;

async fn step(n: u32) -> u32 {
    n
}

/// A free function.
#[cancellable]
#[inline]
#[must_use]
pub async fn free<'a, T: Display + ?Sized, const N: usize>(text: &'a T, _: [u8; N]) -> &'a T
where
    T: Sync,
{
    #![allow(clippy::unused_unit)]
    step(1).await;
    text
}

/// Opaque in and out.
#[cancellable]
pub async fn opaque(numbers: impl Iterator<Item = u32>) -> impl Display {
    let mut sum = 0;
    for n in numbers {
        sum += step(n).await;
    }
    sum
}

/// Boxed by hand.
#[cancellable]
pub fn boxed(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move { if depth == 0 { 0 } else { 1 + boxed(depth - 1).await } })
}

/// Holds methods.
pub struct Counter(u32);

#[cancellable(loops)]
impl Counter {
    /// One more.
    pub async fn add(&mut self) -> &mut Self {
        self.0 += step(1).await;
        self
    }

    /// # Safety
    /// None needed.
    pub async unsafe fn risky(self) -> u32 {
        self.0
    }

    /// Not async, so not cancellable.
    pub fn get(&self) -> u32 {
        self.0
    }

    /// With options of its own.
    #[cancellable]
    pub async fn own(&self) -> u32 {
        step(self.0).await
    }
}

/// With a default method.
#[cancellable]
pub trait Source {
    /// No body.
    fn value(&self) -> impl Future<Output = u32> + Send;

    /// The default.
    fn twice(&self) -> impl Future<Output = u32> + Send
    where
        Self: Sync,
    {
        async move { 2 * self.value().await }
    }
}

impl Source for Counter {
    #[cancellable]
    async fn value(&self) -> u32 {
        step(self.0).await
    }
}

/// For `async_trait`.
#[async_trait::async_trait]
pub trait Store {
    /// The default.
    #[cancellable]
    async fn load(&self, key: &str) -> Result<String, std::num::ParseIntError> {
        let n: u32 = key.parse()?;
        Ok(step(n).await.to_string())
    }

    /// No body.
    async fn store(&mut self, value: &str) -> usize;
}

#[cancellable]
#[async_trait::async_trait]
impl Store for Counter {
    async fn store(&mut self, value: &str) -> usize {
        self.add().await;
        value.len()
    }
}

/// A whole module.
#[cancellable]
pub mod inner {
    /// In a module.
    pub async fn f() -> u32 {
        super::step(1).await
    }
}

/// A dependency under another name.
pub mod renamed {
    /// With its path.
    #[taskscope::cancellable(crate = crate::renamed::scope, allow(detached, hard_drop))]
    pub async fn f() -> u32 {
        super::step(1).await
    }

    #[doc(hidden)]
    pub use taskscope as scope;
}

fn main() {
    fn send<F: Send>(_: F) {}
    let mut counter = Counter(0);
    send(free("", []));
    send(opaque([].into_iter()));
    send(boxed(1));
    send(counter.add());
    send(counter.own());
    send(counter.twice());
    send(counter.load("1"));
    send(inner::f());
    send(renamed::f());
}
