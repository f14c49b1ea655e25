use taskscope::{cancellable, on_cancel};

async fn discard() {}

fn plain() {
    taskscope::on_cancel! { discard().await; }
}

#[cancellable]
async fn in_a_plain_closure() {
    let undo = || {
        on_cancel! { discard().await; }
        1
    };
    undo();
}

#[cancellable]
async fn in_an_inner_function() {
    async fn inner() {
        taskscope::on_cancel! { discard().await; }
        discard().await;
    }
    inner().await;
}

fn main() {}
