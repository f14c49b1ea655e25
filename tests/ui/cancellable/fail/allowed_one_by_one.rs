use std::time::Duration;
use taskscope::cancellable;

async fn work() {}

#[cancellable(allow(detached))]
async fn detached() {
    tokio::spawn(work());
    std::thread::sleep(Duration::ZERO);
    tokio::select! { () = work() => {} }
}

#[cancellable(allow(blocking))]
async fn blocking() {
    tokio::spawn(work());
    std::thread::sleep(Duration::ZERO);
    tokio::select! { () = work() => {} }
}

#[cancellable(allow(hard_drop))]
async fn hard_drop() {
    tokio::spawn(work());
    std::thread::sleep(Duration::ZERO);
    tokio::select! { () = work() => {} }
}

struct Client;

// The options of a function are its own.
#[cancellable(allow(detached, blocking, hard_drop))]
impl Client {
    async fn as_the_impl(&self) {
        tokio::spawn(work());
    }

    #[cancellable]
    async fn by_itself(&self) {
        tokio::spawn(work());
    }
}

fn main() {}
