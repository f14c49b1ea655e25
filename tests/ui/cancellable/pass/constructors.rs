#![deny(warnings)]

use std::io;
use taskscope::{blocking, cancellable};

// What makes a value does not block; what it is used for is in `blocking`.
#[cancellable]
async fn makes() -> io::Result<()> {
    let builder = std::fs::DirBuilder::new();
    let options = std::fs::OpenOptions::new();
    let reading = std::fs::File::options().read(true).clone();
    let mut command = std::process::Command::new("true");
    blocking(move || {
        drop((options, reading));
        std::fs::DirBuilder::new().recursive(true).create("/")?;
        command.status()?;
        builder.create("/").or(Ok(()))
    })
    .await
}

fn main() {
    drop(makes());
}
