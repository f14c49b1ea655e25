#![deny(warnings)]

use async_trait::async_trait;
use taskscope::{BoxError, Scope, cancellable, checkpoint, defer, on_cancel};

#[cancellable]
#[async_trait]
trait Above {
    async fn required(&self, log: &mut Vec<&'static str>) -> Result<u32, BoxError>;

    async fn provided(&mut self, log: &mut Vec<&'static str>) -> Result<u32, BoxError>
    where
        Self: Sync,
    {
        defer! {
            checkpoint().await;
            log.push("provided");
        }
        let n: u32 = "1".parse()?;
        checkpoint().await;
        Ok(n)
    }
}

#[async_trait]
#[cancellable]
trait Below {
    async fn work(&self, log: &mut Vec<&'static str>);

    async fn twice(&self, log: &mut Vec<&'static str>)
    where
        Self: Sync,
    {
        self.work(log).await;
        self.work(log).await;
    }
}

#[async_trait(?Send)]
trait Methods {
    #[cancellable]
    async fn own<'a>(&'a self, text: &'a str, (a, _): (u32, u32)) -> (&'a str, u32) {
        checkpoint().await;
        (text, a)
    }
}

struct Worker;

#[cancellable]
#[async_trait]
impl Above for Worker {
    async fn required(&self, log: &mut Vec<&'static str>) -> Result<u32, BoxError> {
        on_cancel! { log.push("cancelled"); }
        for _ in 0..3 {
            defer! {
                checkpoint().await;
                log.push("round");
            }
            checkpoint().await;
        }
        let n = "2".parse::<u32>()?;
        Ok(n)
    }
}

#[async_trait]
#[cancellable]
impl Below for Worker {
    async fn work(&self, log: &mut Vec<&'static str>) {
        defer! { log.push("worked"); }
        checkpoint().await;
    }
}

#[async_trait(?Send)]
impl Methods for Worker {}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut log = Vec::new();
    assert_eq!(Worker.required(&mut log).await.unwrap(), 2);
    assert_eq!(Worker.provided(&mut log).await.unwrap(), 1);
    Worker.twice(&mut log).await;
    assert_eq!(log, ["round", "round", "round", "provided", "worked", "worked"]);
    assert_eq!(Worker.own("text", (3, 4)).await, ("text", 3));

    let boxed: &(dyn Below + Sync) = &Worker;
    let scope = Scope::new();
    scope.handle().cancel();
    let mut log = Vec::new();
    assert!(scope.run(boxed.work(&mut log)).await.is_err());
    assert!(log.is_empty() || log == ["worked"], "{log:?}");
}
