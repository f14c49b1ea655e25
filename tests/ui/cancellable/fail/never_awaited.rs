#![deny(unused_must_use)]

use taskscope::cancellable;

#[cancellable]
async fn work() -> u32 {
    1
}

#[cancellable]
async fn function() {
    work();
    async {
        work().await;
    };
}

fn main() {
    function();
}
