#![deny(warnings)]

use taskscope::{cancellable, defer, on_cancel};

async fn step(n: u32) -> u32 {
    n
}

#[cancellable]
async fn upload(parts: &[u32]) -> Result<u32, std::num::ParseIntError> {
    let mut sent = 0;
    on_cancel! { step(sent).await; }
    defer! { step(1).await; }
    for part in parts {
        taskscope::on_cancel! { step(*part).await; }
        if *part == 3 {
            continue;
        }
        sent += step("1".parse()?).await;
    }
    Ok(sent)
}

fn main() {
    fn send<F: Send>(_: F) {}
    send(upload(&[]));
}
