//! How large the futures of annotated functions are.

use std::future::{Future, ready};
use std::sync::Arc;

use taskscope::cancellable;

use crate::family::{Contestant, Family, Peer, Unit};

/// Each shape twice, annotated and plain, from the same tokens.
macro_rules! shapes {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $out:ty)? $body:block)*) => {
        mod annotated {
            use super::*;
            $(#[cancellable] pub(super) async fn $name($($arg: $ty),*) $(-> $out)? $body)*
        }

        mod plain {
            use super::*;
            $(pub(super) async fn $name($($arg: $ty),*) $(-> $out)? $body)*
        }

        /// Name, size of the annotated one, size of the plain one.
        const SHAPES: &[(&str, fn() -> [usize; 2])] = &[$((stringify!($name), || {
            let annotated = |($($arg,)*): ($($ty,)*)| annotated::$name($($arg),*);
            let plain = |($($arg,)*): ($($ty,)*)| plain::$name($($arg),*);
            [size_of_future(annotated), size_of_future(plain)]
        })),*];
    };
}

/// The size of what a function returns, without calling it.
fn size_of_future<Args, F: Future>(_: impl Fn(Args) -> F) -> usize {
    size_of::<F>()
}

async fn nothing() {}

async fn number(n: u32) -> u32 {
    ready(()).await;
    n
}

async fn fallible(text: String) -> Result<usize, std::num::ParseIntError> {
    ready(()).await;
    text.parse()
}

async fn large(bytes: [u8; 1000]) -> [u8; 1000] {
    ready(()).await;
    bytes
}

shapes! {
    fn one_await() { nothing().await }

    fn tail(n: u32) -> u32 { number(n).await }

    fn several(n: u32) -> u32 {
        let a = number(n).await;
        let b = number(a).await;
        nothing().await;
        a + b
    }

    fn question(text: String) -> Result<usize, std::num::ParseIntError> {
        let one = fallible(text.clone()).await?;
        let two = fallible(text).await?;
        Ok(one + two)
    }

    fn loops(n: u32) -> u32 {
        let mut sum = 0;
        for i in 0..n {
            sum += number(i).await;
        }
        sum
    }

    fn matches(n: u32) -> String {
        match number(n).await {
            0 => String::new(),
            n if n < 10 => {
                nothing().await;
                n.to_string()
            }
            _ => {
                let text = String::from("many");
                nothing().await;
                text
            }
        }
    }

    fn moves_much(bytes: [u8; 1000]) -> usize {
        large(bytes).await.len()
    }

    fn locks(lock: Arc<tokio::sync::Mutex<u32>>) -> u32 {
        *lock.lock().await += 1;
        let guard = lock.lock().await;
        nothing().await;
        *guard
    }
}

/// The shape that grows most.
#[must_use]
pub fn families() -> Vec<Family> {
    let ratio = |[ours, theirs]: [usize; 2]| ours as f64 / theirs as f64;
    let worst = SHAPES
        .iter()
        .max_by(|a, b| ratio((a.1)()).total_cmp(&ratio((b.1)())));
    let Some((name, sizes)) = worst else {
        return Vec::new();
    };
    let [ours, theirs] = sizes();
    let ours = Contestant::new(name, move || ours as f64);
    let theirs = Contestant::new(name, move || theirs as f64);
    vec![Family {
        unit: Unit::Bytes,
        ours,
        peers: vec![Peer::with_goal("future_size", 1.0, theirs)],
    }]
}
