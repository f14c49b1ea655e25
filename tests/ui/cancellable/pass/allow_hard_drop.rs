#![deny(warnings)]

use std::future::{pending, ready};
use std::time::Duration;
use taskscope::{cancellable, timeout};

#[cancellable(allow(hard_drop))]
async fn function(limit: Duration) -> u32 {
    let first = tokio::select! {
        n = ready(1) => n,
        () = pending() => 0,
    };
    let (second, third) = tokio::try_join!(ready(Ok::<u32, ()>(2)), ready(Ok(3))).unwrap();
    let fourth = tokio::time::timeout(limit, ready(4)).await.unwrap();
    let (fifth, _, _) = futures::future::select_all([ready(5)]).await;
    let sixth = timeout(limit, &mut ready(6)).await.unwrap();
    first + second + third + fourth + fifth + sixth
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(function(Duration::from_secs(1)).await, 21);
}
