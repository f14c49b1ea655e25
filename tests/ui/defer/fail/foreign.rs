use std::cell::Cell;
use taskscope::cancellable;

struct Guard<F: FnMut()>(F);

impl<F: FnMut()> Drop for Guard<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

// Its input is pasted.
macro_rules! defer {
    ($f:expr) => {
        let _guard = Guard($f);
    };
}

// Its input is refused.
macro_rules! on_cancel {
    ($token:ident => $f:expr) => {
        $token.push($f)
    };
}

#[cancellable]
async fn of_the_crate(ran: &Cell<u32>) {
    defer!(|| ran.set(ran.get() + 1));
    tokio::task::yield_now().await;
}

#[cancellable]
async fn refusing(mut token: Vec<u32>) {
    on_cancel! { token => 1 }
    tokio::task::yield_now().await;
}

mod imported {
    use scopeguard::defer;

    #[taskscope::cancellable]
    pub(crate) async fn of_another_crate(ran: &std::cell::Cell<u32>) {
        defer! { ran.set(ran.get() + 1); }
        std::future::pending::<()>().await;
    }
}

fn main() {}
