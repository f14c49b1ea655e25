use taskscope::{cancellable, defer, on_cancel};

#[cancellable]
async fn field(text: String) {
    text.
}

#[cancellable]
async fn behind_a_guard(text: String) {
    defer! { std::future::ready(()).await; }
    let length = text.len()
    drop(length);
}

struct Table(String);

#[cancellable]
impl Table {
    async fn whole(&self) {
        defer! { std::future::ready(()).await; }
        std::future::ready(()).await;
    }

    async fn half(&self) {
        on_cancel! { std::future::ready(()).await; }
        let text = ;
    }
}

fn main() {
    drop(field(String::new()));
}
