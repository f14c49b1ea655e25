use taskscope::cancellable;

async fn work(n: u32) -> u32 {
    n
}

#[cancellable]
async fn function() {
    let plain = |n| tokio::spawn(work(n));
    let asynchronous = async |n| {
        tokio::spawn(work(n));
    };
    let block = async {
        if let Ok(n) = tokio::spawn(work(3)).await {
            plain(n);
        }
    };
    asynchronous(1).await;
    block.await;
}

fn main() {}
