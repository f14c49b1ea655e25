use taskscope::{cancellable, defer as cleanup};

async fn close() {}

// The attribute sees a name, not what it stands for.
#[cancellable]
async fn by_another_name() {
    cleanup! { close().await; }
    close().await;
}

macro_rules! closing {
    () => {
        taskscope::defer! { close().await; }
    };
}

#[cancellable]
async fn inside_another_macro() {
    closing!();
    close().await;
}

fn main() {}
