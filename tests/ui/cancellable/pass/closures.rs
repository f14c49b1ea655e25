#![deny(warnings)]

use std::cell::RefCell;
use std::pin::Pin;
use taskscope::{BoxError, cancellable, checkpoint, defer};

async fn step(n: u32) -> u32 {
    n
}

async fn call<F: AsyncFn(u32) -> u32>(f: F, n: u32) -> u32 {
    f(n).await
}

async fn call_mut(mut f: impl AsyncFnMut(u32)) {
    f(1).await;
    f(2).await;
}

#[cancellable]
async fn async_closures() -> Result<u32, BoxError> {
    let base = step(1).await;
    let add = async |n| step(n).await + base;
    let typed = async move |n: u32| -> Result<u32, BoxError> {
        defer! { checkpoint().await; }
        let m: u32 = "1".parse()?;
        Ok(step(n).await + m + base)
    };
    let mut seen = Vec::new();
    call_mut(async |n| {
        defer! { seen.push(n); }
        step(n).await;
    })
    .await;
    Ok(call(add, 1).await + typed(1).await? + seen.len() as u32)
}

#[cancellable]
async fn blocks() -> u32 {
    let one = |n| async move { step(n).await };
    let two = |n: u32| -> Pin<Box<dyn Future<Output = u32> + Send>> {
        Box::pin(async move {
            if n == 0 {
                return 0;
            }
            step(n).await
        })
    };
    let three = move || {
        let n = 3;
        async move {
            defer! { checkpoint().await; }
            step(n).await
        }
    };
    let mut sum = one(1).await + two(2).await + three().await;
    sum += async { step(4).await }.await;
    sum += (async || step(5).await)().await;
    sum
}

#[cancellable]
async fn errors() -> Result<u32, BoxError> {
    let parsed = async {
        let n: u32 = "x".parse()?;
        Ok::<_, BoxError>(step(n).await)
    };
    let jump = async {
        loop {
            if step(1).await == 1 {
                break step(2).await;
            }
        }
    };
    let plain = || -> Result<u32, BoxError> { Ok("3".parse()?) };
    let all = [1, 2].map(|n| async move { step(n).await });
    let mut sum = parsed.await.unwrap_or(10) + jump.await + plain()?;
    for one in all {
        sum += one.await;
    }
    Ok(sum)
}

#[cancellable]
async fn borrowing() -> Vec<u32> {
    let log = RefCell::new(Vec::new());
    let note = async |n| {
        let n = step(n).await;
        log.borrow_mut().push(n);
    };
    note(1).await;
    note(2).await;
    futures::future::join_all((3..5).map(&note)).await;
    log.into_inner()
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    fn send<F: Future + Send>(future: F) -> F {
        future
    }
    assert_eq!(async_closures().await.unwrap(), 7);
    assert_eq!(send(blocks()).await, 15);
    assert_eq!(send(errors()).await.unwrap(), 18);
    assert_eq!(borrowing().await, [1, 2, 3, 4]);
}
