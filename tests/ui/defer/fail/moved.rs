use taskscope::{cancellable, defer};

struct Connection(u32);

impl Connection {
    async fn close(self) {}
    async fn ask(&mut self) -> u32 {
        self.0
    }
}

// The cleanup still needs what is given away.
#[cancellable]
async fn gives_away(connection: Connection) {
    defer! { connection.close().await; }
    drop(connection);
}

// Dropped early, it cannot be used by the cleanup.
#[cancellable]
async fn drops(mut connection: Connection) {
    defer! { println!("{}", connection.ask().await); }
    drop(connection);
}

// What is declared behind the cleanup is gone before it.
#[cancellable]
async fn too_early(mut connection: Connection) -> u32 {
    defer! { println!("{answer}"); }
    let answer = connection.ask().await;
    answer
}

fn main() {}
