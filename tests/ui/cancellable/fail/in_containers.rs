use std::time::Duration;
use taskscope::cancellable;

struct Client;

#[cancellable]
impl Client {
    async fn in_impl(&self) {
        tokio::spawn(async {});
    }

    fn not_async(&self) {
        std::thread::spawn(|| {});
    }
}

#[cancellable]
trait Source {
    async fn in_trait(&self) {
        std::thread::sleep(Duration::ZERO);
    }
}

#[cancellable]
mod inner {
    pub mod further {
        pub async fn in_mod() {
            tokio::spawn(async {});
        }
    }
}

fn main() {
    drop(Client.in_impl());
    Client.not_async();
}
