//! What an import of a known function shares its name with.

use taskscope::cancellable;

async fn work() {}

async fn own(future: impl Future<Output = ()>) {
    future.await;
}

#[cancellable]
async fn of_a_local() {
    let go = own;
    go(work()).await;
}

#[cancellable]
mod several {
    #[allow(unused_imports)]
    use tokio::time::timeout;

    pub(crate) async fn one() {
        use super::own as go;
        go(super::work()).await;
    }

    pub(crate) async fn value(timeout: u8) -> u8 {
        timeout
    }
}

fn main() {
    drop((of_a_local(), several::one(), several::value(1)));
}
