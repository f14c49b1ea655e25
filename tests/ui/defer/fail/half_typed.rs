use taskscope::{cancellable, defer, on_cancel};

#[derive(Default)]
struct Connection;

impl Connection {
    async fn close(&self) {}
}

// One error each, and the functions are there.
#[cancellable]
async fn method(connection: Connection) {
    defer! { connection. }
    connection.close().await;
}

#[cancellable]
async fn binding(connection: Connection) {
    defer! { let result = }
    connection.close().await;
}

#[cancellable]
async fn condition(connection: Connection) {
    on_cancel! { if connection. { } }
    connection.close().await;
}

fn main() {
    drop((method(<_>::default()), binding(<_>::default()), condition(<_>::default())));
}
