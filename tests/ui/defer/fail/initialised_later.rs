use taskscope::{cancellable, defer};

struct Connection;

impl Connection {
    async fn close(&mut self) {}
    async fn ask(&mut self) -> u32 {
        1
    }
}

// What is declared above the cleanup has its value by then: the rest is a block of its own.
#[cancellable]
async fn later(mut connection: Connection) -> u32 {
    let answer;
    defer! { connection.close().await; }
    answer = connection.ask().await;
    answer
}

fn main() {}
