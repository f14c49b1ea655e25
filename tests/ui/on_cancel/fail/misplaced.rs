use taskscope::{cancellable, on_cancel};

async fn discard() -> Result<(), std::io::Error> {
    Ok(())
}

async fn outside() {
    on_cancel! { discard().await; }
    drop(discard().await);
}

#[cancellable]
async fn last() {
    drop(discard().await);
    on_cancel! { drop(discard().await); }
}

#[cancellable]
async fn leaves() -> Result<(), std::io::Error> {
    on_cancel! { discard().await?; }
    discard().await
}

fn main() {
    drop((outside(), last(), leaves()));
}
