use taskscope::cancellable;

async fn work() -> u32 {
    1
}

#[cancellable]
async fn function() -> u32 {
    #[checkpoint]
    let n = work().await;
    #[checkpoint]
    work().await;
    #[no_checkpoint]
    if n > 1 {
        work().await;
    }
    #[taskscope::checkpoint]
    {
        work().await
    }
}

fn main() {
    drop(function());
}
