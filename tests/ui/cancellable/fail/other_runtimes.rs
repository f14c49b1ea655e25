use taskscope::cancellable;

// They stand in for the crates of these names.
mod smol {
    pub fn spawn<F>(_: F) {}
    pub fn unblock<F: FnOnce()>(work: F) {
        work();
    }
}

mod async_std {
    pub mod task {
        pub fn spawn<F>(_: F) {}
    }
}

async fn work() {}

#[cancellable]
async fn function() {
    smol::spawn(work());
    smol::unblock(|| {});
    async_std::task::spawn(work());
}

fn main() {}
