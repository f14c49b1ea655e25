use std::future::pending;
use taskscope::{cancellable, race};

async fn save(_: u32) {}

// Futures, conditions and handlers are code of the function.
#[cancellable]
async fn function(open: bool) {
    race! {
        n = async { std::fs::read("file").map_or(0, |_| 1) }, if open => {
            tokio::spawn(save(n));
        }
        () = pending(), if std::fs::exists("file").is_ok() => loop {
            std::hint::spin_loop();
        },
        else => drop(std::thread::spawn(|| {})),
    }
}

fn main() {}
