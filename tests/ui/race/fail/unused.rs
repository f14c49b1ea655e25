#![deny(unused)]
#![allow(dead_code)]

use std::future::ready;
use taskscope::race;

async fn flush() -> std::io::Result<()> {
    Ok(())
}

// Warnings are about what the user wrote.
async fn function() {
    race! {
        n = ready(1) => {}
        _ = ready(2) => { flush(); }
        _ = ready(3) => {
            flush().await;
        }
    }
    race! {
        _ = ready(1) => flush().await,
        _ = ready(2) => Ok(()),
    };
}

#[taskscope::cancellable]
async fn in_place() {
    race! {
        n = ready(1) => {}
        _ = ready(2) => { flush(); }
    }
    race! {
        _ = ready(1) => flush().await,
        _ = ready(2) => Ok(()),
    };
}

fn main() {}
