use taskscope::{cancellable, defer, on_cancel};

// The essence of `async_stream::stream!`: the code becomes a block of its own.
mod async_stream {
    macro_rules! stream {
        ($($code:tt)*) => { async { $($code)* } };
    }
    pub(crate) use stream;
}

async fn close() {}

#[cancellable]
async fn events() {
    async_stream::stream! {
        defer! { close().await; }
        if true {
            taskscope::on_cancel! { close().await; }
            close().await;
        }
    }
    .await;
}

#[cancellable]
async fn imported() {
    use self::async_stream::stream as try_stream;
    let _ = try_stream! {
        on_cancel! { close().await; }
        close().await
    };
}

#[cancellable]
fn returned() -> impl futures::Stream<Item = u32> {
    futures::stream::empty()
}

fn not_annotated() {
    drop(async_stream::stream! {
        defer! { close().await; }
        close().await
    });
}

fn main() {
    drop((events(), imported(), returned(), not_annotated()));
}
