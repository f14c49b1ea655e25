#![deny(warnings)]

use std::time::Duration;
use taskscope::{BoxError, cancellable, task_group};

#[cancellable(allow(detached, blocking, hard_drop))]
mod inner {
    use super::*;

    pub mod further {
        use super::*;

        pub async fn in_mod() {
            tokio::spawn(async {}).await.unwrap();
            tokio::select! { () = async { std::thread::sleep(Duration::ZERO) } => {} }
        }
    }

    // A group in the code has the same options.
    pub async fn in_group() -> Result<(), BoxError> {
        task_group!(|_g| {
            tokio::spawn(async {}).await?;
            println!("{:?}", task_group!(|_g| {
                std::thread::sleep(Duration::ZERO);
                Ok(())
            })
            .await);
            Ok(())
        })
        .await?;
        Ok(())
    }
}

trait Source {
    async fn number(&self) -> u32;
}

struct Client;

#[cancellable(allow(detached))]
impl Source for Client {
    async fn number(&self) -> u32 {
        tokio::spawn(async { 1 }).await.unwrap()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    inner::further::in_mod().await;
    inner::in_group().await.unwrap();
    assert_eq!(Client.number().await, 1);
}
