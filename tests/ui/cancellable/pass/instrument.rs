#![deny(warnings)]

use taskscope::{BoxError, CancelHandle, Scope, cancellable, checkpoint, defer};
use tracing::instrument;

#[instrument]
#[cancellable]
async fn below(n: u32, log: &mut Vec<&'static str>) -> Result<u32, BoxError> {
    defer! {
        checkpoint().await;
        log.push("below");
    }
    checkpoint().await;
    let m: u32 = "1".parse()?;
    Ok(n + m)
}

#[cancellable]
#[instrument(skip(log), fields(n = %n, kind = "above"), err, ret)]
async fn above(n: u32, log: &mut Vec<&'static str>) -> Result<u32, BoxError> {
    defer! {
        checkpoint().await;
        log.push("above");
    }
    checkpoint().await;
    let m: u32 = "1".parse()?;
    Ok(n + m)
}

#[instrument(skip_all)]
#[cancellable(send)]
async fn sent_below(n: u32) -> u32 {
    checkpoint().await;
    n
}

#[cancellable(send)]
#[instrument]
async fn sent_above(n: u32) -> u32 {
    checkpoint().await;
    n
}

#[instrument(skip_all)]
#[cancellable]
async fn left_below(handle: &CancelHandle, log: &mut Vec<&'static str>) {
    defer! {
        checkpoint().await;
        log.push("left");
    }
    handle.cancel();
    checkpoint().await;
    log.push("went on");
}

#[cancellable]
#[instrument(skip_all)]
async fn left_above(handle: &CancelHandle, log: &mut Vec<&'static str>) {
    defer! {
        checkpoint().await;
        log.push("left");
    }
    handle.cancel();
    checkpoint().await;
    log.push("went on");
}

struct Worker;

#[cancellable]
impl Worker {
    #[instrument(skip(self))]
    async fn method(&self, n: u32) -> u32 {
        checkpoint().await;
        n
    }

    #[instrument(skip(self), err)]
    fn plain(&self) -> Result<(), BoxError> {
        Ok(())
    }
}

#[instrument]
#[cancellable(blocking)]
fn blocking(n: u32) -> Result<u32, BoxError> {
    let mut sum = 0;
    for n in 0..n {
        sum += n;
    }
    Ok(sum)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    fn send<F: Future + Send>(future: F) -> F {
        future
    }
    let mut log = Vec::new();
    assert_eq!(send(below(1, &mut log)).await.unwrap(), 2);
    assert_eq!(send(above(1, &mut log)).await.unwrap(), 2);
    assert_eq!(log, ["below", "above"]);
    assert_eq!(send(sent_below(1)).await + send(sent_above(2)).await, 3);
    assert_eq!(Worker.method(1).await, 1);
    Worker.plain().unwrap();
    assert_eq!(blocking(3).unwrap(), 3);

    for above in [false, true] {
        let scope = Scope::new();
        let handle = scope.handle();
        let mut log = Vec::new();
        let cancelled = scope.run(async {
            if above {
                left_above(&handle, &mut log).await;
            } else {
                left_below(&handle, &mut log).await;
            }
        });
        assert!(cancelled.await.is_err());
        assert_eq!(log, ["left"]);
    }
}
