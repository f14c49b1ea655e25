use std::future::Future;
use taskscope::cancellable;

// Stands in for the token of tokio-util.
struct Token;

impl Token {
    async fn run_until_cancelled<F: Future>(&self, future: F) -> Option<F::Output> {
        Some(future.await)
    }
}

async fn work() {}

#[cancellable]
async fn function(token: &Token) {
    token.run_until_cancelled(work()).await;
    token
        .run_until_cancelled(async {
            work().await;
        })
        .await;
}

fn main() {}
