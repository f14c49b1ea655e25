use taskscope::{cancellable, checkpoint, no_checkpoint};

#[checkpoint]
fn on_a_function() {}

#[no_checkpoint]
async fn on_an_async_function() {}

#[checkpoint]
struct OnAStruct;

#[cancellable]
async fn in_an_inner_function() {
    #[checkpoint]
    async fn inner() {}
    inner().await;
}

fn main() {
    on_a_function();
    drop((on_an_async_function(), OnAStruct, in_an_inner_function()));
}
