use taskscope::cancellable;
use tokio::task;

async fn work(n: u32) -> u32 {
    n
}

#[cancellable]
async fn function() {
    tokio::spawn(work(1));
    let _task = tokio::task::spawn(async { work(2).await });
    task::spawn(work(3)).await.unwrap();
}

#[cancellable]
async fn long_arguments(address: &'static str) {
    tokio::spawn(async move {
        println!("{address}");
        work(1).await
    });
}

#[cancellable]
async fn as_a_value() {
    for task in [work(1), work(2)].map(tokio::spawn) {
        task.await.unwrap();
    }
}

fn main() {}
