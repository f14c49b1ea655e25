#![deny(warnings)]
//! Jumps that stay in the body of a group, and the ways out of it.

use taskscope::{BoxError, cancellable, defer, task_group};

async fn close() {}

#[cancellable]
async fn inside() -> Result<u32, BoxError> {
    let mut rounds = 0;
    loop {
        let done = task_group!(|_g| {
            'outer: for n in 0..9 {
                defer! { close().await; }
                while rounds < 3 {
                    rounds += 1;
                    continue 'outer;
                }
                if n > 3 {
                    break;
                }
            }
            let found = 'found: {
                if rounds == 3 {
                    break 'found true;
                }
                false
            };
            if found {
                return Ok(found);
            }
            let next = async { loop { break } };
            next.await;
            Ok(false)
        })
        .await?;
        if done {
            break;
        }
    }
    Ok(rounds)
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    assert_eq!(inside().await.unwrap(), 3);
}
