#![deny(warnings, clippy::pedantic)]

use taskscope::{cancellable, defer, on_cancel};

async fn undo(n: u32) -> Result<u32, std::io::Error> {
    Ok(n)
}

#[cancellable]
async fn steps(parts: &[u32]) -> Result<usize, std::io::Error> {
    let mut done = Vec::new();
    on_cancel! {
        for n in &done {
            if undo(*n).await.is_err() {
                break;
            }
        }
    }
    for part in parts {
        on_cancel! {
            defer! { drop(undo(1).await); }
            on_cancel! { drop(undo(2).await); }
            drop(undo(*part).await);
        }
        done.push(undo(*part).await?);
        if *part == 3 {
            on_cancel! { drop(undo(3).await); }
            return Ok(done.len());
        }
    }
    Ok(done.len())
}

fn main() {
    fn is_send<F: Send>(_: F) {}
    is_send(steps(&[]));
}
