use futures::future;
use taskscope::cancellable;

async fn part(n: u32) -> Result<u32, std::io::Error> {
    Ok(n)
}

#[cancellable]
async fn first_of_all() -> u32 {
    let parts = [part(1), part(2)].map(Box::pin);
    let (first, _, _rest) = future::select_all(parts).await;
    first.unwrap_or(0)
}

#[cancellable]
async fn first_success() -> u32 {
    let parts = [part(1), part(2)].map(Box::pin);
    futures::future::select_ok(parts).await.map_or(0, |(n, _)| n)
}

fn main() {}
